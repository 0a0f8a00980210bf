"""What playback is told, and what it does: the events and effects of the `playback` reducer.

Used by `playback` and its parts, and by `sounding`, which translates between these and what is said on the bus and to
the door.
"""

import msgspec

from parley_contract.frames import Frame


class PlaybackRules(msgspec.Struct, frozen=True, kw_only=True):
    """How sound is sent."""

    ahead_ms: int = 100
    """Sent ahead of time, at most: the listener's jitter buffer, and what an interrupt has to throw away."""
    stall_s: float = 6.0
    """A phrase that was announced and does not come on for so long is given up. Redelivery (1.5 s) must fit in."""


# What playback is told.


class PhraseAnnounced(msgspec.Struct, frozen=True):
    """The reply has a phrase of this number."""

    turn: int
    revision: int
    phrase: int


class FrameArrived(msgspec.Struct, frozen=True):
    """A frame of a phrase came from a tts worker."""

    turn: int
    phrase: int
    frame: Frame


class PhraseLost(msgspec.Struct, frozen=True):
    """No more frames of this phrase will come."""

    turn: int
    revision: int
    phrase: int


class ReplyComplete(msgspec.Struct, frozen=True):
    """The reply has so many phrases and no more."""

    turn: int
    revision: int
    phrases: int


class SayBefore(msgspec.Struct, frozen=True):
    """Say something canned before this turn's reply, unless something of it, or of another, is on its way already."""

    turn: int
    revision: int
    frames: tuple[bytes, ...]
    """PCM of 20 ms each."""


class SayAfter(msgspec.Struct, frozen=True):
    """Say something canned although this turn is over, unless something else is on its way already."""

    turn: int
    frames: tuple[bytes, ...]
    """PCM of 20 ms each."""


class Stop(msgspec.Struct, frozen=True):
    """Play nothing more of this turn."""

    turn: int


class Pause(msgspec.Struct, frozen=True):
    """Hold the reply where it is heard now; what is under way is taken back."""


class Resume(msgspec.Struct, frozen=True):
    """Go on from there."""

    is_new_stream: bool = False
    """The listener is connected anew: positions count from 0 again."""


class GiveWay(msgspec.Struct, frozen=True):
    """Somebody speaks: hold the reply as Pause does, until TakeUp. Neither lifts what the other holds."""


class TakeUp(msgspec.Struct, frozen=True):
    """Nobody speaks any more: go on."""


class Withdraw(msgspec.Struct, frozen=True):
    """Take this turn's reply back, as if nothing of it had been said; another may come."""

    turn: int


class Revise(msgspec.Struct, frozen=True):
    """Another reply to this turn was begun: take back what is older. What is canned holds for any."""

    turn: int
    revision: int


class PositionReported(msgspec.Struct, frozen=True):
    """The listener has played so much of what was streamed to it."""

    position_ms: float


class TimePassed(msgspec.Struct, frozen=True):
    """Send it at `due`."""


Cue = (
    PhraseAnnounced
    | FrameArrived
    | PhraseLost
    | ReplyComplete
    | SayBefore
    | SayAfter
    | Stop
    | Pause
    | Resume
    | GiveWay
    | TakeUp
    | Withdraw
    | Revise
    | PositionReported
    | TimePassed
)

# What it does. `at_ms` is a position in the stream of everything sent on this connection.


class Send(msgspec.Struct, frozen=True):
    """Send this 20 ms frame now."""

    pcm: bytes


class PhraseBegan(msgspec.Struct, frozen=True):
    """The next frame is a phrase's first."""

    turn: int
    revision: int
    phrase: int
    at_ms: int


class CannedBegan(msgspec.Struct, frozen=True):
    """The next frame is the first of what is canned."""

    turn: int
    at_ms: int


class PhraseOver(msgspec.Struct, frozen=True):
    """Nothing more of this phrase will be heard."""

    turn: int
    revision: int
    phrase: int
    played_ms: int
    whole: bool
    at_ms: int


class Sounded(msgspec.Struct, frozen=True):
    """The first audible sample of the reply is heard at `at`, monotonic seconds."""

    turn: int
    at: float


class RanDry(msgspec.Struct, frozen=True):
    """The listener had to wait in the middle of the reply."""

    turn: int


class Cut(msgspec.Struct, frozen=True):
    """The listener is to throw away what it has not played yet."""

    turn: int
    at_ms: int
    next_ms: int
    """Where in the stream the next frame will stand."""


class ReplyOver(msgspec.Struct, frozen=True):
    """The turn's sound has ended: to its end, or because it was stopped or overtaken by a newer turn's reply."""

    turn: int
    played_ms: int
    is_complete: bool
    phrase: int = -1
    """The phrase that was being heard when it was stopped; -1 for none."""
    phrase_played_ms: int = 0
    phrase_ms: int = 0
    """How long that phrase is; 0 while not all of it is here."""


Action = Send | PhraseBegan | CannedBegan | PhraseOver | Sounded | RanDry | Cut | ReplyOver
Actions = tuple[Action, ...]
