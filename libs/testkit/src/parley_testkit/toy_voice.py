"""A voice for tests: says 20 ms of a steady sound per letter, breaks when told to, and remembers what it was told.

A fake `Synthesizer` that passes the suite of the real ones. Not for anything that is about how speech sounds.
"""

import threading
from typing import Final

import numpy as np

from parley_contract.frames import FRAME_SAMPLES, RATE_HZ
from parley_tts.engines import CannotSpeakError, Samples, Speech, Take, Voice

PIECE: Final[Samples] = np.full(FRAME_SAMPLES, 0.5, dtype=np.float32)
"""What a letter sounds like."""


class ToySynthesizer:
    """Implements `parley_tts.engines.Synthesizer`."""

    def __init__(self, engine: str = "toy", *, languages: tuple[str, ...] = ("en", "ko")) -> None:
        self.told: list[Speech] = []
        """Every text, in order."""
        self.taken = 0
        """Pieces that somebody wanted."""
        self.threads: set[str] = set()
        """Names of the threads it worked in."""
        self.failures: list[Exception] = []
        """Raised one by one, a text each."""
        self.breaks_after = 0
        """How many pieces are heard before a failure is raised."""
        self.gate: threading.Event | None = None
        """Where there is one, it is waited for before every piece but a text's first."""
        self._voice = Voice(engine=engine, name="tone", rate_hz=RATE_HZ)
        self._languages = languages

    @property
    def voice(self) -> Voice:
        """Who speaks."""
        return self._voice

    def speak(self, speech: Speech, take: Take) -> None:
        """Say a piece for every letter or digit."""
        self.told.append(speech)
        self.threads.add(threading.current_thread().name)
        if speech.language not in self._languages:
            raise CannotSpeakError(f"no voice for {speech.language}")
        letters = sum(character.isalnum() for character in speech.text)
        if not letters:
            raise CannotSpeakError("nothing to say")
        failure = self.failures.pop(0) if self.failures else None
        for number in range(max(1, round(letters / speech.speed))):
            if failure is not None and number >= self.breaks_after:
                raise failure
            if number and self.gate is not None:
                self.gate.wait(10)
            if not take(PIECE):
                return
            self.taken += 1
        if failure is not None:
            raise failure
