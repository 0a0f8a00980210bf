"""How much silence it takes: the decision as a table, its bounds under any evidence, what a speaker teaches."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_contract.endings import Ending
from parley_gateway.endpointing import Evidence, SmartRules, Weights, learned, log_odds, needed_ms

RULES = SmartRules()


def needed(audio: float | None, ending: Ending | None, *, own_ms: float | None = None, endpoint_ms: int = 500) -> float:
    return needed_ms(Evidence(audio=audio, ending=ending), own_ms, endpoint_ms, RULES)


@pytest.mark.parametrize(
    "audio, ending, own_ms, shortest_ms, longest_ms",
    [
        (None, None, None, 500, 500),
        (None, None, 900, 500, 500),
        (0.97, "complete", None, 250, 250),
        (0.5, "complete", None, 250, 300),
        (None, "complete", None, 250, 300),
        (None, "complete", 900, 300, 300),
        (0.6, "complete", 900, 300, 300),
        (0.3, "complete", 900, 300, 300),
        (0.1, "complete", 900, 500, 500),
        (0.02, "complete", None, 400, 500),
        (0.02, "complete", 900, 500, 500),
        (0.97, None, None, 350, 480),
        (0.5, None, None, 500, 500),
        (0.01, None, None, 500, 500),
        (0.97, "unclear", None, 350, 480),
        (0.97, "unclear", 200, 300, 300),
        (0.01, "unclear", 1200, 500, 500),
        (None, "unclear", None, 500, 500),
        (None, "open", None, 1200, 1900),
        (0.97, "open", None, 700, 1300),
        (0.02, "open", None, 2000, 2000),
        (0.97, "open", 1200, 2000, 2000),
    ],
)
def test_what_is_known_of_a_pause_says_how_long_it_has_to_be(
    audio: float | None, ending: Ending | None, own_ms: float | None, shortest_ms: float, longest_ms: float
) -> None:
    assert shortest_ms <= needed(audio, ending, own_ms=own_ms) <= longest_ms


probabilities = st.one_of(st.none(), st.floats(0, 1))
endings = st.sampled_from([None, "complete", "open", "unclear"])
pauses = st.one_of(st.none(), st.floats(200, 1200))
weights = st.builds(
    Weights, **{name: st.floats(-20, 20) for name in ("bias", "audio", "complete", "open")}, silence=st.floats(0.01, 20)
)


@given(probabilities, endings, pauses, st.integers(100, 5000), weights)
def test_no_weights_break_the_bounds(
    audio: float | None, ending: Ending | None, own_ms: float | None, endpoint_ms: int, fitted: Weights
) -> None:
    rules = msgspec.structs.replace(RULES, weights=fitted)

    wait_ms = needed_ms(Evidence(audio=audio, ending=ending), own_ms, endpoint_ms, rules)

    assert min(250, endpoint_ms) <= wait_ms <= max(2000, endpoint_ms)
    if ending != "open":
        assert wait_ms <= endpoint_ms
    if ending == "open" or (audio is None and ending is None):
        assert wait_ms >= endpoint_ms


@given(endings, pauses, st.floats(0, 1), st.floats(0, 1))
def test_the_more_complete_it_sounds_the_shorter_the_wait(
    ending: Ending | None, own_ms: float | None, one: float, other: float
) -> None:
    less, more = sorted((one, other))

    assert needed(more, ending, own_ms=own_ms) <= needed(less, ending, own_ms=own_ms)


@given(probabilities, pauses)
def test_words_that_could_be_all_never_wait_longer_than_words_that_tell_nothing_nor_these_than_open_ones(
    audio: float | None, own_ms: float | None
) -> None:
    complete, unclear, lacking = (needed(audio, ending, own_ms=own_ms) for ending in ("complete", "unclear", "open"))

    assert complete <= unclear <= lacking


@given(probabilities, endings, st.floats(200, 1200), st.floats(200, 1200))
def test_whoever_makes_longer_pauses_is_waited_for_longer(
    audio: float | None, ending: Ending | None, one: float, other: float
) -> None:
    shorter, longer = sorted((one, other))

    assert needed(audio, ending, own_ms=shorter) <= needed(audio, ending, own_ms=longer)


@given(st.floats(0.2, 0.95), st.floats(250, 1200))
def test_the_wait_ends_where_the_speaker_has_finished_for_sure(audio: float, own_ms: float) -> None:
    wait_ms = needed(audio, "open", own_ms=own_ms)

    if 500 < wait_ms < 2000:
        odds = log_odds(Evidence(audio=audio, ending="open"), wait_ms, own_ms, RULES.weights)
        assert odds == pytest.approx(RULES.sure)


def test_an_endpoint_below_the_fastest_is_not_made_longer() -> None:
    assert needed(0.97, "complete", endpoint_ms=150) == 150
    assert needed(None, "unclear", endpoint_ms=150) == 150


def test_an_endpoint_above_the_longest_is_not_made_shorter_by_open_words() -> None:
    assert needed(None, "open", endpoint_ms=3000) == 3000


def test_a_long_pause_teaches_fast_and_short_ones_are_forgotten_slowly() -> None:
    after_one = learned(None, 1000)
    after_short = learned(after_one, 300)

    assert after_one == pytest.approx(700)
    assert after_short == pytest.approx(660)


@given(st.lists(st.floats(0, 30_000), min_size=1))
def test_what_a_speaker_taught_stays_within_reason(pauses_ms: list[float]) -> None:
    own_ms: float | None = None
    for pause_ms in pauses_ms:
        own_ms = learned(own_ms, pause_ms)

    assert own_ms is not None
    assert 200 <= own_ms <= 1200
