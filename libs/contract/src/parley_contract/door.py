"""What the gateway tells a client beside sound, and what a client may say. `docs/reference/web-door.md` shows them.

One JSON object each, its kind in `event`; unknown kinds and fields are ignored, so that a newer gateway may tell more.
Made by the gateway, read by `parley talk`. Not messages of the bus: those are in `messages`. Positions in `at_ms` count
the sound sent on this connection, from 0.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec

from parley_contract.messages import TurnReport
from parley_contract.reading import read


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    pass


class Session(_Event, frozen=True, kw_only=True):
    """The first event: the session is open."""

    session: str
    resume: str
    """Give it as `resume` when connecting again, to go on with this session. A secret."""
    resumed: bool
    """Whether this is a session that went on; turns and history are as they were."""
    assistant: str
    language: str
    encoding: Literal["s16le"] = "s16le"
    rate_hz: int
    channels: int = 1
    frame_ms: int
    frame_bytes: int


class SpeechStarted(_Event, frozen=True, kw_only=True, tag="speech_started"):
    """Somebody began to speak; `utterance` names what is being said."""

    turn: int
    utterance: str


class Partial(_Event, frozen=True, kw_only=True):
    """What was understood so far; the next one replaces it."""

    turn: int
    utterance: str
    text: str


class Transcript(_Event, frozen=True, kw_only=True):
    """What was understood of an utterance; a turn may have several."""

    turn: int
    utterance: str
    outcome: Literal["speech", "silence", "failed"]
    text: str


class Delta(_Event, frozen=True, kw_only=True):
    """A piece of the reply's text as the model wrote it."""

    turn: int
    index: int
    text: str


class Phrase(_Event, frozen=True, kw_only=True):
    """A piece of the reply that will be spoken."""

    turn: int
    phrase: int
    text: str


class Mark(_Event, frozen=True, kw_only=True):
    """A phrase's sound begins at `at_ms` (it follows), or ended there (it was heard)."""

    turn: int
    phrase: int
    edge: Literal["begin", "end"]
    at_ms: int


class Canned(_Event, frozen=True, kw_only=True):
    """The gateway itself says something, from `at_ms` on: that it takes a moment, or that this turn went wrong."""

    turn: int
    kind: Literal["hold", "apology"]
    text: str
    at_ms: int


class Cut(_Event, frozen=True, kw_only=True):
    """Stop, and throw away what was sent and not played yet: the sound ended at `at_ms`."""

    turn: int
    at_ms: int
    next_ms: int
    """The position of the next frame that comes: what lies between was cut, whether it arrived or not."""


class Turn(_Event, frozen=True, kw_only=True):
    """A turn is over."""

    report: TurnReport


class Error(_Event, frozen=True, kw_only=True):
    """Something was wrong; `sentence` says what to do. With `fatal` the connection closes."""

    code: str
    sentence: str
    fatal: bool


Event = Session | SpeechStarted | Partial | Transcript | Delta | Phrase | Mark | Canned | Cut | Turn | Error


class Interrupt(_Event, frozen=True, kw_only=True):
    """Stop the reply."""


class Position(_Event, frozen=True, kw_only=True):
    """So much of the sound sent on this connection was played."""

    at_ms: Annotated[float, msgspec.Meta(ge=0)]


class Bye(_Event, frozen=True, kw_only=True):
    """End the session now, instead of keeping it for a client that comes back."""


Request = Interrupt | Position | Bye

_REQUESTS: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_EVENTS: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_KNOWN: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Event))


class _Kind(msgspec.Struct):
    event: str


_KIND: Final = msgspec.json.Decoder(_Kind)


def encode(said: Event | Request) -> str:
    """Write an event or a request."""
    return msgspec.json.encode(said).decode()


def decode_event(text: str | bytes) -> Event | None:
    """Read an event; None for one of a kind that this version does not know.

    Raises:
        MalformedMessageError: it is no event at all.
    """
    return read(text, _EVENTS) if read(text, _KIND).event in _KNOWN else None


def decode_request(text: str | bytes) -> Request:
    """Read a request.

    Raises:
        MalformedMessageError: it is none; the message says what is wrong with it, and not what stood there.
    """
    return read(text, _REQUESTS)
