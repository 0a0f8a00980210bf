"""Speech probabilities become segments: unbroken speech of one speaker, and exactly where it began and stopped.

Called by `utterances` for every window that a `vad.VoiceDetector` judged. Pure, without a clock: positions are
samples at 16 kHz since the speaker was first heard. It does not decide who has finished speaking: that is `utterances`.

**Where speech stops.** Silero goes on saying "speech" after a voice has fallen silent: 70 ms at the median and up to
120 on clean recordings, 110 and up to 230 in noise at 12 dB. Every figure of a turn is measured from the last voiced
sample, and that lag would flatter all of them. So within the windows the model calls speech, the last voiced sample is
the end of the last 8 ms block that is neither far below the loudest one nor close to the noise before the segment, at
most `BACKDATE_SAMPLES` before the model's own end (a weak last syllable is still speech). On 27 recordings that is
2 ms late at the median when clean (-41 to 25), 13 ms at 12 dB (-102 to 133).
"""

from typing import Annotated, Final, Literal

import msgspec

from parley_contract.frames import RATE_HZ

WINDOW_SAMPLES: Final = 512
"""What Silero judges at a time at 16 kHz: 32 ms."""
BLOCK_SAMPLES: Final = 128
"""Resolution of loudness: 8 ms."""
BACKDATE_SAMPLES: Final = 3 * WINDOW_SAMPLES
FALL_DB: Final = 35.0
"""A block this far below the segment's loudest is no voice: final fricatives lie 20 to 25 dB below a vowel."""

ABOVE_NOISE_DB: Final = 6.0
"""A block less than this above the noise is none either."""
_QUIET_DB: Final = -120.0
_NOISE_SHARE: Final = 0.1
"""How much of each silent window goes into the noise level: a third of a second of memory."""

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class SpeechWindow(msgspec.Struct, frozen=True):
    """One judged window of `WINDOW_SAMPLES`."""

    end: int
    """Position one past its last sample."""
    probability: float
    """That it holds speech, in [0, 1]."""
    levels_db: tuple[float, ...]
    """RMS of each of its blocks of `BLOCK_SAMPLES`, in dB of full scale."""


class SegmentRules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as speech. Defaults of the thresholds: Silero's own (exit = enter - 0.15)."""

    enter: Probability = 0.5
    """A window at least this likely begins or takes up speech."""
    exit: Probability = 0.35
    """Speech goes on until a window is less likely than this; the gap stops it from fluttering."""
    min_speech_ms: int = 128
    """Voice shorter than this is a click or a cough, and nothing happens."""
    hangover_ms: int = 100
    """Silence after which a segment has ended; shorter gaps are within words."""


class SpeechStarted(msgspec.Struct, frozen=True):
    """There is enough voice to be speech."""

    first_voiced: int


class SpeechStopped(msgspec.Struct, frozen=True):
    """The segment has ended; `last_voiced` is one past its last voiced sample."""

    last_voiced: int


class Segment(msgspec.Struct, frozen=True):
    """What has been heard so far; `last_voiced` is kept up to date in every phase but `silent`."""

    phase: Literal["silent", "suspected", "speaking"] = "silent"
    """`suspected`: a voice, not long enough yet to be called speech."""
    is_voiced: bool = False
    """Whether the latest window was."""
    first_voiced: int = 0
    last_voiced: int = 0
    voiced_samples: int = 0
    peak_db: float = _QUIET_DB
    noise_db: float = _QUIET_DB
    """Level of the silence before; what no silence was heard of yet is taken for quiet."""


def step(
    state: Segment, window: SpeechWindow, rules: SegmentRules
) -> tuple[Segment, SpeechStarted | SpeechStopped | None]:
    """Take in one window; windows come in order and without a hole."""
    if window.probability >= (rules.exit if state.is_voiced else rules.enter):
        return _voiced(state, window, rules)
    if state.phase == "silent":
        return silence(_noise(state, window)), None
    if _samples(rules.hangover_ms) > window.end - state.last_voiced:
        return msgspec.structs.replace(state, is_voiced=False), None
    return silence(state.noise_db), SpeechStopped(state.last_voiced) if state.phase == "speaking" else None


def silence(noise_db: float) -> Segment:
    """Return the state in which nobody speaks."""
    return Segment(noise_db=noise_db)


def _noise(state: Segment, window: SpeechWindow) -> float:
    level_db = sum(window.levels_db) / len(window.levels_db)
    if state.noise_db == _QUIET_DB:
        return level_db
    return state.noise_db + _NOISE_SHARE * (level_db - state.noise_db)


def _voiced(state: Segment, window: SpeechWindow, rules: SegmentRules) -> tuple[Segment, SpeechStarted | None]:
    begin = window.end - WINDOW_SAMPLES
    first = begin if state.phase == "silent" else state.first_voiced
    heard = state.voiced_samples + WINDOW_SAMPLES
    started = state.phase != "speaking" and heard >= _samples(rules.min_speech_ms)
    peak = max(state.peak_db, *window.levels_db)
    voice_db = max(peak - FALL_DB, state.noise_db + ABOVE_NOISE_DB)
    loud = [index for index, level in enumerate(window.levels_db, 1) if level > voice_db]
    last = begin + loud[-1] * BLOCK_SAMPLES if loud else 0
    after = Segment(
        phase="speaking" if started or state.phase == "speaking" else "suspected",
        is_voiced=True,
        first_voiced=first,
        last_voiced=max(last, state.last_voiced, window.end - BACKDATE_SAMPLES, first + BLOCK_SAMPLES),
        voiced_samples=heard,
        peak_db=peak,
        noise_db=state.noise_db,
    )
    return after, SpeechStarted(first) if started else None


def _samples(duration_ms: int) -> int:
    return duration_ms * RATE_HZ // 1000
