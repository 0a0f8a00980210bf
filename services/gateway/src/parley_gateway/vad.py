"""Voice activity: 20 ms frames in, a speech probability per 32 ms window out, by Silero's ONNX model on numpy.

`inbound` has one detector per speaker; the model is loaded once per process and shared. Nothing here knows what a
segment is. The silero-vad package is never imported (it would import torch): only its model file is read.
"""

import math
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from parley_contract.frames import RATE_HZ
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
    """The loaded model; `detector` makes as many independent detectors as there are speakers."""

    def __init__(self, path: Path) -> None:
        """Load the model (1.3 MB, 28 MiB resident).

        Raises:
            OSError: there is no such file.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no voice activity model at {path}: `parley models pull` fetches it")
        options = onnxruntime.SessionOptions()
        # A window takes 70 us on one thread; a pool would only compete with the event loop.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def detector(self) -> "SileroDetector":
        """Begin to listen to one more speaker."""
        return SileroDetector(self._session)


class SileroDetector:
    """The real VoiceDetector: recurrent state and context of one speaker."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401  # onnxruntime ships no types
        """Begin in silence; `session` is the model's onnxruntime.InferenceSession."""
        self._session = session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
        self._pending = b""
        self._end = 0

    def feed(self, pcm: bytes) -> tuple[SpeechWindow, ...]:
        """See VoiceDetector."""
        self._pending += pcm
        if len(self._pending) < _WINDOW_BYTES:
            return ()
        whole = len(self._pending) // _WINDOW_BYTES * _WINDOW_BYTES
        samples = np.frombuffer(self._pending[:whole], "<i2").astype(np.float32) / np.float32(32768)
        self._pending = self._pending[whole:]
        return tuple(self._judge(window) for window in samples.reshape(-1, WINDOW_SAMPLES))

    def _judge(self, window: NDArray[np.float32]) -> SpeechWindow:
        self._input[0, :_CONTEXT_SAMPLES] = self._input[0, -_CONTEXT_SAMPLES:]
        self._input[0, _CONTEXT_SAMPLES:] = window
        feeds = {"input": self._input, "state": self._state, "sr": _RATE}
        probability, self._state = self._session.run(None, feeds)
        self._end += WINDOW_SAMPLES
        # A thousand times a second with many speakers: for four numbers plain arithmetic is ten times numpy's speed.
        blocks = window.reshape(-1, BLOCK_SAMPLES)
        energies: list[float] = np.einsum("ij,ij->i", blocks, blocks).tolist()
        levels_db = tuple(10 * math.log10(max(energy / BLOCK_SAMPLES, _QUIETEST)) for energy in energies)
        return SpeechWindow(self._end, float(probability[0, 0]), levels_db)
