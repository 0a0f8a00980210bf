"""What the broker in memory keeps: work that is delivered until it is acknowledged, buckets, subjects that match."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from parley_contract.errors import BusUnavailableError
from parley_contract.streams import Bucket, Durable
from parley_runtime.bus import Entry, Raw


class WorkQueue:
    """What a durable has not finished yet."""

    def __init__(self, durable: Durable, forget: Callable[[Raw], None]) -> None:
        """Make an empty one; `forget` removes from the stream what is finished."""
        self.durable = durable
        self._forget = forget
        self._items: list[MemoryWork] = []
        self._changed = asyncio.Event()

    def add(self, raw: Raw, *, expires_at: float) -> None:
        """Make a message an item that is due at once."""
        self._items.append(MemoryWork(self, raw, expires_at=expires_at))
        self.wake()

    def remove(self, subject: str) -> None:
        """Take away a subject's items, claimed or not."""
        self._items = [item for item in self._items if not matches(subject, item.raw.subject)]

    def finish(self, item: "MemoryWork") -> None:
        """Take away one item; nothing happens if it is gone already."""
        if item in self._items:
            self._items.remove(item)
            self._forget(item.raw)

    def wake(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    async def take(self, timeout_s: float) -> "MemoryWork | None":
        """Wait for an item that is due, and hide it for its ack_wait."""
        deadline = now() + timeout_s
        while True:
            self._items = [item for item in self._items if item.expires_at > now() and not item.is_spent]
            due = [item for item in self._items if item.due_at <= now()]
            if due:
                due[0].attempt += 1
                due[0].due_at = now() + self.durable.ack_wait_s
                return due[0]
            if now() >= deadline:
                return None
            soonest = min([deadline, *(item.due_at for item in self._items)])
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, soonest - now())):
                    await self._changed.wait()


class MemoryWork:
    """A claimed item, a `RawWork`; `due_at` is when it is delivered (again)."""

    def __init__(self, queue: WorkQueue, raw: Raw, *, expires_at: float) -> None:
        """Make an item that is due at once."""
        self.raw = raw
        self.attempt = 0
        self.due_at = 0.0
        self.expires_at = expires_at
        self._queue = queue

    @property
    def is_spent(self) -> bool:
        """Whether its last delivery has run out: it stays in its stream, but nobody gets it again."""
        return self.attempt >= self._queue.durable.max_deliver and self.due_at <= now()

    async def done(self) -> None:
        """See RawWork."""
        self._queue.finish(self)

    async def retry(self, delay_s: float) -> None:
        """See RawWork."""
        self.due_at = now() + delay_s
        self._queue.wake()

    async def drop(self) -> None:
        """See RawWork."""
        self._queue.finish(self)

    async def in_progress(self) -> None:
        """See RawWork."""
        self.due_at = now() + self._queue.durable.ack_wait_s


class MemoryStore:
    """A bucket, a `Store`, whose values age."""

    def __init__(self, bucket: Bucket, is_up: Callable[[], bool]) -> None:
        """Make an empty one."""
        self._is_up = is_up
        self._ttl_s = bucket.ttl_s
        self._revisions = itertools.count(1)
        self._values: dict[str, tuple[Entry, float]] = {}

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        if not self._is_up():
            raise BusUnavailableError(f"cannot reach {key}")
        entry, at = self._values.get(key, (None, 0.0))
        return entry if now() - at < self._ttl_s else None

    async def create(self, key: str, value: bytes) -> int | None:
        """See Store."""
        return None if await self.get(key) else self._put(key, value)

    async def update(self, key: str, value: bytes, *, revision: int) -> int | None:
        """See Store."""
        entry = await self.get(key)
        return self._put(key, value) if entry and entry.revision == revision else None

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """See Store."""
        entry = await self.get(key)
        if entry and revision in {None, entry.revision}:
            del self._values[key]

    def _put(self, key: str, value: bytes) -> int:
        revision = next(self._revisions)
        self._values[key] = (Entry(value, revision), now())
        return revision


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject (or a narrower pattern) falls under a pattern with `*` and a final `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def now() -> float:
    """Read the running loop's clock; 0 before there is one."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
