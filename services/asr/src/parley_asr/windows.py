"""Cuts an utterance that is longer than the encoder's window where it hurts least. Pure; called by `hearing`.

A window ends at the quietest place of its last third. Where that is a pause, the next one begins right there and the
two share nothing; where the speaker never paused, they share `overlap` samples, and `stitching` takes the doubled
words out again. Windows are settled from the left: more audio never moves a cut that was made, so that a running
utterance decodes each of them once. Not here: decoding, text.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from parley_asr.engines import Samples
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ

_SEARCHED_PART: Final = 3
"""A cut is looked for in the last third: with 10 s, 3.3 s of speech, in which people nearly always pause."""
_PAUSE_FRAMES: Final = 10
"""200 ms. Shorter quiet is inside words: the closure of a plosive takes 50 to 150 ms."""
_PAUSE_BELOW_SPEECH_DB: Final = 15.0
"""How much quieter than the window's speech a pause is; room noise lies further below, quiet syllables do not."""
SILENCE_DBFS: Final = -60.0
"""Below this it is quiet whatever the rest of the window is like."""
_FLOOR_DBFS: Final = -100.0
_ROOM_S: Final = 0.5
"""Left empty in the encoder's window: where speech fills it to the brim, the decoder misses that it ended and goes on
(tiny.en, 10 s, 17 minutes of dense speech: 4 loops in 138 windows without room, 1 in 142 with it)."""


class Limits(NamedTuple):
    """Sizes in samples; `overlap` less than two thirds of `window`, or cutting would not advance."""

    window: int
    overlap: int


class Window(NamedTuple):
    """Samples [start, end) of an utterance."""

    start: int
    end: int
    shares_start: bool = False
    """Its first `overlap` samples are the last of the window before: no pause was found between them."""


class Cut(NamedTuple):
    """Where to cut, in samples from the start of what was looked at."""

    at: int
    is_pause: bool


class Pause(NamedTuple):
    """Samples [start, end) between speech."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """In samples."""
        return self.end - self.start

    @property
    def middle(self) -> int:
        """The sample to cut at."""
        return (self.start + self.end) // 2


def limits(*, encoder_window_s: float, overlap_ms: int) -> Limits:
    """Express settings in samples; an overlap of more than half a window is taken as half."""
    window = round((encoder_window_s - _ROOM_S) * RATE_HZ)
    return Limits(window=window, overlap=min(overlap_ms * RATE_HZ // 1000, window // 2))


def plan(samples: Samples, limits: Limits, *, start: int = 0, shares_start: bool = False) -> list[Window]:
    """Windows over `samples[start:]`, in order; all but the last are settled, whatever follows.

    Empty input makes no window. To go on when there is more, start where the last window did.
    """
    windows: list[Window] = []
    while len(samples) - start > limits.window:
        cut = quietest(samples[start : start + limits.window])
        end = start + cut.at
        windows.append(Window(start, end, shares_start))
        start, shares_start = (end, False) if cut.is_pause else (end - limits.overlap, True)
    if start < len(samples):
        windows.append(Window(start, len(samples), shares_start))
    return windows


def quietest(samples: Samples) -> Cut:
    """Find the middle of the quietest 200 ms in the last third of one window; the latest of equals."""
    levels = levels_dbfs(samples)
    speech_db = float(np.percentile(levels, 90))
    first = len(levels) - max(len(levels) // _SEARCHED_PART, _PAUSE_FRAMES)
    searched = levels[first:]
    # The loudest frame decides: a mean would call a short loud syllable between two closures quiet.
    loudest = np.lib.stride_tricks.sliding_window_view(searched, _PAUSE_FRAMES).max(axis=1)
    quiet = len(loudest) - 1 - int(np.argmin(loudest[::-1]))
    is_pause = loudest[quiet] < max(speech_db - _PAUSE_BELOW_SPEECH_DB, SILENCE_DBFS)
    return Cut(at=(first + quiet + _PAUSE_FRAMES // 2) * FRAME_SAMPLES, is_pause=bool(is_pause))


def speech_s(samples: Samples, *, until_s: float | None = None) -> float:
    """Estimate how many seconds of it, or of its beginning, are speech and no pause, by loudness alone."""
    end = None if until_s is None else round(until_s * RATE_HZ / FRAME_SAMPLES)
    return int(np.count_nonzero(_are_speech(samples)[:end])) * FRAME_SAMPLES / RATE_HZ


def is_pause(samples: Samples, start_s: float, end_s: float) -> bool:
    """Whether nobody speaks between two moments, beside how loud speech is in all of it; estimated as `speech_s`."""
    first, last = (round(at_s * RATE_HZ / FRAME_SAMPLES) for at_s in (start_s, end_s))
    return not _are_speech(samples)[first:last].any()


def speech_begins(samples: Samples) -> int:
    """Return the first sample that is speech by loudness; how many there are where none is."""
    spoken = np.flatnonzero(_are_speech(samples))
    return int(spoken[0]) * FRAME_SAMPLES if len(spoken) else len(samples)


def longest_pause(samples: Samples) -> Pause | None:
    """Find the longest pause between speech, the first of equals; None where it is unbroken, or there is none."""
    spoken = np.flatnonzero(_are_speech(samples))
    quiet = np.diff(spoken) - 1
    if not len(quiet) or not quiet.max():
        return None
    longest = int(np.argmax(quiet))
    start = (int(spoken[longest]) + 1) * FRAME_SAMPLES
    return Pause(start, start + int(quiet[longest]) * FRAME_SAMPLES)


def _are_speech(samples: Samples) -> npt.NDArray[np.bool_]:
    """(n // 320,) bool: whether each whole 20 ms is louder than a pause, beside how loud speech is in all of it."""
    levels = levels_dbfs(samples)
    if not len(levels):
        return np.zeros(0, dtype=np.bool_)
    return levels > max(float(np.percentile(levels, 90)) - _PAUSE_BELOW_SPEECH_DB, SILENCE_DBFS)


def levels_dbfs(samples: Samples) -> Samples:
    """(n // 320,) float32: the RMS level of each whole 20 ms, not below -100 dBFS."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.mean(np.square(frames), axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DBFS / 10))), dtype=np.float32)
