"""Which phrases nobody wants any more: the newest revision known of each turn. Pure; the worker asks."""

from collections import OrderedDict
from typing import Final

from parley_contract.messages import TurnInterrupted, TurnMessage

_KEPT: Final = 1024
"""Interrupted turns remembered; a phrase lives a minute at most, so far fewer would do."""


class Fences:
    """Interrupts heard so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._revisions: OrderedDict[tuple[str, int, int], int] = OrderedDict()

    def interrupted(self, message: TurnInterrupted) -> None:
        """Remember that everything below the message's revision is over."""
        key = (message.session, message.epoch, message.turn)
        self._revisions[key] = max(message.revision, self._revisions.get(key, 0))
        self._revisions.move_to_end(key)
        while len(self._revisions) > _KEPT:
            self._revisions.popitem(last=False)

    def is_stale(self, message: TurnMessage) -> bool:
        """Whether a message is of an older revision than its turn has."""
        return message.revision < self._revisions.get((message.session, message.epoch, message.turn), 0)
