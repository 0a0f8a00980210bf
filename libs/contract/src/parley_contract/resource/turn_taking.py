"""When somebody has finished, and who speaks when."""

from typing import Annotated, Literal

import msgspec

from parley_contract.resource.parts import Milliseconds, Part


class BargeIn(Part, frozen=True):
    """When speech over playback counts."""

    min_speech_ms: Milliseconds = 500
    """Speech over a reply that lasts so long ends it; shorter speech does if it has words."""
    resume_after_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 2.0
    """A reply that gave way to a sound without words goes on after so long, at the latest."""


class Watchdog(Part, frozen=True):
    """How long a person may wait before hearing something, and before an apology."""

    hold_after_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 4.0
    """Whoever waits for so long is told that it takes a moment."""
    fail_after_s: Annotated[float, msgspec.Meta(ge=2, le=120)] = 12.0
    """A turn without a sound for so long has failed, and that is said."""


Speculation = Literal["off", "asr", "llm", "tts"]
"""What is done before it is certain that somebody has finished: nothing, the transcript, the reply, its first sound."""


class TurnTaking(Part, frozen=True):
    """When somebody has finished, and who speaks when."""

    endpoint_ms: Annotated[int, msgspec.Meta(ge=100, le=5000)] = 500
    """Silence after which the speaker has finished; with `smart`, where nothing speaks for less or more."""
    reopen_ms: Milliseconds = 1000
    """Who goes on within this of the endpoint had not finished: it makes up for a fast endpoint (decision 0011)."""
    min_speech_ms: Annotated[int, msgspec.Meta(ge=32, le=2000)] = 100
    """Shorter sounds are no speech; a plain yes has 200 ms."""
    max_utterance_s: Annotated[float, msgspec.Meta(ge=5, le=90)] = 30.0
    """A longer utterance is cut at a pause and goes on in another of the same turn."""
    endpointing: Literal["silence", "smart"] = "smart"
    """`smart` also listens: to how the turn sounds, to its last words, and to the speaker's own pauses."""
    speculation: Speculation = "tts"
    """What is done before it is certain that somebody has finished: nothing ("off", in quotes: YAML takes it for false
    otherwise), the transcript, the reply, its sound."""
    barge_in: BargeIn = BargeIn()
    watchdog: Watchdog = Watchdog()
