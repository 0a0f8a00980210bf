"""Datagrams are read as they come, and those of a crowd together; by hand, without a loop or a socket."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVarTuple

import pytest

from parley_gateway.discord.sockets import GATHER_S, LoopReader

Values = TypeVarTuple("Values")


class Clock(asyncio.BaseEventLoop):
    """An event loop of one timer and one reader, which a test moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.reader: Callable[[], Any] | None = None
        self.timers: list[asyncio.TimerHandle] = []
        self.woken = 0
        """How often something was called."""

    def time(self) -> float:
        return self.now

    def add_reader(self, fd: object, callback: Callable[[*Values], Any], *args: *Values) -> None:
        self.reader = lambda: callback(*args)

    def remove_reader(self, fd: object) -> bool:
        self.reader = None
        return True

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Values], object],
        *args: *Values,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.timers.remove(handle)

    def advance(self, until: float, there: Callable[[], object]) -> None:
        """Call timers that are due, and the reader while something is there."""
        while self.timers and self.timers[0].when() <= until + 1e-9:
            timer = self.timers.pop(0)
            self.now = max(self.now, timer.when())
            self.woken += 1
            timer._run()  # noqa: SLF001  # it is a loop's
        self.now = until
        if self.reader is not None and there():
            self.woken += 1
            self.reader()


class Way:
    """A socket, its owner, and what was read of it."""

    def __init__(self) -> None:
        self.loop = Clock()
        self.socket = self
        self.coming: deque[bytes] = deque()
        self.heard: list[float] = []
        """How late each datagram was read, in seconds."""
        self.reader = LoopReader(self, self.loop)
        self.reader.register(lambda datagram: self.heard.append(round(self.loop.now - float(datagram), 6)))
        self.reader.resume()

    def fileno(self) -> int:
        return 3

    def recv(self, size: int, /) -> bytes:
        if not self.coming:
            raise BlockingIOError
        return self.coming.popleft()

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        pass

    def come(self, *moments_s: float) -> None:
        """Let datagrams arrive at these moments."""
        for moment in moments_s:
            self.pass_by(100 + moment)
            self.coming.append(str(100 + moment).encode())
            self.loop.advance(self.loop.now, lambda: self.coming)

    def pass_by(self, until: float) -> None:
        """Let time pass."""
        self.loop.advance(until, lambda: self.coming)


@pytest.fixture
def way() -> Iterator[Way]:
    made = Way()
    yield made
    made.loop.close()


def test_datagrams_of_one_or_two_speakers_are_read_as_they_come(way: Way) -> None:
    way.come(*sorted([n * 0.02 for n in range(10)] + [n * 0.02 + 0.007 for n in range(10)]))

    assert way.heard == [0.0] * 20


def test_datagrams_of_a_crowd_are_read_together_and_none_is_late_by_more_than_the_gathering(way: Way) -> None:
    way.come(*(n * 0.001 for n in range(1000)))
    way.pass_by(102)

    assert len(way.heard) == 1000
    assert max(way.heard) <= GATHER_S
    assert way.loop.woken < 120
    assert (way.loop.timers, way.loop.reader is None) == ([], False)  # it waits for the socket again


def test_a_flood_is_read_in_portions_without_a_pause(way: Way) -> None:
    way.come(0.0)
    way.coming.extend([b"100.001"] * 1000)
    way.pass_by(100.001)
    way.pass_by(100.002)

    assert len(way.heard) == 1001


def test_a_socket_that_is_let_go_of_while_datagrams_gather_is_not_read_any_more(way: Way) -> None:
    way.come(0.0, 0.001, 0.002)
    assert len(way.heard) == 2

    way.reader.pause()
    way.pass_by(101)
    assert (way.loop.reader, way.loop.timers, len(way.heard)) == (None, [], 2)
    way.reader.resume()
    way.pass_by(102)

    assert len(way.heard) == 3


def test_one_listeners_defect_is_no_one_elses(way: Way) -> None:
    def break_down(datagram: bytes) -> None:
        raise ZeroDivisionError

    way.reader.unregister(break_down)  # which nobody registered
    way.reader.register(break_down)

    way.come(0.0, 0.1)

    assert len(way.heard) == 2


def test_who_lets_go_of_the_socket_while_a_datagram_is_read_reads_no_other(way: Way) -> None:
    way.reader.register(lambda _: way.reader.stop())

    way.come(0.0, 0.001)
    way.pass_by(101)

    assert (way.loop.reader, way.loop.timers, len(way.heard)) == (None, [], 1)
