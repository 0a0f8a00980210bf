"""An engine's sound into 20 ms pieces of 16 kHz PCM."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_contract.frames import FRAME_BYTES, RATE_HZ
from parley_tts.engines import Samples
from parley_tts.shaping import LEADING_SILENCE_MS, Shaper, to_s16le


def tone(duration_s: float, rate_hz: int, *, hz: float = 440) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(np.float32)


def silence(duration_s: float, rate_hz: int) -> Samples:
    return np.zeros(round(duration_s * rate_hz), dtype=np.float32)


def shape(rate_hz: int, *pieces: Samples) -> list[bytes]:
    shaper = Shaper(rate_hz)
    return [frame for piece in pieces for frame in shaper.feed(piece)] + shaper.finish()


def heard(frames: list[bytes]) -> Samples:
    return np.frombuffer(b"".join(frames), dtype="<i2").astype(np.float32) / np.float32(32767)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 44_100])
def test_sound_keeps_its_duration_and_its_pitch_at_any_rate(rate_hz: int) -> None:
    samples = heard(shape(rate_hz, tone(1.0, rate_hz)))

    spectrum = np.abs(np.fft.rfft(samples))
    assert len(samples) == pytest.approx(RATE_HZ, abs=2)
    assert np.argmax(spectrum) * RATE_HZ / len(samples) == pytest.approx(440, abs=2)


def test_all_pieces_but_the_last_are_whole_frames() -> None:
    *whole, last = shape(16_000, tone(0.0505, 16_000))

    assert [len(frame) for frame in whole] == [FRAME_BYTES, FRAME_BYTES]
    assert len(last) == 2 * round(0.0105 * RATE_HZ)


@pytest.mark.parametrize("silence_s", [0.05, 0.3, 1.0])
def test_long_silence_in_front_is_cut_to_a_moment(silence_s: float) -> None:
    samples = heard(shape(22_050, silence(silence_s, 22_050), tone(0.2, 22_050)))

    first_ms = 1000 * int(np.flatnonzero(np.abs(samples) > 0.01)[0]) / RATE_HZ
    assert first_ms == pytest.approx(LEADING_SILENCE_MS, abs=2)


def test_short_silence_in_front_stays() -> None:
    samples = heard(shape(16_000, silence(0.003, 16_000), tone(0.2, 16_000)))

    assert len(samples) == pytest.approx(0.203 * RATE_HZ, abs=2)


def test_a_soft_beginning_is_no_silence() -> None:
    breath = np.full(round(0.05 * 16_000), 0.005, dtype=np.float32)

    samples = heard(shape(16_000, silence(0.1, 16_000), breath, tone(0.2, 16_000)))

    assert len(samples) == pytest.approx((0.25 + LEADING_SILENCE_MS / 1000) * RATE_HZ, abs=2)


def test_silence_inside_and_behind_stays() -> None:
    sound = tone(0.1, 16_000)

    samples = heard(shape(16_000, sound, silence(0.5, 16_000), sound, silence(0.5, 16_000)))

    assert len(samples) == pytest.approx(1.2 * RATE_HZ, abs=2)


def test_loud_sound_is_clipped_and_never_wraps() -> None:
    assert np.frombuffer(to_s16le(np.array([2.0, -2.0], dtype=np.float32)), dtype="<i2").tolist() == [32767, -32767]


def test_nothing_gives_nothing() -> None:
    assert shape(22_050) == []


@given(st.lists(st.integers(1, 5000), max_size=8))
def test_how_sound_is_cut_up_changes_nothing(cuts: list[int]) -> None:
    sound = tone(0.5, 22_050)
    ends = np.minimum(np.cumsum([0, *cuts]), len(sound)).tolist()
    pieces = [sound[a:b] for a, b in zip(ends, [*ends[1:], len(sound)], strict=True)]

    assert np.abs(heard(shape(22_050, *pieces)) - heard(shape(22_050, sound))).max() < 0.001
