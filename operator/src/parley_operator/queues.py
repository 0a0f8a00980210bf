"""Which assistant is looked at when: one queue in which each has one place, however often something happens to it.

Pure: the time is passed in (seconds of a monotonic clock). `workers` beside it is what waits and works. What happens
to an assistant while it is being looked at is not lost: it is looked at again afterwards.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")

REST: Final = 4.0
LAST_REST_S: Final = 1.0
"""After its work a key that is not in a hurry rests four times as long as that took, up to this: what goes on for a
while is worked on a few times, and the fewer the more there is to do."""
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 60.0
"""Failures are tried again after 0.25 s, 0.5 s, and so on up to this: an API server that is away for an hour is asked
once a minute."""


class Queue(Generic[K]):
    """Keys that are due, or will be."""

    def __init__(self) -> None:
        """Begin with none."""
        self._due: dict[K, float] = {}
        self._since: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._hasty: set[K] = set()
        self._taken: dict[K, float] = {}
        self._rested: dict[K, float] = {}

    def __len__(self) -> int:
        """Return how many wait for their time or for a worker."""
        return len(self._due)

    def add(self, key: K, now: float, after_s: float = 0.0) -> None:
        """Let a key be taken from a time on; if it waits already, the earlier time holds.

        What may wait a while (`after_s` above 0) also waits until the key has rested.
        """
        due = max(now + after_s, self._not_before.get(key, now))
        if after_s > 0:
            due = max(due, self._rested.get(key, due))
        else:
            self._hasty.add(key)
        if due < self._due.get(key, float("inf")):
            self._wait(key, due)

    def _wait(self, key: K, due: float) -> None:
        self._due[key] = due
        self._since[key] = due
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, key))

    def take(self, now: float) -> K | None:
        """Return the key that is due longest and not being worked on; None for none. It must be given back."""
        held: list[tuple[float, int, K]] = []
        found: K | None = None
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            key = entry[2]
            if self._due.get(key) != entry[0]:
                continue  # an earlier time came to hold
            if key in self._running:
                held.append(entry)
                continue
            del self._due[key], self._since[key]
            self._hasty.discard(key)
            self._running.add(key)
            self._taken[key] = now
            found = key
            break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found

    def done(self, key: K, now: float, again_after_s: float | None = None) -> None:
        """Give a key back whose work succeeded, to be taken again after a while if told."""
        self._running.discard(key)
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        rested = now + min(LAST_REST_S, REST * (now - self._taken.pop(key, now)))
        if key in self._due and key not in self._hasty:
            self._wait(key, max(self._due[key], rested))
        if again_after_s is not None:
            self._rested[key] = rested
            self.add(key, now, again_after_s)
        else:
            self._rested.pop(key, None)

    def failed(self, key: K, now: float, chance: float, at_least_s: float = 0.0) -> float:
        """Give a key back whose work failed; return after how many seconds it is taken again.

        Args:
            key: which.
            now: when.
            chance: in [0, 1): half of the wait is left to it, so that what failed together does not return together.
            at_least_s: what the server asked for; not even something new hurries that.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        whole = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(count, 16))
        wait_s = max(at_least_s, whole * (1 + chance) / 2)
        self._running.discard(key)
        self._taken.pop(key, None)
        if at_least_s:
            self._not_before[key] = now + at_least_s
        # What happened meanwhile was likely our own doing: what fails would fail again at the pace of its events.
        self._due.pop(key, None)
        self._hasty.discard(key)
        self.add(key, now, wait_s)
        return wait_s

    def forget(self, key: K) -> None:
        """Drop a key that is gone; what is being worked on is given back all the same."""
        for memory in (self._due, self._since, self._failures, self._not_before, self._rested):
            memory.pop(key, None)
        self._hasty.discard(key)

    def next_due(self) -> float | None:
        """Return when a key that nobody works on is due; None for never."""
        return min((due for key, due in self._due.items() if key not in self._running), default=None)

    def oldest_s(self, now: float) -> float:
        """Return for how long the one that waits longest has been due."""
        return max((now - since for since in self._since.values() if since <= now), default=0.0)


class Workers(Generic[K]):
    """Takes keys from a queue and works on several at once, on each once at a time."""

    def __init__(
        self, work: Callable[[K], Awaitable[float | None]], *, at_once: int, clock: Callable[[], float]
    ) -> None:
        """Do this work.

        Args:
            work: for a key; returns after how many seconds it shall be done again, None for never, or raises.
            at_once: how many keys at a time.
            clock: monotonic seconds.
        """
        self.queue: Final[Queue[K]] = Queue()
        self.clock: Final = clock
        self._work = work
        self._at_once = at_once
        self._news = asyncio.Event()

    def add(self, key: K, after_s: float = 0.0) -> None:
        """Have a key worked on."""
        self.queue.add(key, self.clock(), after_s)
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled; what is being done then is cancelled too."""
        async with asyncio.TaskGroup() as tasks:
            busy: set[asyncio.Task[None]] = set()

            def ended(task: asyncio.Task[None]) -> None:
                busy.discard(task)
                self._news.set()

            while True:
                while len(busy) < self._at_once and (key := self.queue.take(self.clock())) is not None:
                    task = tasks.create_task(self._one(key))
                    busy.add(task)
                    task.add_done_callback(ended)
                self._news.clear()
                await self._wait(is_full=len(busy) >= self._at_once)

    async def _one(self, key: K) -> None:
        at_least_s = 0.0
        try:
            again_s = await self._work(key)
        except Exception as error:  # noqa: BLE001  # the work has told of it; whatever it was, the key must come back
            at_least_s = float(getattr(error, "retry_after_s", 0.0))
            self.queue.failed(key, self.clock(), random.random(), at_least_s)  # noqa: S311  # no secret
        else:
            self.queue.done(key, self.clock(), again_s)

    async def _wait(self, *, is_full: bool) -> None:
        """Wait for something to be added or done, or to become due."""
        due = None if is_full else self.queue.next_due()
        if due is not None and due <= self.clock():
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(None if due is None else due - self.clock()):
                await self._news.wait()
        except TimeoutError:
            return
