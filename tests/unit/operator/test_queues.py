"""Each assistant has one place in the queue; nothing that happens is lost, and nothing that fails is hammered."""

import asyncio
import random

import pytest

from parley_operator.queues import FIRST_RETRY_S, LAST_REST_S, LAST_RETRY_S, REST, Queue, Workers


def queue(*keys: str) -> Queue[str]:
    made: Queue[str] = Queue()
    for key in keys:
        made.add(key, 0)
    return made


def test_what_happens_often_is_looked_at_once() -> None:
    there = queue("libra", "libra", "libra")

    assert (there.take(0), there.take(0)) == ("libra", None)


def test_who_is_due_longest_comes_first_and_nobody_before_the_time() -> None:
    there: Queue[str] = Queue()
    there.add("late", 0, 5)
    there.add("soon", 0, 1)

    assert there.take(0.5) is None
    assert there.next_due() == 1
    assert [there.take(6), there.take(6)] == ["soon", "late"]


def test_an_earlier_time_holds_and_a_later_one_changes_nothing() -> None:
    there: Queue[str] = Queue()
    there.add("libra", 0, 300)
    there.add("libra", 10)
    there.add("libra", 10, 60)

    assert there.take(10) == "libra"
    there.done("libra", 11)
    assert there.take(1000) is None


def test_what_happens_during_a_look_is_looked_at_afterwards_and_not_beside_it() -> None:
    there = queue("libra")
    there.take(0)

    there.add("libra", 1)

    assert there.take(2) is None
    assert there.next_due() is None
    there.done("libra", 3, again_after_s=300)
    assert there.take(3) == "libra"


def test_failures_wait_longer_and_longer_up_to_a_minute_and_success_forgets_them() -> None:
    there: Queue[str] = Queue()
    waits = []
    now = 0.0
    for _ in range(12):
        there.add("libra", now)
        there.take(now)
        waits.append(there.failed("libra", now, 1.0))
        now += waits[-1]

    assert waits[:3] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert waits[-1] == LAST_RETRY_S
    assert there.take(now) == "libra"
    there.done("libra", now)
    there.add("libra", now)
    there.take(now)
    assert there.failed("libra", now, 1.0) == FIRST_RETRY_S


def test_what_failed_together_does_not_return_together() -> None:
    there = queue("a", "b")
    there.take(0)
    there.take(0)

    assert there.failed("a", 0, 0.0) == FIRST_RETRY_S / 2
    assert there.failed("b", 0, 0.99) > 1.9 * FIRST_RETRY_S / 2


def test_what_the_server_asked_for_is_kept_whatever_happens_meanwhile() -> None:
    there = queue("libra")
    there.take(0)
    there.failed("libra", 0, 0.5, at_least_s=7)

    there.add("libra", 1)

    assert there.take(6.9) is None
    assert there.take(7) == "libra"


def test_a_change_hurries_what_waits_after_a_failure() -> None:
    there = queue("libra")
    there.take(0)
    for _ in range(3):
        there.failed("libra", 0, 0.5)

    there.add("libra", 0.01)

    assert there.take(0.01) == "libra"


def test_what_is_in_no_hurry_rests_after_long_work_and_what_is_does_not() -> None:
    there = queue("libra", "lyra")
    there.take(0)
    there.take(0)
    there.add("libra", 0.05, 0.15)
    there.done("libra", 0.1, 300)
    there.done("lyra", 9, 300)

    there.add("lyra", 9.1, 0.15)

    rested = 0.1 + REST * 0.1
    assert there.next_due() == pytest.approx(rested)
    assert there.take(rested - 0.01) is None
    there.add("libra", 0.2)
    assert there.take(0.2) == "libra"
    assert there.take(9 + LAST_REST_S - 0.01) is None
    assert there.take(9 + LAST_REST_S) == "lyra"


def test_a_rest_hurries_nothing_that_is_due_later() -> None:
    there = queue("libra")
    there.take(0)
    there.add("libra", 0.1, 60)

    there.done("libra", 0.2, 300)

    assert there.next_due() == pytest.approx(60.1)


def test_the_age_of_the_oldest_counts_from_when_it_was_due() -> None:
    there: Queue[str] = Queue()
    there.add("libra", 0, 300)

    assert there.oldest_s(299) == 0
    assert there.oldest_s(310) == 10
    there.take(310)
    assert there.oldest_s(320) == 0


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_in_any_order_of_events(seed: int) -> None:
    chance = random.Random(seed)
    there: Queue[int] = Queue()
    running: set[int] = set()
    owed: set[int] = set()
    now = 0.0
    for _ in range(2000):
        now += chance.random()
        match chance.randrange(4):
            case 0:
                key = chance.randrange(8)
                there.add(key, now, chance.choice([0, 0.5]))
                owed.add(key)
            case 1:
                taken = there.take(now)
                if taken is not None:
                    assert taken not in running
                    running.add(taken)
                    owed.discard(taken)
            case 2 if running:
                key = running.pop()
                there.done(key, now)
            case 3 if running:
                key = running.pop()
                there.failed(key, now, chance.random())
                owed.add(key)

    for key in running:
        there.done(key, now)
    left = set()
    while (taken := there.take(now + 1000)) is not None:
        left.add(taken)
    assert left == owed


@pytest.mark.looptime
async def test_workers_do_each_key_once_at_a_time_and_only_so_many_at_once() -> None:
    running: list[str] = []
    most = 0
    done: list[str] = []

    async def work(key: str) -> float | None:
        nonlocal most
        assert key not in running
        running.append(key)
        most = max(most, len(running))
        await asyncio.sleep(1)
        running.remove(key)
        done.append(key)
        return None

    workers = Workers(work, at_once=2, clock=asyncio.get_running_loop().time)
    task = asyncio.create_task(workers.run())
    for key in ("a", "b", "c", "a"):
        workers.add(key)
    await asyncio.sleep(0.5)
    workers.add("a")
    await asyncio.sleep(5)
    task.cancel()

    assert most == 2
    assert sorted(done) == ["a", "a", "b", "c"]


@pytest.mark.looptime
async def test_work_that_fails_is_done_again_and_what_asks_to_be_done_later_is() -> None:
    at: list[float] = []
    loop = asyncio.get_running_loop()

    async def work(key: str) -> float | None:
        at.append(loop.time())
        if len(at) == 1:
            raise RuntimeError("the first time")
        return 30.0 if len(at) == 2 else None

    workers = Workers(work, at_once=1, clock=loop.time)
    task = asyncio.create_task(workers.run())
    workers.add("libra")
    await asyncio.sleep(100)
    task.cancel()

    first, second, third = at
    assert FIRST_RETRY_S / 2 <= second - first <= FIRST_RETRY_S
    assert third - second == pytest.approx(30)
