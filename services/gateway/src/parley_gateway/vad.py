"""Voice activity: 20 ms frames in, a speech probability per 32 ms window out, by Silero's ONNX model on numpy.

`gathering` has one detector per speaker; the model is loaded once per process and shared. Nothing here knows what a
segment is. The silero-vad package is never imported (it would import torch): only its model file is read.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from parley_contract.frames import RATE_HZ
from parley_gateway import onnx
from parley_gateway.segments import BLOCK_SAMPLES, WINDOW_SAMPLES, SpeechWindow

_CONTEXT_SAMPLES: Final = 64
"""The model wants the end of the window before, at 16 kHz; without it probabilities are too low."""
_QUIETEST: Final = 1e-12
"""Power of digital silence, -120 dB: it has no logarithm."""
_WINDOW_BYTES: Final = 2 * WINDOW_SAMPLES
_RATE: Final = np.array(RATE_HZ, np.int64)


class VoiceDetector(Protocol):
    """Judges the sound of one speaker, in order."""

    def feed(self, pcm: bytes) -> tuple[SpeechWindow, ...]:
        """Take in s16le PCM at 16 kHz mono of any length; return the windows it completes (none or one per frame)."""
        ...


class SileroModel:
    """The loaded model, 70 us a window; `detector` makes as many independent detectors as there are speakers."""

    def __init__(self, path: Path) -> None:
        """Load the model (1.3 MB, 28 MiB resident).

        Raises:
            OSError: there is no such file.
        """
        self._session = onnx.load(path, "voice activity model")

    def detector(self) -> "SileroDetector":
        """Begin to listen to one more speaker."""
        return SileroDetector(self)

    def judge(self, feeds: Sequence[tuple["SileroDetector", bytes]]) -> list[tuple[SpeechWindow, ...]]:
        """Take the next sound of some speakers, none of them twice, in one run of the model.

        Args:
            feeds: detectors of this model, each with at most one window of s16le PCM.

        Returns:
            For each the windows that it completes: none or one.
        """
        ready = [detector for detector, pcm in feeds if detector.append(pcm)]
        if not ready:
            return [()] * len(feeds)
        sound = b"".join(detector.pop_window() for detector in ready)
        windows = (np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768)).reshape(-1, WINDOW_SAMPLES)
        contexts = np.stack([detector.context for detector in ready])
        states = np.concatenate([detector.state for detector in ready], axis=1)
        inputs = {"input": np.concatenate((contexts, windows), axis=1), "state": states, "sr": _RATE}
        probabilities, states = self._session.run(None, inputs)
        # A thousand times a second with many speakers: for four numbers plain arithmetic is ten times numpy's speed.
        blocks = windows.reshape(len(ready), -1, BLOCK_SAMPLES)
        energies: list[list[float]] = np.einsum("bij,bij->bi", blocks, blocks).tolist()
        judged: dict[SileroDetector, SpeechWindow] = {}
        for number, detector in enumerate(ready):
            detector.context, detector.state = windows[number, -_CONTEXT_SAMPLES:], states[:, number : number + 1]
            levels_db = tuple(10 * math.log10(max(energy / BLOCK_SAMPLES, _QUIETEST)) for energy in energies[number])
            judged[detector] = SpeechWindow(detector.end, float(probabilities[number, 0]), levels_db)
        return [(judged[detector],) if detector in judged else () for detector, _ in feeds]


class SileroDetector:
    """The real VoiceDetector: recurrent state and context of one speaker, which the model reads and writes."""

    def __init__(self, model: SileroModel) -> None:
        """Begin in silence."""
        self.state = np.zeros((2, 1, 128), np.float32)
        self.context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        """The end of the window before."""
        self.end = 0
        """Position one past the last sample of the latest window."""
        self._model = model
        self._pending = b""

    def feed(self, pcm: bytes) -> tuple[SpeechWindow, ...]:
        """See VoiceDetector."""
        pieces = (pcm[start : start + _WINDOW_BYTES] for start in range(0, len(pcm), _WINDOW_BYTES))
        return tuple(window for piece in pieces for window in self._model.judge([(self, piece)])[0])

    def append(self, pcm: bytes) -> bool:
        """Take in more sound; say whether it completes a window."""
        self._pending += pcm
        return len(self._pending) >= _WINDOW_BYTES

    def pop_window(self) -> bytes:
        """Take the completed window out."""
        window, self._pending = self._pending[:_WINDOW_BYTES], self._pending[_WINDOW_BYTES:]
        self.end += WINDOW_SAMPLES
        return window
