"""Which phrases nobody wants any more: the newest epoch of each session and revision of each turn. Pure.

`worker` tells it everything the agent says about replies, and asks before and while it speaks a phrase.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from parley_contract.messages import TurnMessage

K = TypeVar("K")

_KEPT: Final = 1024
"""Sessions and turns remembered; a phrase lives a minute at most, so far fewer would do."""


class Fences:
    """What was heard so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._epochs = _Newest[str]()
        self._revisions = _Newest[tuple[str, int, int]]()

    def learn(self, message: TurnMessage) -> None:
        """Remember that everything older than this message is over."""
        self._epochs.raise_to(message.session, message.epoch)
        if message.revision:
            self._revisions.raise_to((message.session, message.epoch, message.turn), message.revision)

    def is_stale(self, message: TurnMessage) -> bool:
        """Whether a message is of an older epoch than its session has, or of an older revision than its turn."""
        return message.epoch < self._epochs.of(message.session) or message.revision < self._revisions.of(
            (message.session, message.epoch, message.turn)
        )


class _Newest(Generic[K]):
    """The highest number of each key, of the keys that were raised last."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[K, int] = OrderedDict()

    def of(self, key: K) -> int:
        return self._numbers.get(key, 0)

    def raise_to(self, key: K, number: int) -> None:
        self._numbers[key] = max(number, self.of(key))
        self._numbers.move_to_end(key)
        while len(self._numbers) > _KEPT:
            self._numbers.popitem(last=False)
