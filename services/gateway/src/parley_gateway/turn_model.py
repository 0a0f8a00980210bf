"""Did that sound finished? The last seconds of a turn in, a probability out, by the Smart Turn model on numpy.

`app` loads the model once per process, only for `endpointing: smart`; who wants to know asks through `turn_judges`.
What an answer is worth is decided in `endpointing`: the model alone errs in both directions.

Smart Turn 3 is the encoder of Whisper tiny with a head that knows one question, fed with Whisper's log-mel of 8 s. Two
things differ from Whisper: the silence that fills up short sound comes before it, and the whole 8 s are brought to mean
zero and variance one first (as `do_normalize` of transformers' WhisperFeatureExtractor does, by which it was trained).
"""

import functools
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from parley_contract.frames import RATE_HZ
from parley_gateway import onnx

Samples = npt.NDArray[np.float32]

HEARD_S: Final = 8
"""How far back the model hears; what came before makes no difference."""
_HEARD_SAMPLES: Final = HEARD_S * RATE_HZ
HEARD_BYTES: Final = 2 * _HEARD_SAMPLES

_FFT_SAMPLES: Final = 400
_HOP_SAMPLES: Final = 160
_MELS: Final = 80
_LEAST_VARIANCE: Final = 1e-7
_LEAST_POWER: Final = 1e-10
_RANGE: Final = 8.0
"""Decades of power below the loudest that are kept: 80 dB."""


class SmartTurnModel:
    """The real TurnModel: 27 ms on one thread, and 2 for the features."""

    def __init__(self, path: Path) -> None:
        """Load the model (8.7 MB) and run it once: its first run is slower.

        Raises:
            OSError: there is no such file.
        """
        # A plan of its memory takes 10 MiB.
        self._session = onnx.load(path, "audio turn model", plans_memory=False)
        self.judge(b"")

    def judge(self, pcm: bytes) -> float:
        """See TurnModel."""
        samples = np.frombuffer(pcm[-HEARD_BYTES:], "<i2").astype(np.float32) / np.float32(32768)
        # The output is called logits, and is a probability already.
        (probabilities,) = self._session.run(None, {"input_features": features(samples)[np.newaxis]})
        return float(probabilities.flat[0])


def features(samples: Samples) -> Samples:
    """Return what the model sees of some sound.

    Args:
        samples: (n,) float32 at 16 kHz in [-1, 1], at most 8 s.

    Returns:
        (80, 800) float32, log-mel in about [-1.5, 1.5], time from left to right.
    """
    heard = np.zeros(_HEARD_SAMPLES, np.float32)
    if len(samples):
        heard[-len(samples) :] = samples
    heard = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(_LEAST_VARIANCE))
    padded = np.pad(heard, _FFT_SAMPLES // 2, mode="reflect")
    # Whisper leaves out the frame after the last whole hop.
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[:-1:_HOP_SAMPLES]
    window, filters = _window_and_filters()
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    logs = np.log10(np.maximum(power @ filters, _LEAST_POWER)).T
    kept: Samples = np.maximum(logs, logs.max() - _RANGE).astype(np.float32)
    return (kept + np.float32(4)) / np.float32(4)


@functools.cache
def _window_and_filters() -> tuple[Samples, Samples]:
    """Return a periodic Hann window (400,) and mel filters (201, 80): Slaney's scale, triangles of equal area."""
    window = np.hanning(_FFT_SAMPLES + 1)[:-1]
    corners = _hertz(np.linspace(0, _mel(RATE_HZ / 2), _MELS + 2))
    bins = np.fft.rfftfreq(_FFT_SAMPLES, 1 / RATE_HZ)[:, np.newaxis]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters = np.maximum(triangles, 0) * 2 / (high - low)
    return window.astype(np.float32), filters.astype(np.float32)


_LINEAR_HZ: Final = 1000.0
"""Below, Slaney's mel scale is linear with 200/3 Hz to the mel; above, 27 mels multiply by 6.4."""
_HZ_PER_MEL: Final = 200 / 3
_LOG_STEP: Final = np.log(6.4) / 27


def _mel(hertz: float) -> float:
    return float(_LINEAR_HZ / _HZ_PER_MEL + np.log(hertz / _LINEAR_HZ) / _LOG_STEP)


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = mels - _LINEAR_HZ / _HZ_PER_MEL
    return np.where(above < 0, mels * _HZ_PER_MEL, _LINEAR_HZ * np.exp(above * _LOG_STEP))
