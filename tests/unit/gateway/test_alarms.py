"""A session's timer on virtual time: when it goes off, and what makes it go off sooner."""

import asyncio
import time

import pytest

from parley_gateway.alarms import Alarm

pytestmark = pytest.mark.looptime


class Due:
    """What is waited for, in seconds from now."""

    def __init__(self, in_s: float | None) -> None:
        self.in_s = in_s

    def __call__(self) -> float | None:
        return None if self.in_s is None else time.monotonic() + self.in_s


async def took_s(alarm: Alarm) -> float:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with asyncio.timeout(60):
        await alarm.rung()
    return loop.time() - began_at


async def test_it_goes_off_when_something_is_due() -> None:
    assert await took_s(Alarm(Due(5.0))) == pytest.approx(5.0, abs=0.5)


async def test_it_looks_again_when_something_may_be_due_earlier() -> None:
    due = Due(None)
    alarm = Alarm(due)
    waiting = asyncio.create_task(took_s(alarm))
    await asyncio.sleep(1.0)

    due.in_s = 2.0
    alarm.look()

    assert await waiting == pytest.approx(1.0, abs=0.5)
    assert await took_s(alarm) == pytest.approx(2.0, abs=0.5)


async def test_what_is_due_later_does_not_wake_it() -> None:
    due = Due(3.0)
    alarm = Alarm(due)
    waiting = asyncio.create_task(took_s(alarm))
    await asyncio.sleep(1.0)

    due.in_s = 30.0
    alarm.look()

    assert await waiting == pytest.approx(3.0, abs=0.5)


async def test_a_process_that_was_stopped_reads_first_what_was_said_meanwhile() -> None:
    assert await took_s(Alarm(Due(-10.0))) == pytest.approx(0.1, abs=0.01)
