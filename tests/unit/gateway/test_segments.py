"""Segments: thresholds, the shortest speech, the gap that ends it, and where exactly it ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_gateway.segments import (
    BACKDATE_SAMPLES,
    BLOCK_SAMPLES,
    LINGER_SAMPLES,
    WINDOW_SAMPLES,
    Segment,
    SegmentRules,
    SpeechStarted,
    SpeechStopped,
    SpeechWindow,
    step,
)

RULES = SegmentRules(min_speech_ms=128, hangover_ms=100)
LOUD = (-20.0,) * 4
QUIET = (-80.0,) * 4


def listen(*windows: tuple[float, tuple[float, ...]]) -> list[tuple[int, SpeechStarted | SpeechStopped]]:
    """Run windows of (probability, levels) through the reducer; return (number of the window, what happened)."""
    state, happened = Segment(), []
    for number, (probability, levels) in enumerate(windows, 1):
        state, change = step(state, SpeechWindow(number * WINDOW_SAMPLES, probability, levels), RULES)
        if change:
            happened.append((number, change))
    return happened


def test_speech_starts_once_it_is_long_enough_and_dates_back_to_its_first_window() -> None:
    happened = listen((0.0, QUIET), *[(0.9, LOUD)] * 6)

    assert happened == [(5, SpeechStarted(first_voiced=WINDOW_SAMPLES))]


def test_speech_stops_after_the_hangover_at_the_end_of_its_last_loud_window() -> None:
    happened = listen(*[(0.9, LOUD)] * 5, *[(0.0, QUIET)] * 6)

    assert happened[1:] == [(9, SpeechStopped(last_voiced=5 * WINDOW_SAMPLES))]


def test_a_click_shorter_than_the_shortest_speech_is_nothing() -> None:
    happened = listen(*[(0.9, LOUD)] * 3, *[(0.0, QUIET)] * 10)

    assert happened == []


def test_a_gap_shorter_than_the_hangover_does_not_stop_speech() -> None:
    happened = listen(*[(0.9, LOUD)] * 5, *[(0.0, QUIET)] * 3, *[(0.9, LOUD)] * 5)

    assert happened == [(4, SpeechStarted(0))]


@pytest.mark.parametrize("probability, changes", [(0.36, 1), (0.34, 2)])
def test_running_speech_goes_on_down_to_the_exit_threshold(probability: float, changes: int) -> None:
    happened = listen(*[(0.9, LOUD)] * 5, *[(probability, LOUD)] * 10)

    assert len(happened) == changes


def test_after_a_gap_speech_needs_the_enter_threshold_again() -> None:
    happened = listen(*[(0.9, LOUD)] * 5, (0.0, QUIET), *[(0.4, LOUD)] * 10)

    assert happened[1:] == [(9, SpeechStopped(last_voiced=5 * WINDOW_SAMPLES))]


def test_silence_that_the_model_still_calls_speech_is_not_voiced() -> None:
    half_loud = (-25.0, -30.0, -70.0, -80.0)

    happened = listen(*[(0.9, LOUD)] * 5, (0.9, half_loud), (0.6, QUIET), *[(0.0, QUIET)] * 6)

    assert happened[1][1] == SpeechStopped(last_voiced=5 * WINDOW_SAMPLES + 2 * BLOCK_SAMPLES)


def test_a_long_weak_ending_in_noise_is_still_speech() -> None:
    noise, weak = (-50.0,) * 4, (-45.0,) * 4

    happened = listen(*[(0.0, noise)] * 20, *[(0.9, LOUD)] * 5, *[(0.9, weak)] * 10, *[(0.0, noise)] * 6)

    assert happened[1][1] == SpeechStopped(last_voiced=35 * WINDOW_SAMPLES - BACKDATE_SAMPLES)


def test_where_nothing_else_is_heard_quiet_ends_speech_whatever_the_model_says_for_a_while() -> None:
    lingering = LINGER_SAMPLES // WINDOW_SAMPLES

    happened = listen((0.0, QUIET), *[(0.9, LOUD)] * 5, *[(0.9, QUIET)] * lingering, *[(0.0, QUIET)] * 6)

    assert happened[1:] == [(10, SpeechStopped(last_voiced=6 * WINDOW_SAMPLES))]


def test_a_voice_that_goes_on_softly_for_longer_is_speech_again() -> None:
    lingering = LINGER_SAMPLES // WINDOW_SAMPLES

    happened = listen((0.0, QUIET), *[(0.9, LOUD)] * 5, *[(0.9, QUIET)] * 15)

    assert happened[2:] == [(6 + lingering + 4, SpeechStarted(first_voiced=(6 + lingering) * WINDOW_SAMPLES))]


def test_a_voice_that_comes_back_while_the_model_lingers_is_speech_at_once() -> None:
    happened = listen((0.0, QUIET), *[(0.9, LOUD)] * 5, *[(0.9, QUIET)] * 5, *[(0.4, LOUD)] * 4)

    assert happened[2:] == [(15, SpeechStarted(first_voiced=11 * WINDOW_SAMPLES))]


def test_noise_that_the_model_still_calls_speech_is_not_voiced() -> None:
    noise = (-40.0,) * 4

    happened = listen(*[(0.0, noise)] * 20, *[(0.9, LOUD)] * 5, (0.9, noise), *[(0.0, noise)] * 8)

    assert happened[1][1] == SpeechStopped(last_voiced=25 * WINDOW_SAMPLES)


def test_without_silence_before_it_nothing_counts_as_noise() -> None:
    humming = (-40.0,) * 4

    happened = listen(*[(0.9, LOUD)] * 5, (0.9, humming), *[(0.0, humming)] * 8)

    assert happened[1][1] == SpeechStopped(last_voiced=6 * WINDOW_SAMPLES)


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.4, 0.9)), st.sampled_from((LOUD, QUIET))), max_size=200))
def test_starts_and_stops_alternate_and_never_run_backwards(windows: list[tuple[float, tuple[float, ...]]]) -> None:
    happened = listen(*windows)

    kinds = [type(change) for _, change in happened]
    positions = [
        change.first_voiced if isinstance(change, SpeechStarted) else change.last_voiced for _, change in happened
    ]
    assert kinds == [SpeechStarted, SpeechStopped] * (len(kinds) // 2) + [SpeechStarted] * (len(kinds) % 2)
    assert positions == sorted(positions)
    assert all(position <= number * WINDOW_SAMPLES for (number, _), position in zip(happened, positions, strict=True))
