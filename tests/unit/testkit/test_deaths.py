"""What the tests of deaths rest on: the plan of blows, and the judgement of what was heard."""

import pytest

from parley_testkit.blows import MOMENTS, Blow, plan
from parley_testkit.persons import Heard, Struck, judge

FINE = Heard("What is a bee?", "What is a bee?", "answered", sounded=True, was_struck=True)
LONGEST = max(len(moments) for moments in MOMENTS.values())


def test_each_round_strikes_everybody_once() -> None:
    blows = plan(seed=3, blows_each=5)

    rounds = [blows[n : n + len(MOMENTS)] for n in range(0, len(blows), len(MOMENTS))]
    assert [{blow.victim for blow in each} for each in rounds] == [set(MOMENTS)] * 5


def test_every_moment_comes_in_as_many_rounds_as_there_are_moments() -> None:
    blows = plan(seed=3, blows_each=LONGEST)

    assert set(blows) == {Blow(victim, moment) for victim, moments in MOMENTS.items() for moment in moments}


def test_a_seed_repeats_its_plan_and_another_one_does_not() -> None:
    assert plan(seed=3, blows_each=5) == plan(seed=3, blows_each=5) != plan(seed=4, blows_each=5)


@pytest.mark.parametrize(
    "hit",
    [
        FINE,
        FINE._replace(outcome="failed", reason="model_failed", sounded=False, apologized=True),
        FINE._replace(outcome="failed", reason="agent_died"),
    ],
)
def test_a_reply_and_an_apology_keep_the_promise(hit: Heard) -> None:
    assert judge(Struck(Blow("agent", "thinking"), hit, FINE)) == []


@pytest.mark.parametrize(
    "hit, complaint",
    [
        (FINE._replace(was_struck=False), "nobody was struck"),
        (FINE._replace(outcome="none", sounded=False), "the question has no outcome"),
        (FINE._replace(outcome="lost", sounded=False), "the connection broke"),
        (FINE._replace(outcome="empty", sounded=False), "the question was empty"),
        (FINE._replace(sounded=False), "the person sat in silence"),
        (FINE._replace(transcript="What"), "heard as 'What'"),
        (FINE._replace(twice=(1,)), "phrases (1,) were said twice"),
    ],
)
def test_whatever_else_is_heard_is_a_complaint(hit: Heard, complaint: str) -> None:
    assert judge(Struck(Blow("asr", "deciding"), hit, FINE)) == [complaint]


def test_what_was_in_the_air_at_the_gateways_death_is_no_complaint_but_silence_after_it_is() -> None:
    lost = FINE._replace(outcome="lost", sounded=False)
    silent = FINE._replace(outcome="failed", reason="no_reply", sounded=False)

    assert judge(Struck(Blow("gateway", "speaking"), lost, FINE)) == []
    assert judge(Struck(Blow("gateway", "speaking"), lost, silent)) == ["the next question was failed no_reply"]
