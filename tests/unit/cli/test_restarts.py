"""What follows a death."""

import pytest

from parley_cli.restarts import LONGEST_DELAY_S, GiveUp, Record, Restart, after_death, cause

READY_ONCE = Record(was_ready=True)


def delays_s(deaths: int, *, lived_s: float) -> list[float]:
    record, found = READY_ONCE, []
    for _ in range(deaths):
        record, decision = after_death(record, lived_s=lived_s, exit_code=1)
        assert isinstance(decision, Restart)
        found.append(decision.delay_s)
    return found


def test_each_death_in_a_row_is_waited_for_twice_as_long() -> None:
    assert delays_s(4, lived_s=1) == [0.2, 0.4, 0.8, 1.6]


def test_the_wait_has_a_bound() -> None:
    assert delays_s(50, lived_s=1)[-1] == LONGEST_DELAY_S


def test_a_long_life_forgives_the_deaths_before() -> None:
    assert delays_s(4, lived_s=3600) == [0.2, 0.2, 0.2, 0.2]


def test_what_was_never_ready_is_tried_three_times() -> None:
    record, decisions = Record(), []
    for _ in range(3):
        record, decision = after_death(record, lived_s=1, exit_code=1)
        decisions.append(decision)

    assert [type(decision) for decision in decisions] == [Restart, Restart, GiveUp]


def test_a_service_that_refuses_its_settings_is_not_started_again() -> None:
    _, decision = after_death(Record(), lived_s=1, exit_code=2)

    assert decision == GiveUp("it refuses its settings")


def test_a_service_whose_port_another_process_has_is_not_started_again_and_it_is_said_what_to_do() -> None:
    _, decision = after_death(Record(), lived_s=1, exit_code=3)

    assert isinstance(decision, GiveUp)
    assert decision.why.startswith("another process took its port")
    assert "--any-port" in decision.why


@pytest.mark.parametrize("exit_code", [1, 2, 3])
def test_what_was_ready_once_is_started_again_whatever_its_exit_code(exit_code: int) -> None:
    _, decision = after_death(READY_ONCE, lived_s=1, exit_code=exit_code)

    assert decision == Restart(0.2)


@pytest.mark.parametrize("exit_code,said", [(1, "exit code 1"), (0, "exit code 0"), (-9, "signal 9")])
def test_a_cause_of_death_is_named(exit_code: int, said: str) -> None:
    assert cause(exit_code) == said
