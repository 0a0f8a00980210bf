"""A voice detector that calls loud sound speech: the fake `VoiceDetector`, for tests on virtual time.

It is fed and answers like the real one, in the same windows, and remembers how much it was told. Not for judging
detection: a slammed door is speech to it.
"""

import numpy as np

from parley_gateway.segments import BLOCK_SAMPLES, WINDOW_SAMPLES, SpeechWindow

_LOUD_DB = -45.0


class LoudnessDetector:
    """Implements `parley_gateway.vad.VoiceDetector`."""

    def __init__(self) -> None:
        self.samples = 0
        """How many samples it was fed."""
        self._pending = b""

    def feed(self, pcm: bytes) -> tuple[SpeechWindow, ...]:
        """See VoiceDetector."""
        self._pending += pcm
        windows: list[SpeechWindow] = []
        while len(self._pending) >= 2 * WINDOW_SAMPLES:
            window, self._pending = self._pending[: 2 * WINDOW_SAMPLES], self._pending[2 * WINDOW_SAMPLES :]
            self.samples += WINDOW_SAMPLES
            blocks = np.frombuffer(window, "<i2").astype(np.float32).reshape(-1, BLOCK_SAMPLES) / 32768
            levels_db = 10 * np.log10(np.maximum(np.mean(blocks**2, axis=1), 1e-12))
            probability = 0.95 if float(levels_db.max()) > _LOUD_DB else 0.02
            windows.append(SpeechWindow(self.samples, probability, tuple(levels_db.tolist())))
        return tuple(windows)
