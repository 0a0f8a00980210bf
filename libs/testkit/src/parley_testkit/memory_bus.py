"""The bus without a broker process, for unit tests: same rights, same streams, virtual time, and the same suite.

A `MemoryBroker` stands for the server; `bus(service)` connects. It keeps streams, work and buckets, and lets them age,
as `parley_contract.streams` describes them. Not imitated: limits on bytes, and anything between processes.
"""

import asyncio
import contextlib
import functools
import itertools
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, NamedTuple

from parley_contract.errors import BusUnavailableError
from parley_contract.permissions import inbox_prefix, permissions
from parley_contract.services import Service
from parley_contract.streams import Bucket, Durable, Layout, Stream, layout
from parley_runtime.bus import Bus, Raw, RawWork, Store
from parley_runtime.telemetry import Carrier, Telemetry
from parley_testkit.memory_streams import MemoryStore, MemoryWork, WorkQueue, matches, now

_DUPLICATE_WINDOW_S: Final = 120.0


class _Listener(NamedTuple):
    subject: str
    queue: str
    arrived: asyncio.Queue[Raw]


class _Kept(NamedTuple):
    raw: Raw
    at: float
    until: float


class MemoryBroker:
    """One assistant's broker."""

    def __init__(self, assistant: str = "test_libra", *, streams: bool = True) -> None:
        """Make an empty broker; `streams` False leaves the streams to the agent's `ensure`, as in production."""
        self.assistant: Final = assistant
        self.layout = layout(assistant)
        self.up = True
        """Whether anybody can reach it; a test may switch it off and on."""
        self.sent: list[Raw] = []
        """Everything that was ever sent, in order."""
        self._back = asyncio.Event()
        self._listeners: list[_Listener] = []
        self._streams: dict[str, list[_Kept]] = {}
        self._stored_at: dict[tuple[str, str], float] = {}
        self._work: dict[str, WorkQueue] = {}
        self._buckets: dict[str, MemoryStore] = {}
        self._inboxes = itertools.count()
        self._queue_turn = itertools.count()
        if streams:
            self.make_streams()

    def bus(self, service: Service, telemetry: Telemetry | None = None) -> "MemoryBus":
        """Connect as a service."""
        return MemoryBus(self, service, telemetry or Telemetry(service, self.assistant))

    def make_streams(self) -> list[str]:
        """Make what is missing and return its names."""
        streams = [stream.name for stream in self.layout.streams if stream.name not in self._streams]
        buckets = [bucket for bucket in self.layout.buckets if bucket.name not in self._buckets]
        durables = [durable for durable in self.layout.durables if durable.name not in self._work]
        self._streams.update({name: [] for name in streams})
        self._buckets.update({bucket.name: MemoryStore(bucket, lambda: self.up) for bucket in buckets})
        self._work.update(
            {durable.name: WorkQueue(durable, functools.partial(self._forget, durable.stream)) for durable in durables}
        )
        return [
            *streams,
            *(bucket.name for bucket in buckets),
            *(f"{durable.stream}/{durable.name}" for durable in durables),
        ]

    def crash(self) -> None:
        """Die as a killed process does: nobody reaches it until `restart`."""
        self.up = False

    def restart(self, *unheard: Raw) -> None:
        """Come back with what was in files; streams in memory are gone, and every bus is told.

        Args:
            unheard: recorded by others who were back before any listener was.
        """
        for stream in self.layout.streams:
            if stream.storage == "memory":
                self._streams.pop(stream.name, None)
        self.up = True
        for raw in unheard:
            self._keep(raw, "", float("inf"))
        self._back.set()
        self._back = asyncio.Event()

    async def restarted(self) -> None:
        """Wait for the next `restart`."""
        await self._back.wait()

    # Saying and hearing.

    def deliver(self, raw: Raw, message_id: str = "", life_s: float | None = None) -> bool:
        """Hand a message to listeners and streams; return whether some stream has it, if only for `life_s`."""
        self.sent.append(raw)
        groups: dict[str, list[_Listener]] = defaultdict(list)
        for listener in self._listeners:
            if matches(listener.subject, raw.subject):
                if listener.queue:
                    groups[listener.queue].append(listener)
                else:
                    listener.arrived.put_nowait(raw)
        for members in groups.values():
            members[next(self._queue_turn) % len(members)].arrived.put_nowait(raw)
        return self._keep(raw, message_id, float("inf") if life_s is None else math.ceil(life_s))

    def is_heard(self, subject: str) -> bool:
        """Whether anybody listens to a subject."""
        return any(matches(listener.subject, subject) for listener in self._listeners)

    @contextlib.contextmanager
    def listening(self, subjects: Sequence[str], queue: str) -> Iterator[asyncio.Queue[Raw]]:
        """Collect what is said on some subjects while the block lasts."""
        arrived: asyncio.Queue[Raw] = asyncio.Queue()
        listeners = [_Listener(subject, queue, arrived) for subject in subjects]
        self._listeners += listeners
        try:
            yield arrived
        finally:
            self._listeners = [listener for listener in self._listeners if listener not in listeners]

    def new_inbox(self, service: Service) -> str:
        """Return a fresh inbox below the service's prefix."""
        return f"{inbox_prefix(service)}.{next(self._inboxes)}"

    # Keeping.

    def _keep(self, raw: Raw, message_id: str, life_s: float) -> bool:
        kept = False
        for stream in self.layout.streams:
            if stream.name not in self._streams or not any(matches(s, raw.subject) for s in stream.subjects):
                continue
            kept = True
            if message_id:
                at = self._stored_at.get((stream.name, message_id))
                if at is not None and now() - at < min(_DUPLICATE_WINDOW_S, stream.max_age_s):
                    continue
                self._stored_at[stream.name, message_id] = now()
            until = now() + min(life_s, stream.max_age_s)
            self._streams[stream.name].append(_Kept(raw, now(), until))
            for queue in self._work.values():
                if matches(queue.durable.filter_subject, raw.subject):
                    queue.add(raw, expires_at=until)
        return kept

    def stored(self, stream: Stream, subject: str, within_s: float | None = None) -> list[Raw]:
        """Return what a stream has of a subject."""
        found = [
            kept for kept in self._contents(stream.name) if matches(subject, kept.raw.subject) and now() < kept.until
        ]
        since = found[-1].at - within_s if found and within_s is not None else float("-inf")
        return [kept.raw for kept in found if kept.at >= since]

    def remove(self, stream_name: str, subject: str) -> None:
        """Remove a subject's messages, and the work made of them."""
        contents = self._contents(stream_name)
        contents[:] = [kept for kept in contents if not matches(subject, kept.raw.subject)]
        for queue in self._work.values():
            if queue.durable.stream == stream_name:
                queue.remove(subject)

    def _forget(self, stream_name: str, raw: Raw) -> None:
        contents = self._contents(stream_name)
        contents[:] = [kept for kept in contents if kept.raw is not raw]

    def _contents(self, stream_name: str) -> list[_Kept]:
        if stream_name not in self._streams:
            raise BusUnavailableError(f"there is no stream {stream_name}")
        return self._streams[stream_name]

    async def fetch(self, durable: Durable, timeout_s: float) -> MemoryWork | None:
        """Wait for an item that is due."""
        if durable.name not in self._work:
            raise BusUnavailableError(f"there is no durable {durable.name}")
        return await self._work[durable.name].take(timeout_s)

    def bucket(self, name: str) -> MemoryStore:
        """Open a bucket."""
        if name not in self._buckets:
            raise BusUnavailableError(f"there is no bucket {name}")
        return self._buckets[name]


class MemoryBus(Bus):
    """A connection to a MemoryBroker, with a service's rights."""

    def __init__(self, broker: MemoryBroker, service: Service, telemetry: Telemetry) -> None:
        """Connect; `MemoryBroker.bus` is the way in."""
        super().__init__(service, broker.assistant, telemetry)
        self.broker = broker
        self._rights = permissions(broker.assistant, service)

    @property
    def connected(self) -> bool:
        """See Bus."""
        return self.broker.up

    async def reconnected(self) -> None:
        """See Bus."""
        await self.broker.restarted()

    async def ensure(self, layout: Layout) -> list[str]:
        """See Bus."""
        self._demand(f"$JS.API.STREAM.CREATE.{layout.work.name}")
        self.broker.layout = layout
        return self.broker.make_streams()

    async def purge(self, stream: Stream, subject: str) -> None:
        """See Bus."""
        self._demand(f"$JS.API.STREAM.PURGE.{stream.name}")
        self.broker.remove(stream.name, subject)

    async def store(self, bucket: Bucket) -> Store:
        """See Bus."""
        self._demand(f"$KV.{bucket.name}.any")
        return self.broker.bucket(bucket.name)

    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None:
        if self._may_publish(subject) and self.broker.up:
            self.broker.deliver(Raw(subject, data, dict(headers)))

    async def _store(self, subject: str, data: bytes, headers: Carrier, message_id: str, life_s: float | None) -> None:
        self._demand(subject)
        if not self.broker.deliver(Raw(subject, data, dict(headers)), message_id, life_s):
            raise BusUnavailableError(f"{subject} was not acknowledged: no stream has it")

    async def _ask(self, subject: str, data: bytes, headers: Carrier, timeout_s: float) -> Raw:
        self._demand(subject)
        if not self.broker.is_heard(subject):
            raise BusUnavailableError(f"nobody answers on {subject}")
        inbox = self.broker.new_inbox(self.service)
        with self.broker.listening((inbox,), "") as arrived:
            self.broker.deliver(Raw(subject, data, dict(headers), inbox))
            try:
                async with asyncio.timeout(timeout_s):
                    return await arrived.get()
            except TimeoutError as error:
                raise BusUnavailableError(f"no answer on {subject}") from error

    @contextlib.asynccontextmanager
    async def _listen(self, subjects: tuple[str, ...], queue: str) -> AsyncIterator[AsyncIterator[Raw]]:
        allowed = [s for s in subjects if any(matches(right, s) for right in self._rights.subscribe)]
        with self.broker.listening(allowed, queue) as arrived:
            yield _drain(arrived)

    async def _fetch(self, durable: Durable, timeout_s: float) -> RawWork | None:
        right = f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
        self._demand(right)
        work = await self.broker.fetch(durable, timeout_s)
        if work is None:
            self._demand(right)
        return work

    async def _stored(self, stream: Stream, subject: str, within_s: float | None) -> list[Raw]:
        self._demand(f"$JS.API.DIRECT.GET.{stream.name}")
        return self.broker.stored(stream, subject, within_s)

    def _demand(self, subject: str) -> None:
        """Refuse what would wait for an acknowledgement in vain."""
        if not self.broker.up:
            raise BusUnavailableError(f"{subject}: the broker is away")
        if not self._may_publish(subject):
            raise BusUnavailableError(f"{subject}: {self.service} has no right to it")

    def _may_publish(self, subject: str) -> bool:
        if self._rights.may_respond and subject.startswith("_INBOX_"):
            return True
        return any(matches(right, subject) for right in self._rights.publish)


async def _drain(arrived: asyncio.Queue[Raw]) -> AsyncIterator[Raw]:
    while True:
        yield await arrived.get()
