"""Who is in the channel and which ssrc is whose: what the voice server says, read from its JSON.

Used by `calls` with every JSON frame of the voice WebSocket (ops 5, 11, 12, 13) and by `reception` with every packet.
Pure. What does not look as expected is left out, never an error: op 5 is late or missing often enough, and then
`reception` finds out by decrypting.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

MAX_SOURCES: Final = 512
"""More than any channel has people; beyond, the oldest is forgotten."""


class Op(enum.IntEnum):
    """Frames of the voice server that are about people."""

    SPEAKING = 5
    CLIENTS_CONNECT = 11
    CLIENT_CONNECT = 12
    CLIENT_DISCONNECT = 13


class Changes(NamedTuple):
    """What a frame of JSON changed."""

    joined: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()
    named: int | None = None
    """An ssrc whose user is known now, or another than before."""

    def __bool__(self) -> bool:
        """Whether it changed anything."""
        return bool(self.joined or self.left or self.named)


class Roster:
    """The people of one channel but for ourselves."""

    def __init__(self, own_id: int = 0) -> None:
        """Know nobody but ourselves."""
        self.own_id = own_id
        self._present: set[int] = set()
        self._users: dict[int, int] = {}
        self._doubts: tuple[frozenset[int], frozenset[int]] = frozenset(), frozenset()

    @property
    def present(self) -> frozenset[int]:
        """Who is there."""
        return frozenset(self._present)

    @property
    def is_anybody_here(self) -> bool:
        """Whether somebody hears us."""
        return bool(self._present)

    @property
    def unheard(self) -> frozenset[int]:
        """Who is there and has no ssrc yet."""
        return frozenset(self._present.difference(self._users.values()))

    def user(self, ssrc: int) -> int | None:
        """Whose ssrc it is."""
        return self._users.get(ssrc)

    def name(self, ssrc: int, user_id: int) -> bool:
        """An ssrc is a user's; whether that is news. A user's former ssrc is nobody's any more."""
        if self._users.get(ssrc) == user_id or user_id == self.own_id:
            return False
        self._users = {other: user for other, user in self._users.items() if user != user_id and other != ssrc}
        if len(self._users) >= MAX_SOURCES:
            del self._users[next(iter(self._users))]
        self._users[ssrc] = user_id
        return True

    def read(self, message: Mapping[str, Any]) -> Changes:
        """Take in a JSON frame of the voice server."""
        data = message.get("d")
        if not isinstance(data, Mapping):
            return Changes()
        user_id = _number(data.get("user_id"))
        match message.get("op"):
            case Op.SPEAKING if user_id is not None:
                return self._heard_of(user_id, _number(data.get("ssrc")))
            case Op.CLIENT_CONNECT if user_id is not None:
                return self._heard_of(user_id, _number(data.get("audio_ssrc")))
            case Op.CLIENTS_CONNECT:
                listed = data.get("user_ids")
                ids = (_number(each) for each in listed) if isinstance(listed, list) else ()
                return Changes(joined=self._add(each for each in ids if each is not None))
            case Op.CLIENT_DISCONNECT if user_id is not None:
                return Changes(left=self._remove({user_id}))
            case _:
                return Changes()

    def reconcile(self, seen: Iterable[int]) -> Changes:
        """Compare with what the main gateway says; only what it says twice in a row counts, for it may be behind."""
        others = frozenset(seen) - {self.own_id}
        missing, gone = others - self._present, frozenset(self._present - others)
        before_missing, before_gone = self._doubts
        self._doubts = missing, gone
        return Changes(joined=self._add(missing & before_missing), left=self._remove(gone & before_gone))

    def forget_sources(self) -> None:
        """The connection is a new one: whose ssrc is whose will be said again."""
        self._users = {}

    def _heard_of(self, user_id: int, ssrc: int | None) -> Changes:
        joined = self._add({user_id})
        return Changes(joined=joined, named=ssrc if ssrc and self.name(ssrc, user_id) else None)

    def _add(self, users: Iterable[int]) -> frozenset[int]:
        new = frozenset(users) - self._present - {self.own_id}
        self._present |= new
        return new

    def _remove(self, users: Iterable[int]) -> frozenset[int]:
        gone = frozenset(users) & self._present
        self._present -= gone
        self._users = {ssrc: user for ssrc, user in self._users.items() if user not in gone}
        return gone


def announces_speech(message: Mapping[str, Any]) -> bool:
    """Say whether a JSON frame of the voice server tells that somebody begins to speak."""
    data = message.get("d")
    return message.get("op") == Op.SPEAKING and isinstance(data, Mapping) and bool(data.get("speaking"))


def _number(value: object) -> int | None:
    """Read a snowflake, which is a string in JSON, or an ssrc, which is a number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None
