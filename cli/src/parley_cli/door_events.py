"""What the web door tells a client, and what a client may say to it: docs/reference/web-door.md, as far as we use it.

Unknown events and fields are ignored, so that a newer gateway may tell more.
"""

from typing import Annotated, Final, Literal

import msgspec

from parley_contract.errors import PermanentError
from parley_contract.messages import TurnReport


class BadEventError(PermanentError):
    """The other end says something that is no event of the web door."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    pass


class Session(_Event, frozen=True, kw_only=True):
    """The session is open."""

    session: str
    assistant: str


class SpeechStarted(_Event, frozen=True, kw_only=True, tag="speech_started"):
    """The gateway hears somebody speak: a turn begins or goes on."""

    turn: int


class Partial(_Event, frozen=True, kw_only=True):
    """What was understood so far of an utterance."""

    turn: int
    utterance: str
    text: str


class Transcript(_Event, frozen=True, kw_only=True):
    """What was understood of an utterance."""

    turn: int
    utterance: str
    outcome: Literal["speech", "silence", "failed"]
    text: str


class Delta(_Event, frozen=True, kw_only=True):
    """A piece of the reply as the model wrote it."""

    turn: int
    text: str


class Phrase(_Event, frozen=True, kw_only=True):
    """A piece of the reply that will be spoken."""

    turn: int
    phrase: int
    text: str


class Mark(_Event, frozen=True, kw_only=True):
    """A phrase's sound begins or ended at a position of the sound sent on this connection."""

    turn: int
    phrase: int
    edge: Literal["begin", "end"]
    at_ms: float


class Cut(_Event, frozen=True, kw_only=True):
    """Stop playing, and throw away what was not played yet: the sound ended at `at_ms`."""

    turn: int
    at_ms: float
    next_ms: float
    """The position of the next frame that comes."""


class Turn(_Event, frozen=True, kw_only=True):
    """A turn is over."""

    report: TurnReport


class Error(_Event, frozen=True, kw_only=True):
    """Something was wrong."""

    code: str
    sentence: str
    fatal: bool = False


Event = Session | SpeechStarted | Partial | Transcript | Delta | Phrase | Mark | Cut | Turn | Error


class Position(_Event, frozen=True, kw_only=True):
    """So much of the sound sent on this connection was played."""

    at_ms: Annotated[float, msgspec.Meta(ge=0)]


class Bye(_Event, frozen=True, kw_only=True):
    """End the session now."""


Request = Position | Bye

_EVENTS: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


class _Kind(msgspec.Struct):
    event: str


_KNOWN: Final = frozenset(
    {"session", "speech_started", "partial", "transcript", "delta", "phrase", "mark", "cut", "turn", "error"}
)


def decode_event(text: str | bytes) -> Event | None:
    """Read an event; None for one of a kind that we do not know.

    Raises:
        BadEventError: it is no event at all.
    """
    try:
        if msgspec.json.decode(text, type=_Kind).event not in _KNOWN:
            return None
        return _EVENTS.decode(text)
    except msgspec.DecodeError as error:
        raise BadEventError(f"what answers here is no web door of Parley: {error}") from error


def encode_request(request: Request) -> str:
    """Write a request."""
    return msgspec.json.encode(request).decode()
