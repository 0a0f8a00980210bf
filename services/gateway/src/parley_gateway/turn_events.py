"""What happens to a session's turns, and what follows: the events and effects of the `turns` reducer.

Made by `ears`, `sessions` and `subscriptions`, carried out by `turn_keeping`. Messages of the bus, and the frames,
positions and time of `cues`, are events too.
"""

from typing import Literal

import msgspec

from parley_contract import door
from parley_contract.messages import Endpoint, Message, TurnMessage, TurnReport
from parley_gateway import cues
from parley_gateway.reports import Moments


class SpeechBegan(msgspec.Struct, frozen=True, kw_only=True):
    """An utterance began, of a new turn unless it says otherwise."""

    speaker: str
    voiced_at: float
    """When its first voiced sample was captured."""
    continues: bool = False
    """Whether it goes on in the speaker's running turn, whose utterance was cut."""
    reopens: bool = False
    """Whether it comes so soon after an endpoint that its speaker had only paused."""
    name: str = ""
    """How its speaker is called, where there are others."""


class SpeechPaused(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the running utterance ended."""

    speaker: str
    last_seq: int
    voiced_until: float


class SpeechResumed(msgspec.Struct, frozen=True, kw_only=True):
    """The next segment of the running utterance began."""

    speaker: str
    latest_seq: int
    voiced_at: float


class SpeechEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The running utterance ended."""

    speaker: str
    last_seq: int
    voiced_seq: int
    voiced_until: float
    reason: Literal["endpoint", "max_length", "closed"]
    endpoint: Endpoint | None = None
    """By what it was decided, if it was an endpoint."""


class ClientInterrupted(msgspec.Struct, frozen=True):
    """The listener wants quiet."""


class ListenerLeft(msgspec.Struct, frozen=True):
    """The connection is gone; the session waits for it to come back."""


class ListenerJoined(msgspec.Struct, frozen=True):
    """A connection is there, for the first time or again."""


class SessionClosed(msgspec.Struct, frozen=True):
    """Nobody will come back."""


Event = (
    Message
    | SpeechBegan
    | SpeechPaused
    | SpeechResumed
    | SpeechEnded
    | cues.FrameArrived
    | cues.PositionReported
    | cues.TimePassed
    | ClientInterrupted
    | ListenerLeft
    | ListenerJoined
    | SessionClosed
)

# Effects.


class Record(msgspec.Struct, frozen=True):
    """Say it on the bus, acknowledged, once under `message_id`."""

    message: TurnMessage
    message_id: str


class Say(msgspec.Struct, frozen=True):
    """Say it on the bus to whoever listens."""

    message: TurnMessage


class Tell(msgspec.Struct, frozen=True):
    """Tell the client."""

    event: door.Event


class Play(msgspec.Struct, frozen=True):
    """Send a frame to the client."""

    pcm: bytes


class Forget(msgspec.Struct, frozen=True):
    """The frames of this utterance are of no more use."""

    utterance: str


class Conclude(msgspec.Struct, frozen=True):
    """The turn is over: record its report, end its trace, count it."""

    report: TurnReport
    moments: Moments


Effect = Record | Say | Tell | Play | Forget | Conclude
