"""The pacing thread: deadlines in their order, from any thread, and an end."""

import sys
import threading
import time
from collections.abc import Callable

import pytest

from parley_gateway.discord.pacing import SWITCH_S, Pacer


class Runner:
    """Is ticked so often."""

    def __init__(self, ticks: int) -> None:
        self.left = ticks
        self.met: list[float] = []
        self.prepared = 0
        self.done = threading.Event()

    def tick(self, due: float) -> float | None:
        self.met.append(due)
        self.left -= 1
        if self.left:
            return due + 0.001
        self.done.set()
        return None

    def prepare(self) -> None:
        self.prepared += 1


def test_everybody_is_ticked_at_their_deadlines_which_do_not_drift() -> None:
    runners = [Runner(20) for _ in range(5)]
    with Pacer() as pacer:
        began_at = time.monotonic()
        for runner in runners:
            pacer.at(began_at, runner)
        for runner in runners:
            assert runner.done.wait(10)
        late_s = pacer.drain_lateness()

    for runner in runners:
        assert [round((due - began_at) * 1000) for due in runner.met] == list(range(20))
        assert runner.prepared >= 19
    assert len(late_s) == 100
    assert min(late_s) >= 0
    assert not pacer.drain_lateness()


def test_an_earlier_deadline_is_met_first() -> None:
    late, early = Runner(1), Runner(1)
    with Pacer() as pacer:
        pacer.at(time.monotonic() + 60, late)
        pacer.at(time.monotonic(), early)
        assert early.done.wait(10)

    assert not late.met


class Busy(Runner):
    """Keeps the thread until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(1)
        self.is_busy, self.goes_on = threading.Event(), threading.Event()

    def tick(self, due: float) -> float | None:
        self.is_busy.set()
        self.goes_on.wait()
        return super().tick(due)


class Diarist(Runner):
    """Writes down what is asked of it; while it prepares, somebody else may become due."""

    def __init__(self, name: str, diary: list[str], meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__(1)
        self.name, self.diary, self.meanwhile = name, diary, meanwhile

    def tick(self, due: float) -> float | None:
        self.diary.append(f"{self.name} is due")
        return super().tick(due)

    def prepare(self) -> None:
        self.diary.append(f"{self.name} prepares")
        self.meanwhile()


def test_whoever_is_due_waits_for_one_preparation_and_not_for_those_of_all() -> None:
    diary: list[str] = []
    with Pacer() as pacer:
        third = Diarist("third", diary)
        first = Diarist("first", diary, meanwhile=lambda: pacer.at(time.monotonic(), third))
        second = Diarist("second", diary)
        # Both are due together, as soon as the thread is free.
        busy = Busy()
        pacer.at(time.monotonic(), busy)
        assert busy.is_busy.wait(10)
        pacer.at(time.monotonic(), first)
        pacer.at(time.monotonic(), second)
        busy.goes_on.set()
        assert third.done.wait(10)

    assert diary[:4] == ["first is due", "second is due", "first prepares", "third is due"]


def test_threads_give_way_sooner_while_it_runs() -> None:
    before_s = sys.getswitchinterval()

    with Pacer():
        within_s = sys.getswitchinterval()

    assert within_s == pytest.approx(SWITCH_S, rel=0.01)
    assert sys.getswitchinterval() == before_s
