"""Speech probabilities become segments: unbroken speech of one speaker, and exactly where it began and stopped.

Called by `utterances` for every window that a `vad.VoiceDetector` judged. Pure, without a clock: positions are
samples at 16 kHz since the speaker was first heard. It does not decide who has finished speaking: that is `utterances`.

**Where speech stops.** Silero goes on saying "speech" after a voice has fallen silent: 70 ms at the median and up to
120 on clean recordings, 110 and up to 230 in noise at 12 dB. Every figure of a turn is measured from the last voiced
sample, and that lag would flatter all of them. So within the windows the model calls speech, the last voiced sample is
the end of the last 8 ms block that is neither far below the loudest one nor close to the noise before the segment, at
most `BACKDATE_SAMPLES` before the model's own end (a weak last syllable is still speech). On 27 recordings that is
2 ms late at the median when clean (-41 to 25), 13 ms at 12 dB (-102 to 133).

**Noticing it sooner.** Where the noise is so far below the voice that a quiet block cannot be a weak syllable, nobody
waits for the model: a segment has ended once it was quiet for long enough, whatever the model still says, and what it
says of quiet windows until `LINGER_SAMPLES` after the voice is not believed. In 144 lines of `bench` clean pauses are
noticed after 79 ms at the median (72 to 90, quartiles) instead of 121, and within speech one more every five seconds is
taken for a pause.
"""

from typing import Annotated, Final, Literal

import msgspec

from parley_contract.frames import RATE_HZ

WINDOW_SAMPLES: Final = 512
"""What Silero judges at a time at 16 kHz: 32 ms."""
BLOCK_SAMPLES: Final = 128
"""Resolution of loudness: 8 ms."""
BACKDATE_SAMPLES: Final = 3 * WINDOW_SAMPLES
LINGER_SAMPLES: Final = RATE_HZ // 4
"""Longer than Silero has been seen to go on after a voice."""
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
    hangover_ms: int = 64
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
    lingers_until: int = 0
    """While silent after a voice: up to here the model may take the silence for more of it; 0 when that is over."""


def step(
    state: Segment, window: SpeechWindow, rules: SegmentRules
) -> tuple[Segment, SpeechStarted | SpeechStopped | None]:
    """Take in one window; windows come in order and without a hole."""
    if 0 < state.lingers_until < window.end:
        state = silence(state.noise_db)
    is_voiced = window.probability >= (rules.exit if state.is_voiced else rules.enter)
    if is_voiced and not _is_plainly_quiet(state, window):
        return _voiced(state, window, rules)
    if state.phase == "silent":
        return (state if is_voiced else _silent(state, window)), None
    if _samples(rules.hangover_ms) > window.end - state.last_voiced:
        return msgspec.structs.replace(state, is_voiced=is_voiced), None
    if state.phase == "suspected":
        return silence(state.noise_db), None
    lingering = msgspec.structs.replace(
        silence(state.noise_db),
        is_voiced=is_voiced,
        peak_db=state.peak_db,
        lingers_until=state.last_voiced + LINGER_SAMPLES,
    )
    return lingering, SpeechStopped(state.last_voiced)


def _is_plainly_quiet(state: Segment, window: SpeechWindow) -> bool:
    """Whether a window after a voice has nothing of it, in noise far enough below to tell."""
    if state.phase == "suspected" or (state.phase == "silent" and not state.lingers_until):
        return False
    quiet_db = state.peak_db - FALL_DB
    return quiet_db >= state.noise_db + ABOVE_NOISE_DB and max(window.levels_db) <= quiet_db


def silence(noise_db: float) -> Segment:
    """Return the state in which nobody speaks."""
    return Segment(noise_db=noise_db)


def _silent(state: Segment, window: SpeechWindow) -> Segment:
    """Return the state after a window without a voice in it, and what is known of the noise then."""
    level_db = sum(window.levels_db) / len(window.levels_db)
    if state.noise_db == _QUIET_DB:
        return msgspec.structs.replace(state, is_voiced=False, noise_db=level_db)
    noise_db = state.noise_db + _NOISE_SHARE * (level_db - state.noise_db)
    return msgspec.structs.replace(state, is_voiced=False, noise_db=noise_db)


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
