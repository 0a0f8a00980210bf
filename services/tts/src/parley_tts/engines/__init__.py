"""What turns words into sound: the seam between this service and whatever engine speaks.

Called by `speaking` (in its one thread) through `Synthesizer`; the engines live one per file beside this one. Not here:
frames, the bus, what makes a text speakable. Engines under the GPL are separate processes, never imported.

Errors an engine raises, and what they mean for the phrase:

    SynthesisFailedError(RetryableError)   this time it did not work (a process died, no memory); another engine or
                                           another attempt may
    CannotSpeakError(PermanentError)       this engine will never speak this text (another language, no sound in it)
    EngineUnusableError(PermanentError)    the engine cannot be started as configured
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from parley_contract.errors import PermanentError, RetryableError

Samples = npt.NDArray[np.float32]
"""(n,) float32 mono in [-1, 1], at the voice's own rate."""

Take = Callable[[Samples], bool]
"""Receives sound piece by piece; returns whether more is wanted."""


class SynthesisFailedError(RetryableError):
    """The engine broke while it spoke."""


class CannotSpeakError(PermanentError):
    """The engine works, but this text is nothing it can speak."""


class EngineUnusableError(PermanentError):
    """The engine does not start; the sentence says what to install or change."""


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks, for `/status`, spans and metrics."""

    engine: str
    """`piper` or `espeak`, as in the resource."""
    name: str
    """The voice's name; empty where the language alone decides."""
    rate_hz: int


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, and how."""

    text: str
    """Speakable: see `speakable`."""
    language: str
    """ISO 639-1, perhaps with a region (`en`, `ko`, `pt-BR`)."""
    speed: float = 1.0
    """1 is the voice's own pace, 2 twice as fast."""


class Synthesizer(Protocol):
    """An engine with a loaded voice. Not thread-safe: one caller at a time."""

    @property
    def voice(self) -> Voice:
        """Who speaks."""

    def speak(self, speech: Speech, take: Take) -> None:
        """Say it, handing over sound as soon as there is some; blocks until all is said or `take` returns False.

        Raises:
            SynthesisFailedError: it broke on the way.
            CannotSpeakError: this text is not for this engine.
        """
