"""Where an utterance longer than the encoder's window is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_asr.engines import Samples
from parley_asr.windows import Limits, Pause, Window, limits, longest_pause, plan, quietest, speech_s
from parley_contract.frames import RATE_HZ

TEN_SECONDS = limits(encoder_window_s=10.5, overlap_ms=120)


def speech(*parts: tuple[float, float], seed: int = 0) -> Samples:
    """Noise as loud as each part says: (seconds, amplitude)."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.standard_normal(round(seconds * RATE_HZ)).astype(np.float32) * amplitude for seconds, amplitude in parts]
    ).astype(np.float32)


def test_nothing_makes_no_window() -> None:
    assert plan(speech((0, 0)), TEN_SECONDS) == []


@pytest.mark.parametrize("seconds", [0.02, 3, 10])
def test_what_fits_is_one_window(seconds: float) -> None:
    samples = speech((seconds, 0.1))

    assert plan(samples, TEN_SECONDS) == [Window(0, len(samples))]


def test_a_cut_lies_in_the_middle_of_the_pause() -> None:
    samples = speech((8, 0.1), (0.4, 0.0005), (6, 0.1))

    first, second = plan(samples, TEN_SECONDS)

    assert 8.1 <= first.end / RATE_HZ <= 8.3
    assert second == Window(first.end, len(samples), shares_start=False)


def test_a_pause_in_noise_is_found_by_its_contrast() -> None:
    samples = speech((8, 0.2), (0.4, 0.02), (6, 0.2))

    first, second = plan(samples, TEN_SECONDS)

    assert 8.1 <= first.end / RATE_HZ <= 8.3
    assert not second.shares_start


def test_a_pause_early_in_the_window_is_no_reason_to_make_it_short() -> None:
    samples = speech((2, 0.1), (0.4, 0.0), (5.5, 0.1), (0.3, 0.0), (6, 0.1))

    first, *_ = plan(samples, TEN_SECONDS)

    assert 7.9 <= first.end / RATE_HZ <= 8.2


def test_the_latest_of_equal_pauses_is_taken() -> None:
    samples = speech((7, 0.1), (0.3, 0.0), (1.7, 0.1), (0.3, 0.0), (4, 0.1))

    first, *_ = plan(samples, TEN_SECONDS)

    assert 9.0 <= first.end / RATE_HZ <= 9.3


def test_the_closure_of_a_consonant_is_no_pause() -> None:
    samples = speech((8, 0.1), (0.1, 0.0), (6, 0.1))

    _, second = plan(samples, TEN_SECONDS)

    assert second.shares_start


def test_without_a_pause_windows_share_the_overlap() -> None:
    samples = speech((25, 0.1))

    windows = plan(samples, TEN_SECONDS)

    assert len(windows) in {3, 4}
    for before, after in pairwise(windows):
        assert after.shares_start
        assert before.end - after.start == round(0.12 * RATE_HZ)


def test_silence_is_cut_without_overlap() -> None:
    windows = plan(speech((25, 0.0)), TEN_SECONDS)

    assert not any(window.shares_start for window in windows)


def test_an_overlap_of_more_than_half_a_window_is_taken_as_half() -> None:
    assert limits(encoder_window_s=8.5, overlap_ms=7900) == Limits(window=128_000, overlap=64_000)


def test_a_window_leaves_room_in_the_encoder_to_notice_the_end() -> None:
    assert limits(encoder_window_s=10, overlap_ms=120).window / RATE_HZ == 9.5


def test_the_quietest_place_is_seen_in_a_window_of_its_own() -> None:
    cut = quietest(speech((9, 0.1), (0.25, 0.001), (0.75, 0.1)))

    assert cut.is_pause
    assert 9.0 <= cut.at / RATE_HZ <= 9.25


@pytest.mark.parametrize(
    "parts, pause_s",
    [
        pytest.param([], None, id="nothing"),
        pytest.param([(1, 0.0)], None, id="silence"),
        pytest.param([(1, 0.1)], None, id="unbroken speech"),
        pytest.param([(1, 0.0), (1, 0.1), (1, 0.0)], None, id="silence around speech is no pause"),
        pytest.param([(1, 0.1), (0.4, 0.0), (1, 0.1)], (1.0, 1.4), id="a pause"),
        pytest.param([(1, 0.2), (0.4, 0.02), (1, 0.2)], (1.0, 1.4), id="a pause in noise"),
        pytest.param([(1, 0.1), (0.2, 0), (1, 0.1), (0.6, 0), (1, 0.1)], (2.2, 2.8), id="the longest"),
        pytest.param([(1, 0.1), (0.4, 0), (1, 0.1), (0.4, 0), (1, 0.1)], (1.0, 1.4), id="the first of equals"),
    ],
)
def test_the_longest_pause_lies_between_speech(
    parts: list[tuple[float, float]], pause_s: tuple[float, float] | None
) -> None:
    found = longest_pause(speech((0, 0), *parts))

    assert found == (pause_s and Pause(*(round(at_s * RATE_HZ) for at_s in pause_s)))


def test_speech_is_counted_up_to_a_moment() -> None:
    samples = speech((1, 0.1), (0.5, 0.0), (1, 0.1))

    counted = [speech_s(samples, until_s=until_s) for until_s in (0, 0.5, 1.2, 2.0, None)]

    assert counted == [0, 0.5, 1.0, 1.5, 2.0]


_PARTS = st.lists(st.tuples(st.floats(0.02, 4), st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3])), min_size=1, max_size=12)
_LIMITS = st.builds(limits, encoder_window_s=st.sampled_from([1.5, 2.5, 8.5]), overlap_ms=st.integers(0, 4000))


@settings(max_examples=60)
@given(parts=_PARTS, limits=_LIMITS)
def test_every_sample_belongs_to_a_window_and_borders_are_in_order(
    parts: list[tuple[float, float]], limits: Limits
) -> None:
    samples = speech(*parts)

    windows = plan(samples, limits)

    assert windows[0].start == 0
    assert windows[-1].end == len(samples)
    assert all(0 < window.end - window.start <= limits.window for window in windows)
    for before, after in pairwise(windows):
        assert before.start < after.start < after.end
        assert before.end < after.end
        assert after.start == before.end - (limits.overlap if after.shares_start else 0)


@settings(max_examples=60)
@given(parts=_PARTS, limits=_LIMITS, heard=st.floats(0, 1))
def test_more_sound_never_moves_a_settled_window(
    parts: list[tuple[float, float]], limits: Limits, heard: float
) -> None:
    samples = speech(*parts)
    whole = plan(samples, limits)

    settled = plan(samples[: int(len(samples) * heard)], limits)[:-1]

    assert settled == whole[: len(settled)]


@settings(max_examples=60)
@given(parts=_PARTS, limits=_LIMITS, resumed=st.integers(0, 20))
def test_planning_goes_on_from_any_window(parts: list[tuple[float, float]], limits: Limits, resumed: int) -> None:
    samples = speech(*parts)
    whole = plan(samples, limits)
    resumed %= len(whole)

    rest = plan(samples, limits, start=whole[resumed].start, shares_start=whole[resumed].shares_start)

    assert rest == whole[resumed:]
