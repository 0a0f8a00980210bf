"""Fitting the endpointer: weights are found again from pauses that were drawn by them, and few pauses change little."""

import math

import msgspec
import numpy as np
import pytest
from _endpoint_fit import LabelledPause, Outcome, fit, judge

from parley_gateway.endpointing import Evidence, SmartRules, Weights, log_odds

RULES = SmartRules()
USUAL = Weights()


def drawn(count: int, truth: Weights, *, seed: int = 5) -> list[LabelledPause]:
    """Pauses whose speakers go on, or do not, as `truth` says."""
    random = np.random.default_rng(seed)
    pauses = []
    for _ in range(count):
        evidence = Evidence(
            audio=float(random.uniform()), ending=(None, "complete", "open", "unclear")[random.integers(4)]
        )
        own_ms = float(random.uniform(250, 800))
        silence_ms = float(random.uniform(250, 2000))
        odds = log_odds(evidence, silence_ms, own_ms, truth)
        is_last = random.uniform() < 1 / (1 + math.exp(-odds))
        pauses.append(
            LabelledPause(evidence=evidence, own_pause_ms=own_ms, length_ms=None if is_last else silence_ms + 1)
        )
    return pauses


def test_what_tells_pauses_apart_gets_its_sign_and_its_rank() -> None:
    truth = Weights(bias=0.0, audio=1.0, complete=2.0, open=-3.0, silence=1.0)

    found = fit(drawn(4000, truth), start=msgspec.structs.replace(truth, audio=0, complete=0, open=0), rules=RULES)

    assert 0.5 < found.audio < 1.5
    assert 1 < found.complete < 3
    assert -4 < found.open < -1.5
    assert found.silence > 0.2


def test_an_audio_model_that_only_guesses_gets_no_weight() -> None:
    truth = Weights(bias=0.0, audio=0.0, complete=2.0, open=-2.0, silence=1.0)

    found = fit(drawn(4000, truth), start=USUAL, rules=RULES)

    assert abs(found.audio) < 0.1


def test_few_pauses_change_little() -> None:
    sure = [
        LabelledPause(evidence=Evidence(audio=0.9, ending="complete")),
        LabelledPause(evidence=Evidence(audio=0.1, ending="open"), length_ms=900),
    ]

    found = fit(sure, start=USUAL, rules=RULES, prior=10)

    for name in Weights.__struct_fields__:
        assert getattr(found, name) == pytest.approx(getattr(USUAL, name), abs=0.2)


def test_one_kind_of_pause_is_refused() -> None:
    with pytest.raises(ValueError, match="one kind alone"):
        fit([LabelledPause(evidence=Evidence(audio=0.9))] * 9, start=USUAL, rules=RULES)


def test_rules_are_judged_by_whom_they_cut_off_and_whom_they_keep_waiting() -> None:
    pauses = [
        LabelledPause(evidence=Evidence(audio=0.97, ending="complete")),
        LabelledPause(evidence=Evidence(audio=0.03, ending="open"), length_ms=900),
        LabelledPause(evidence=Evidence(audio=0.97, ending="complete"), length_ms=400),
        LabelledPause(evidence=Evidence(), length_ms=300),
    ]

    smart = judge(pauses, endpoint_ms=500, rules=RULES, reopen_ms=200)
    silence = judge(pauses, endpoint_ms=500, rules=None, reopen_ms=200)

    assert smart == Outcome(taken_back=1 / 3, cut_off=0, waits_ms=(250,))
    assert silence == Outcome(taken_back=0, cut_off=1 / 3, waits_ms=(500,))


def test_pauses_that_one_word_tells_apart_for_sure_give_weights_that_can_be_used() -> None:
    pauses = [
        LabelledPause(evidence=Evidence(audio=0.5, ending="complete")),
        LabelledPause(evidence=Evidence(audio=0.5, ending="open"), length_ms=900),
    ] * 50

    found = fit(pauses, start=USUAL, rules=RULES)

    assert 1.5 < found.complete < 10
    assert -10 < found.open < -2
