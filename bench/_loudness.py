"""Where in a recording a voice is audible, by loudness alone; for clean speech. Pure.

It annotates what `_rendering` makes, so it must not be any detector that is being measured.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""(n,) float32 mono in [-1, 1] at 16 kHz."""

SPEECH_DB: Final = -23.0
"""Loudness of what is said, RMS of its voiced parts in dB of full scale: that of broadcasts (EBU R 128)."""
BLOCK: Final = 80
"""Samples whose loudness is judged together: 5 ms."""
FALL_DB: Final = 35.0
"""A block this far below the loudest is no voice any more: final fricatives lie 20 to 25 dB below a vowel."""
_SILENCE: Final = 1e-6


class Voiced(NamedTuple):
    """From the first audible sample to one past the last."""

    begin: int
    end: int


def voiced(samples: Samples) -> Voiced:
    """Find the audible part.

    Raises:
        ValueError: there is none.
    """
    levels = _levels(samples)
    if levels.size == 0 or levels.max() <= _SILENCE:
        raise ValueError("nothing can be heard in this sound")
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-FALL_DB / 20))
    return Voiced(int(loud[0]) * BLOCK, min(len(samples), (int(loud[-1]) + 1) * BLOCK))


def speech_rms(samples: Samples) -> float:
    """Return the root mean square of the blocks in which the voice is audible: pauses count for nothing."""
    levels = _levels(samples)
    loud = levels[levels > levels.max() * 10 ** (-FALL_DB / 20)]
    return float(np.sqrt(np.mean(loud**2)))


def _levels(samples: Samples) -> NDArray[np.float64]:
    """Return the root mean square of each block, the last one filled up with silence."""
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % BLOCK))
    levels: NDArray[np.float64] = np.sqrt(np.mean(padded.reshape(-1, BLOCK) ** 2, axis=1))
    return levels
