"""What happens to a speaker's sound, and what that makes of it: the events and happenings of the `utterances` reducer.

Used by `utterances` and by `inbound`, which translates between these and whoever listens. Positions are samples at
16 kHz since the speaker was first heard.
"""

from typing import Literal

import msgspec

from parley_contract.endings import Ending
from parley_contract.messages import Endpoint
from parley_gateway.segments import SpeechWindow


class FrameHeard(msgspec.Struct, frozen=True):
    """The next 20 ms frame of this speaker, with the windows that it completed."""

    windows: tuple[SpeechWindow, ...] = ()


class SoundJudged(msgspec.Struct, frozen=True):
    """The audio turn model has judged a pause."""

    until: int
    """Position up to which it heard; no less than the last voiced sample before the pause."""
    audio: float
    """How complete the turn sounded, in [0, 1]."""


class WordsJudged(msgspec.Struct, frozen=True):
    """A transcript of what was said before a pause has come."""

    until: int
    """Position up to which it heard."""
    ending: Ending


class TimePassed(msgspec.Struct, frozen=True):
    """Nothing but time; send it at `due`."""


class DoorClosed(msgspec.Struct, frozen=True):
    """No more frames will come."""


class Began(msgspec.Struct, frozen=True):
    """An utterance begins with frame number `first_frame`, its sequence 0."""

    first_frame: int
    first_voiced: int
    """Position of its first voiced sample, of the turn's for one that goes on."""
    continues: bool = False
    """Whether it goes on from the one that just ended, in the same turn."""
    reopens: bool = False
    """Whether it comes so soon after an endpoint that its speaker had only paused."""


class Paused(msgspec.Struct, frozen=True):
    """A segment ended; the utterance goes on until the endpoint."""

    last_seq: int
    """Sequence of the frame with the last voiced sample."""
    last_voiced: int
    """One past that sample."""


class Resumed(msgspec.Struct, frozen=True):
    """The next segment of it began."""

    latest_seq: int
    """Sequence of the frame by which that is certain."""
    first_voiced: int


class Ended(msgspec.Struct, frozen=True):
    """The utterance is over."""

    last_seq: int
    """Sequence of its last frame."""
    voiced_seq: int
    """Sequence of the frame with its last voiced sample; -1 if it has none itself."""
    last_voiced: int
    """One past its last voiced sample; of the utterance it continues, if it has none itself."""
    reason: Literal["endpoint", "max_length", "closed"]
    endpoint: Endpoint | None = None
    """By what it was decided; None unless it was an endpoint."""


Event = FrameHeard | SoundJudged | WordsJudged | TimePassed | DoorClosed
Happening = Began | Paused | Resumed | Ended
