"""Sound as an engine makes it into frames' PCM: silence in front trimmed, 16 kHz, s16le, 20 ms pieces. Pure.

`speaking` makes one `Shaper` per phrase. Not here: frames' headers and sequences, which are the worker's.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from parley_contract.frames import FRAME_BYTES, RATE_HZ
from parley_tts.engines import Samples

LEADING_SILENCE_MS: Final = 4
"""What is left of the silence before the first sound. Piper begins with up to 75 ms of it, and until the first audible
sample the listener waits."""
AUDIBLE: Final = 0.003
"""-50 dB of full scale, above the noise that voices begin with. Soft beginnings (an f, an h) rise from there to -40 dB
within 4 ms at the median, in one of ten phrases within 16, and are not clipped."""


class Shaper:
    """Shapes the sound of one phrase."""

    def __init__(self, rate_hz: int) -> None:
        """Expect sound at `rate_hz`."""
        self._lead = _Lead(LEADING_SILENCE_MS * rate_hz // 1000)
        self._resampler = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32")
        self._rest = b""

    def feed(self, samples: Samples) -> list[bytes]:
        """Return the whole frames' PCM that there is now."""
        return self._cut(self._resampler.resample_chunk(self._lead.feed(samples)))

    def finish(self) -> list[bytes]:
        """Return what is left; the last piece may be shorter than a frame."""
        pieces = self._cut(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return [*pieces, self._rest] if self._rest else pieces

    def _cut(self, samples: Samples) -> list[bytes]:
        data = self._rest + to_s16le(samples)
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        return [data[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES)]


class _Lead:
    """Drops all but the end of the silence before the first sound."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._held: list[Samples] | None = []

    def feed(self, samples: Samples) -> Samples:
        if self._held is None:
            return samples
        silent = np.concatenate([*self._held, samples])
        audible = np.flatnonzero(np.abs(silent) > AUDIBLE)
        if len(audible) == 0:
            self._held = [silent[max(0, len(silent) - self._keep) :]]
            return silent[:0]
        self._held = None
        return silent[max(0, audible[0] - self._keep) :]


def to_s16le(samples: Samples) -> bytes:
    """Return the samples as 16-bit PCM, clipped: resampling may overshoot."""
    clipped: npt.NDArray[np.float32] = np.clip(samples, -1.0, 1.0)
    return np.round(clipped * np.float32(32767)).astype("<i2").tobytes()
