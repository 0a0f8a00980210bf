"""How processes talk: typed messages and frames over a broker, with trace context, dead letters and counts.

`Bus` holds everything that is the same on any broker; `nats_bus.NatsBus` is the real one, the testkit's
`MemoryBus` the fake, and both pass one suite. This module knows no vendor.

Two ways to speak: `publish` (at most once, 0.25 ms: frames, deltas, partials) and `record` (acknowledged by the
stream, with a message id that makes a repetition harmless to the stream, not to those who listen: work, finals,
reports).
"""

import abc
import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import structlog

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError, MalformedMessageError, UnknownMessageError
from parley_contract.frames import Frame, decode_frame, encode_frame
from parley_contract.messages import DeadLetter, Message, SynthesizePhrase, TranscribeUtterance, decode, encode
from parley_contract.services import Service
from parley_contract.streams import Bucket, Durable, Layout, Stream
from parley_contract.subjects import Subjects
from parley_runtime.telemetry import Carrier, Telemetry

log: Final = structlog.get_logger()

_SAY_BURIED_EVERY_S: Final = 1.0
"""Of what cannot be read one line a second is logged at most, with how many it stands for: a flood fills disks."""

M = TypeVar("M", bound=Message)


class Raw(NamedTuple):
    """What a broker delivers before anybody has read it."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str = ""


class Received(NamedTuple):
    """A message and where it came from; `headers` are the parent for the receiver's spans."""

    subject: str
    message: Message
    headers: Carrier
    reply: str = ""


class Entry(NamedTuple):
    """A value in a bucket, with the revision that a compare-and-set needs."""

    value: bytes
    revision: int


class RawWork(Protocol):
    """A claimed work item as the broker knows it."""

    raw: Raw
    attempt: int
    """1 for the first delivery."""

    async def done(self) -> None:
        """Acknowledge."""
        ...

    async def retry(self, delay_s: float) -> None:
        """Give it back, to be delivered again after `delay_s`."""
        ...

    async def drop(self) -> None:
        """Give it up for good."""
        ...

    async def in_progress(self) -> None:
        """Begin ack_wait anew."""
        ...


class Store(Protocol):
    """A key-value bucket with compare-and-set."""

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None if there is none (any more)."""
        ...

    async def create(self, key: str, value: bytes) -> int | None:
        """Make the key and return its revision; None if it exists."""
        ...

    async def update(self, key: str, value: bytes, *, revision: int) -> int | None:
        """Replace the value if it is still of `revision`; return the new one, or None if somebody was faster."""
        ...

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """Remove the key, or only what is still of `revision`; nothing happens if there is none."""
        ...


class Work(Generic[M]):
    """A claimed work item: call exactly one of `done`, `retry` and `drop`, and `in_progress` well within ack_wait."""

    def __init__(self, message: M, raw_work: RawWork, *, last: bool) -> None:
        """Wrap a claim; `last` says that nobody will get this item again."""
        self.message = message
        self.attempt = raw_work.attempt
        self.headers: Carrier = raw_work.raw.headers
        self.last = last
        self._raw_work = raw_work

    async def done(self) -> None:
        """Acknowledge: the outcome was published."""
        await self._raw_work.done()

    async def retry(self, delay_s: float) -> None:
        """Give it back, to be delivered again after `delay_s`."""
        await self._raw_work.retry(delay_s)

    async def drop(self) -> None:
        """Give it up for good: stale, or of no use to anybody."""
        await self._raw_work.drop()

    async def in_progress(self) -> None:
        """Tell the broker that this worker lives and works."""
        await self._raw_work.in_progress()


class Bus(abc.ABC):
    """One process's connection to its assistant's broker."""

    def __init__(self, service: Service, assistant: str, telemetry: Telemetry) -> None:
        """Say who speaks on which assistant's bus."""
        self.service: Final = service
        self.subjects: Final = Subjects(assistant)
        self._telemetry = telemetry
        self._buried = 0
        self._said_buried_at = float("-inf")

    # Speaking.

    async def publish(self, subject: str, message: Message, *, headers: Carrier | None = None) -> None:
        """Say it once to whoever listens now. `headers` default to the current span's context."""
        await self._send(subject, encode(message), headers or self._telemetry.carrier())

    async def record(self, subject: str, message: Message, *, message_id: str, headers: Carrier | None = None) -> None:
        """Say it and wait until the subject's stream has it; the same `message_id` twice is stored once.

        Work is forgotten by the stream after its `life_s`, rounded up to a second.

        Raises:
            BusUnavailableError: nobody acknowledged in time.
        """
        life_s = message.life_s if isinstance(message, TranscribeUtterance | SynthesizePhrase) else None
        await self._store(subject, encode(message), headers or self._telemetry.carrier(), message_id, life_s)

    async def publish_frame(self, subject: str, frame: Frame) -> None:
        """Send a frame; while the broker is away it is lost, and asked for again by sequence."""
        if self.connected:
            await self._send(subject, encode_frame(frame), {})

    async def request(self, subject: str, message: Message, *, timeout_s: float) -> Message:
        """Ask and return the first answer.

        Raises:
            BusUnavailableError: no answer in `timeout_s`, or none that can be read.
        """
        raw = await self._ask(subject, encode(message), self._telemetry.carrier(), timeout_s)
        if (answer := await self._read(raw)) is None:
            raise BusUnavailableError(f"the answer on {subject} cannot be read")
        return answer

    async def answer(self, received: Received, message: Message) -> None:
        """Answer a request; a message that is none is ignored.

        Only for subjects that no stream keeps: on the others `reply` is where the sender awaits the stream's word.
        """
        if received.reply:
            await self._send(received.reply, encode(message), self._telemetry.carrier())

    # Listening.

    @contextlib.asynccontextmanager
    async def messages(self, *subjects: str, queue: str = "") -> AsyncIterator[AsyncIterator[Received]]:
        """Listen while the block lasts; what cannot be read is dead-lettered and left out.

        The subscription is in force at the broker when the block begins. What falls under one of `subjects` comes
        in the order in which its sender said it; between several of them nothing is promised. With `queue`, members
        of the same queue share the messages.
        """
        async with self._listen(subjects, queue) as raws:
            yield self._readable(raws)

    async def _readable(self, raws: AsyncIterator[Raw]) -> AsyncIterator[Received]:
        async for raw in raws:
            if (message := await self._read(raw)) is not None:
                yield Received(raw.subject, message, raw.headers, raw.reply)

    @contextlib.asynccontextmanager
    async def frames(self, *subjects: str) -> AsyncIterator[AsyncIterator[tuple[str, Frame]]]:
        """Listen to frames while the block lasts, as `(subject, frame)`."""
        async with self._listen(subjects, "") as raws:
            yield self._readable_frames(raws)

    async def _readable_frames(self, raws: AsyncIterator[Raw]) -> AsyncIterator[tuple[str, Frame]]:
        async for raw in raws:
            try:
                frame = decode_frame(raw.data)
            except MalformedMessageError as error:
                await self.bury(raw.subject, raw.data, error)
                continue
            yield raw.subject, frame

    # Working.

    async def claim(self, durable: Durable, kind: type[M], *, timeout_s: float) -> Work[M] | None:
        """Wait for a work item of `kind`; None after `timeout_s`. What cannot be read is dead-lettered and dropped.

        Raises:
            BusUnavailableError: the broker or the durable is away; try again after a moment. A claim that does
                not raise, even one of 0.2 s that finds nothing, shows that the consumer is bound.
        """
        raw_work = await self._fetch(durable, timeout_s)
        if raw_work is None:
            return None
        message = await self._read(raw_work.raw)
        if isinstance(message, kind):
            return Work(message, raw_work, last=raw_work.attempt >= durable.max_deliver)
        if message is not None:
            raw, wrong = raw_work.raw, MalformedMessageError(f"expected {kind.__name__}", path="$.type")
            await self.bury(raw.subject, raw.data, wrong)
        await raw_work.drop()
        return None

    # Remembering.

    async def stored_frames(self, stream: Stream, subject: str) -> list[Frame]:
        """Return the frames a stream still has of a subject, in the order of storing."""
        frames: list[Frame] = []
        for raw in await self._stored(stream, subject, None):
            try:
                frames.append(decode_frame(raw.data))
            except MalformedMessageError as error:
                await self.bury(raw.subject, raw.data, error)
        return frames

    async def stored_messages(self, stream: Stream, subject: str, *, within_s: float | None = None) -> list[Received]:
        """Return the messages a stream still has of a subject (wildcards allowed), oldest first.

        With `within_s` only those that were stored so long before the newest one; our wall clock has no part in it.
        """
        found = [(raw, await self._read(raw)) for raw in await self._stored(stream, subject, within_s)]
        return [Received(raw.subject, message, raw.headers) for raw, message in found if message is not None]

    # What cannot be read.

    async def bury(self, subject: str, data: bytes, error: MalformedMessageError) -> None:
        """Leave a dead letter and a count; a broker that refuses even that must not stop the reader.

        For what a bus reads itself this is done already; it is for values in a bucket, which only their reader knows.
        """
        self._telemetry.record(words.BUS_MALFORMED)
        self._buried += 1
        if (now := asyncio.get_running_loop().time()) - self._said_buried_at >= _SAY_BURIED_EVERY_S:
            log.warning(
                "could not read a message", subject=subject, path=error.path, size=len(data), since_last=self._buried
            )
            self._buried, self._said_buried_at = 0, now
        letter = DeadLetter(
            subject=subject,
            service=self.service,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            path=error.path,
            at=time.time(),
        )
        with contextlib.suppress(BusUnavailableError):
            await self.publish(self.subjects.dead(self.service), letter)

    # What a broker must be able to do.

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether the broker can be reached now."""

    @abc.abstractmethod
    async def reconnected(self) -> None:
        """Wait until the connection comes back the next time; streams in memory may be gone then."""

    @abc.abstractmethod
    async def ensure(self, layout: Layout) -> list[str]:
        """Make or mend streams, buckets and durables; return the names of what was changed (agent only)."""

    @abc.abstractmethod
    async def purge(self, stream: Stream, subject: str) -> None:
        """Remove a subject's messages from a stream (agent only)."""

    @abc.abstractmethod
    async def store(self, bucket: Bucket) -> Store:
        """Open a bucket that `ensure` has made (agent only)."""

    @abc.abstractmethod
    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None: ...

    @abc.abstractmethod
    async def _store(
        self, subject: str, data: bytes, headers: Carrier, message_id: str, life_s: float | None
    ) -> None: ...

    @abc.abstractmethod
    async def _ask(self, subject: str, data: bytes, headers: Carrier, timeout_s: float) -> Raw: ...

    @abc.abstractmethod
    def _listen(
        self, subjects: tuple[str, ...], queue: str
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[Raw]]: ...

    @abc.abstractmethod
    async def _fetch(self, durable: Durable, timeout_s: float) -> RawWork | None: ...

    @abc.abstractmethod
    async def _stored(self, stream: Stream, subject: str, within_s: float | None) -> list[Raw]: ...

    async def _read(self, raw: Raw) -> Message | None:
        try:
            return decode(raw.data)
        except UnknownMessageError:
            self._telemetry.record(words.BUS_UNKNOWN)
        except MalformedMessageError as error:
            await self.bury(raw.subject, raw.data, error)
        return None
