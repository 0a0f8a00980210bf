"""The bus without a broker, for unit tests: same rights, same streams, virtual time. Passes the real one's suite.

A `MemoryBroker` stands for the server; `bus(service)` connects. What it does not imitate: losing the connection by
itself (`broker.up` does that), limits on bytes, and anything between processes.
"""

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from parley_contract.errors import BusUnavailableError
from parley_contract.permissions import permissions
from parley_contract.services import Service
from parley_contract.streams import Bucket, Durable, Layout, Stream, layout
from parley_runtime.bus import Bus, Entry, Raw, RawWork, Store
from parley_runtime.telemetry import Carrier, Telemetry


class _Listener(NamedTuple):
    subject: str
    queue: str
    arrived: asyncio.Queue[Raw]


class _Stored(NamedTuple):
    raw: Raw
    at: float


class MemoryBroker:
    """One assistant's broker. `layout` is in force once an agent's bus has called `ensure`, or from the start."""

    def __init__(self, assistant: str = "test_libra", *, streams: bool = True) -> None:
        """Make an empty broker; `streams` False leaves the streams to the agent, as in production."""
        self.assistant = assistant
        self.layout = layout(assistant)
        self.up = True
        self.sent: list[Raw] = []
        """Everything that was ever sent, in order."""
        self._listeners: list[_Listener] = []
        self._streams: dict[str, list[_Stored]] = {}
        self._message_ids: set[tuple[str, str]] = set()
        self._pending: dict[str, list[_MemoryWork]] = defaultdict(list)
        self._arrived: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._buckets: dict[str, _MemoryStore] = {}
        self._inboxes = itertools.count()
        self._queue_turn = itertools.count()
        if streams:
            self.make_streams()

    def bus(self, service: Service, telemetry: Telemetry | None = None) -> "MemoryBus":
        """Connect as a service."""
        return MemoryBus(self, service, telemetry or Telemetry(service, self.assistant))

    def make_streams(self) -> list[str]:
        """Make what is missing and return its names."""
        names = [stream.name for stream in self.layout.streams if stream.name not in self._streams]
        for name in names:
            self._streams[name] = []
        for bucket in self.layout.buckets:
            if bucket.name not in self._buckets:
                names.append(bucket.name)
                self._buckets[bucket.name] = _MemoryStore(bucket.ttl_s)
        return names

    def deliver(self, raw: Raw, message_id: str = "") -> bool:
        """Hand a message to listeners and streams; return whether some stream has it."""
        self.sent.append(raw)
        groups: dict[str, list[_Listener]] = defaultdict(list)
        for listener in self._listeners:
            if _matches(listener.subject, raw.subject):
                if listener.queue:
                    groups[listener.queue].append(listener)
                else:
                    listener.arrived.put_nowait(raw)
        for members in groups.values():
            members[next(self._queue_turn) % len(members)].arrived.put_nowait(raw)
        return self._keep(raw, message_id)

    def _keep(self, raw: Raw, message_id: str) -> bool:
        kept = False
        for stream in self.layout.streams:
            if stream.name not in self._streams or not any(_matches(s, raw.subject) for s in stream.subjects):
                continue
            kept = True
            if message_id and (stream.name, message_id) in self._message_ids:
                continue
            self._message_ids.add((stream.name, message_id))
            self._streams[stream.name].append(_Stored(raw, _now()))
            for durable in self.layout.durables:
                if durable.stream == stream.name and _matches(durable.filter_subject, raw.subject):
                    self._pending[durable.name].append(_MemoryWork(self, durable, raw))
                    self._arrived[durable.name].set()
        return kept

    def stored(self, stream: Stream, subject: str) -> list[Raw]:
        """Return what a stream has of a subject."""
        if stream.name not in self._streams:
            raise BusUnavailableError(f"there is no stream {stream.name}")
        return [
            kept.raw
            for kept in self._streams[stream.name]
            if _matches(subject, kept.raw.subject) and _now() - kept.at < stream.max_age_s
        ]

    def remove(self, stream_name: str, subject: str) -> None:
        """Remove a subject's messages, and the work made of them."""
        self._streams[stream_name] = [k for k in self._streams[stream_name] if not _matches(subject, k.raw.subject)]
        for items in self._pending.values():
            items[:] = [item for item in items if not _matches(subject, item.raw.subject)]

    async def fetch(self, durable: Durable, timeout_s: float) -> "_MemoryWork | None":
        """Wait for an item that is due."""
        if durable.stream not in self._streams:
            raise BusUnavailableError(f"there is no durable {durable.name}")
        deadline = _now() + timeout_s
        while True:
            items = self._pending[durable.name]
            spent = [item for item in items if item.due_at <= _now() and item.attempt >= durable.max_deliver]
            for item in spent:
                items.remove(item)
            for item in items:
                if item.due_at <= _now():
                    item.attempt += 1
                    item.due_at = _now() + durable.ack_wait_s
                    return item
            soonest = min([deadline, *(item.due_at for item in items)])
            if _now() >= deadline:
                return None
            self._arrived[durable.name].clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived[durable.name].wait(), max(0.001, soonest - _now()))

    def finish(self, work: "_MemoryWork") -> None:
        """Forget an item for good."""
        items = self._pending[work.durable.name]
        if work in items:
            items.remove(work)
            kept = self._streams[work.durable.stream]
            kept[:] = [item for item in kept if item.raw is not work.raw]

    def bucket(self, name: str) -> "_MemoryStore":
        """Open a bucket."""
        if name not in self._buckets:
            raise BusUnavailableError(f"there is no bucket {name}")
        return self._buckets[name]

    def new_inbox(self, service: Service) -> str:
        """Return a fresh inbox below the service's prefix."""
        return f"_INBOX_{service}.{next(self._inboxes)}"

    @contextlib.contextmanager
    def listening(self, subjects: tuple[str, ...], queue: str) -> Iterator[asyncio.Queue[Raw]]:
        """Collect what is said on some subjects while the block lasts."""
        arrived: asyncio.Queue[Raw] = asyncio.Queue()
        listeners = [_Listener(subject, queue, arrived) for subject in subjects]
        self._listeners += listeners
        try:
            yield arrived
        finally:
            self._listeners = [listener for listener in self._listeners if listener not in listeners]


class _MemoryWork:
    """An item of a durable; `due_at` is when it is delivered (again)."""

    def __init__(self, broker: MemoryBroker, durable: Durable, raw: Raw) -> None:
        self.raw = raw
        self.durable = durable
        self.attempt = 0
        self.due_at = 0.0
        self._broker = broker

    async def done(self) -> None:
        self._broker.finish(self)

    async def retry(self, delay_s: float) -> None:
        self.due_at = _now() + delay_s

    async def drop(self) -> None:
        self._broker.finish(self)

    async def in_progress(self) -> None:
        self.due_at = _now() + self.durable.ack_wait_s


class _MemoryStore:
    """A bucket whose values age."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._revisions = itertools.count(1)
        self._values: dict[str, tuple[Entry, float]] = {}

    async def get(self, key: str) -> Entry | None:
        entry, at = self._values.get(key, (None, 0.0))
        return entry if _now() - at < self._ttl_s else None

    async def create(self, key: str, value: bytes) -> int | None:
        return None if await self.get(key) else self._put(key, value)

    async def update(self, key: str, value: bytes, *, revision: int) -> int | None:
        entry = await self.get(key)
        return self._put(key, value) if entry and entry.revision == revision else None

    async def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def _put(self, key: str, value: bytes) -> int:
        revision = next(self._revisions)
        self._values[key] = (Entry(value, revision), _now())
        return revision


class MemoryBus(Bus):
    """A connection to a MemoryBroker, with a service's rights."""

    def __init__(self, broker: MemoryBroker, service: Service, telemetry: Telemetry) -> None:
        """Connect; `MemoryBroker.bus` is the way in."""
        super().__init__(service, broker.assistant, telemetry)
        self.broker = broker
        self._rights = permissions(broker.assistant, service)
        self._back = asyncio.Event()

    @property
    def connected(self) -> bool:
        """See Bus."""
        return self.broker.up

    async def reconnected(self) -> None:
        """See Bus."""
        await self._back.wait()

    def come_back(self) -> None:
        """Say that the connection came back."""
        self._back.set()
        self._back = asyncio.Event()

    async def ensure(self, layout: Layout) -> list[str]:
        """See Bus."""
        self._only_the_agent()
        self.broker.layout = layout
        return self.broker.make_streams()

    async def purge(self, stream: Stream, subject: str) -> None:
        """See Bus."""
        self._only_the_agent()
        self.broker.remove(stream.name, subject)

    async def store(self, bucket: Bucket) -> Store:
        """See Bus."""
        self._only_the_agent()
        return self.broker.bucket(bucket.name)

    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None:
        if self._may_publish(subject) and self.broker.up:
            self.broker.deliver(Raw(subject, data, dict(headers)))

    async def _store(self, subject: str, data: bytes, headers: Carrier, message_id: str) -> None:
        if not self._may_publish(subject) or not self.broker.up:
            raise BusUnavailableError(f"{subject} was not acknowledged")
        if not self.broker.deliver(Raw(subject, data, dict(headers)), message_id):
            raise BusUnavailableError(f"{subject} was not acknowledged: no stream has it")

    async def _ask(self, subject: str, data: bytes, headers: Carrier, timeout_s: float) -> Raw:
        inbox = self.broker.new_inbox(self.service)
        with self.broker.listening((inbox,), "") as arrived:
            if self._may_publish(subject) and self.broker.up:
                self.broker.deliver(Raw(subject, data, dict(headers), inbox))
            try:
                return await asyncio.wait_for(arrived.get(), timeout_s)
            except TimeoutError as error:
                raise BusUnavailableError(f"no answer on {subject}") from error

    @contextlib.asynccontextmanager
    async def _listen(self, subjects: tuple[str, ...], queue: str) -> AsyncIterator[AsyncIterator[Raw]]:
        allowed = tuple(s for s in subjects if any(_matches(right, s) for right in self._rights.subscribe))
        with self.broker.listening(allowed, queue) as arrived:
            yield _drain(arrived)

    async def _fetch(self, durable: Durable, timeout_s: float) -> RawWork | None:
        if not self.broker.up or not self._may_publish(f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"):
            raise BusUnavailableError(f"cannot claim {durable.name}")
        return await self.broker.fetch(durable, timeout_s)

    async def _stored(self, stream: Stream, subject: str) -> list[Raw]:
        if not self.broker.up or not self._may_publish(f"$JS.API.DIRECT.GET.{stream.name}"):
            raise BusUnavailableError(f"cannot replay {stream.name}")
        return self.broker.stored(stream, subject)

    def _may_publish(self, subject: str) -> bool:
        if self._rights.may_respond and subject.startswith("_INBOX_"):
            return True
        return any(_matches(right, subject) for right in self._rights.publish)

    def _only_the_agent(self) -> None:
        if self.service != "agent" or not self.broker.up:
            raise BusUnavailableError("only the agent may touch streams, and only while the broker is up")


async def _drain(arrived: asyncio.Queue[Raw]) -> AsyncIterator[Raw]:
    while True:
        yield await arrived.get()


def _matches(pattern: str, subject: str) -> bool:
    """Whether a subject (or a narrower pattern) falls under a pattern with `*` and a final `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else ["", *given]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
