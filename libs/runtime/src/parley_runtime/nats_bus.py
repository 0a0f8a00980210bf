"""The bus on a real nats-server: the only importer of nats-py.

Facts this relies on (nats-py 2.16, nats-server 2.15): a client gives up after 60 reconnects unless told otherwise;
a refused JetStream call shows as a time-out; work is bound by name, because looking a consumer up needs a right that
workers do not have; a batched direct get replays a subject in one round trip (ADR-31).
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Final, Self

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadRequestError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.permissions import inbox_prefix
from parley_contract.services import Service
from parley_contract.streams import VERSION, Bucket, Durable, Layout, Stream
from parley_runtime.bus import Bus, Entry, Raw, RawWork, Store
from parley_runtime.telemetry import Carrier, Telemetry

log: Final = structlog.get_logger()

_QUEUE_LIMIT: Final = 16_384
"""Messages a slow reader may be behind before the newest are dropped (and counted): 5 minutes of one speaker."""
_ACK_TIMEOUT_S: Final = 2.0
_REPLAY_BATCH: Final = 1024
_DESCRIPTION: Final = "Parley"
_WRONG_LAST_SEQUENCE: Final = 10071
"""nats-server's error code for a lost compare-and-set."""
_VENDOR_ERRORS: Final = (nats.errors.Error, APIError, TimeoutError, OSError)


class NatsBus(Bus):
    """One connection that never gives up; make it with `connect`."""

    def __init__(self, service: Service, assistant: str, telemetry: Telemetry, client: Client) -> None:
        """Wrap a connected client; `connect` is the way in."""
        super().__init__(service, assistant, telemetry)
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=_ACK_TIMEOUT_S)
        self._pulls: dict[str, JetStreamContext.PullSubscription] = {}
        self._back = asyncio.Event()
        self._closing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, service: Service, assistant: str, telemetry: Telemetry, *, url: str, seed: str
    ) -> AsyncIterator[Self]:
        """Connect, waiting for the broker as long as it takes, and drain when the block ends.

        Args:
            service: names the user, the inbox and the dead letters.
            assistant: as `assistant_key` makes it.
            telemetry: where drops and reconnects are counted.
            url: `nats://host:port`.
            seed: the service's nkey seed.
        """
        client = Client()
        bus = cls(service, assistant, telemetry, client)
        await client.connect(
            url,
            name=f"parley-{service}",
            nkeys_seed_str=seed,
            inbox_prefix=inbox_prefix(service).encode(),
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,
            ping_interval=10,
            error_cb=bus._on_error,
            reconnected_cb=bus._on_reconnected,
            disconnected_cb=bus._on_disconnected,
        )
        try:
            yield bus
        finally:
            # Every subscription ended with its block, so a flush empties what a drain would, without its time-out.
            bus._closing = True
            with contextlib.suppress(*_VENDOR_ERRORS):
                if client.is_connected:
                    await client.flush(timeout=2)
                await client.close()

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._telemetry.record(words.BUS_DROPPED)
        if self.connected:
            log.warning("the broker reports an error", error=type(error).__name__, detail=str(error))

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("lost the broker; reconnecting")

    async def _on_reconnected(self) -> None:
        self._telemetry.record(words.BUS_RECONNECTS)
        log.info("the broker is back")
        self._back.set()
        self._back = asyncio.Event()

    @property
    def connected(self) -> bool:
        """See Bus."""
        return self._client.is_connected

    async def reconnected(self) -> None:
        """See Bus."""
        await self._back.wait()

    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None:
        try:
            await self._client.publish(subject, data, headers=dict(headers) or None)
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"could not publish to {subject}: {type(error).__name__}") from error

    async def _store(self, subject: str, data: bytes, headers: Carrier, message_id: str) -> None:
        try:
            await self._js.publish(
                subject, data, timeout=_ACK_TIMEOUT_S, headers={**headers, "Nats-Msg-Id": message_id}
            )
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"{subject} was not acknowledged: {type(error).__name__}") from error

    async def _ask(self, subject: str, data: bytes, headers: Carrier, timeout_s: float) -> Raw:
        try:
            return _raw(await self._client.request(subject, data, timeout=timeout_s, headers=dict(headers) or None))
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"no answer on {subject}: {type(error).__name__}") from error

    @contextlib.asynccontextmanager
    async def _listen(self, subjects: tuple[str, ...], queue: str) -> AsyncIterator[AsyncIterator[Raw]]:
        # Several subjects, one order of arrival: the subscriptions share a queue instead of having one each.
        arrived: asyncio.Queue[Raw] = asyncio.Queue(_QUEUE_LIMIT)

        async def take(msg: Msg) -> None:
            try:
                arrived.put_nowait(_raw(msg))
            except asyncio.QueueFull:
                self._telemetry.record(words.BUS_DROPPED)

        subscriptions = [await self._client.subscribe(subject, queue=queue, cb=take) for subject in subjects]
        try:
            await self._flush()
            yield _drain(arrived)
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(*_VENDOR_ERRORS):
                    await subscription.unsubscribe()

    async def _flush(self) -> None:
        try:
            await self._client.flush(timeout=5)
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"the broker does not answer: {type(error).__name__}") from error

    async def _fetch(self, durable: Durable, timeout_s: float) -> RawWork | None:
        if not self.connected:
            # nats-py would queue the request and report a time-out, as if there were only no work.
            raise BusUnavailableError(f"cannot claim {durable.name}: the broker is away")
        try:
            pull = self._pulls.get(durable.name)
            if pull is None:
                pull = await self._js.pull_subscribe_bind(durable.name, stream=durable.stream)
                self._pulls[durable.name] = pull
            [msg] = await pull.fetch(1, timeout=timeout_s)
        except nats.errors.TimeoutError:
            return None
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot claim {durable.name}: {type(error).__name__}") from error
        return _NatsWork(msg)

    async def _stored(self, stream: Stream, subject: str) -> list[Raw]:
        found: list[Raw] = []
        sequence, pending = 1, 1
        inbox = self._client.new_inbox()
        arrived: asyncio.Queue[Msg] = asyncio.Queue()

        async def take(msg: Msg) -> None:
            arrived.put_nowait(msg)

        subscription = await self._client.subscribe(inbox, cb=take)
        try:
            while pending:
                request = {"seq": sequence, "next_by_subj": subject, "batch": _REPLAY_BATCH}
                await self._client.publish(
                    f"$JS.API.DIRECT.GET.{stream.name}", json.dumps(request).encode(), reply=inbox
                )
                pending = 0
                while True:
                    msg = await asyncio.wait_for(arrived.get(), _ACK_TIMEOUT_S)
                    headers = msg.headers or {}
                    if status := headers.get("Status"):
                        # 204 ends a batch, 404 says that there is nothing; anything else is a refusal.
                        if status not in {"204", "404"}:
                            raise BusUnavailableError(f"{stream.name} refused a replay: {status}")
                        pending = int(headers.get("Nats-Num-Pending", "0"))
                        break
                    sequence = int(headers["Nats-Sequence"]) + 1
                    found.append(Raw(headers["Nats-Subject"], msg.data, headers))
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot replay {stream.name}: {type(error).__name__}") from error
        finally:
            with contextlib.suppress(*_VENDOR_ERRORS):
                await subscription.unsubscribe()
        return found

    async def ensure(self, layout: Layout) -> list[str]:
        """See Bus."""
        changed: list[str] = []
        try:
            for stream in layout.streams:
                if await self._ensure_stream(_stream_config(stream)):
                    changed.append(stream.name)
            for bucket in layout.buckets:
                try:
                    await self._js.stream_info(f"KV_{bucket.name}")
                except NotFoundError:
                    await self._js.create_key_value(
                        KeyValueConfig(
                            bucket=bucket.name, ttl=bucket.ttl_s, max_bytes=bucket.max_bytes, history=1, direct=True
                        )
                    )
                    changed.append(bucket.name)
            for durable in layout.durables:
                try:
                    await self._js.consumer_info(durable.stream, durable.name)
                except NotFoundError:
                    await self._js.add_consumer(durable.stream, _consumer_config(durable))
                    changed.append(f"{durable.stream}/{durable.name}")
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot make the streams: {type(error).__name__}: {error}") from error
        return changed

    async def _ensure_stream(self, wanted: StreamConfig) -> bool:
        assert wanted.name is not None
        try:
            present = (await self._js.stream_info(wanted.name)).config
        except NotFoundError:
            await self._js.add_stream(wanted)
            return True
        if _version(present.description) >= VERSION and all(
            getattr(present, field) == getattr(wanted, field) for field in ("subjects", "max_age", "max_bytes")
        ):
            return False
        if _version(present.description) > VERSION:
            return False
        await self._js.update_stream(wanted)
        return True

    async def purge(self, stream: Stream, subject: str) -> None:
        """See Bus."""
        try:
            await self._js.purge_stream(stream.name, subject=subject)
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot purge {stream.name}: {type(error).__name__}") from error

    async def store(self, bucket: Bucket) -> Store:
        """See Bus."""
        try:
            return _NatsStore(await self._js.key_value(bucket.name))
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot open {bucket.name}: {type(error).__name__}") from error


class _NatsWork:
    """A claimed message and its acknowledgements."""

    def __init__(self, msg: Msg) -> None:
        self._msg = msg
        self.raw = _raw(msg)
        self.attempt = msg.metadata.num_delivered

    async def done(self) -> None:
        await _translated(self._msg.ack())

    async def retry(self, delay_s: float) -> None:
        await _translated(self._msg.nak(delay=delay_s))

    async def drop(self) -> None:
        await _translated(self._msg.term())

    async def in_progress(self) -> None:
        await _translated(self._msg.in_progress())


class _NatsStore:
    """A bucket, with vendor exceptions turned into None and ours."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> Entry | None:
        try:
            entry = await self._bucket.get(key)
        except KeyNotFoundError:
            return None
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot read {key}: {type(error).__name__}") from error
        return Entry(entry.value or b"", entry.revision or 0)

    async def create(self, key: str, value: bytes) -> int | None:
        return await self._write(self._bucket.create(key, value), key)

    async def update(self, key: str, value: bytes, *, revision: int) -> int | None:
        return await self._write(self._bucket.update(key, value, last=revision), key)

    async def delete(self, key: str) -> None:
        await _translated(self._bucket.delete(key))

    async def _write(self, write: Coroutine[None, None, int], key: str) -> int | None:
        try:
            return await write
        except KeyWrongLastSequenceError:
            return None
        except BadRequestError as error:
            # nats-py raises the subclass above for some shapes of this refusal and the plain one for others.
            if error.err_code == _WRONG_LAST_SEQUENCE:
                return None
            raise BusUnavailableError(f"cannot write {key}: {error.description}") from error
        except _VENDOR_ERRORS as error:
            raise BusUnavailableError(f"cannot write {key}: {type(error).__name__}") from error


async def _translated(call: Awaitable[object]) -> None:
    try:
        await call
    except _VENDOR_ERRORS as error:
        raise BusUnavailableError(f"the broker did not take it: {type(error).__name__}") from error


async def _drain(arrived: asyncio.Queue[Raw]) -> AsyncIterator[Raw]:
    while True:
        yield await arrived.get()


def _raw(msg: Msg) -> Raw:
    return Raw(msg.subject, msg.data, msg.headers or {}, msg.reply)


def _version(description: str | None) -> int:
    """Read the layout version off a stream's description; 0 for a stream that is not ours."""
    prefix, _, version = (description or "").partition(" v")
    return int(version) if prefix == _DESCRIPTION and version.isdigit() else 0


def _stream_config(stream: Stream) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        description=f"{_DESCRIPTION} v{VERSION}",
        subjects=list(stream.subjects),
        storage=StorageType(stream.storage),
        retention=RetentionPolicy(stream.retention),
        discard=DiscardPolicy.OLD,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        allow_direct=True,
        duplicate_window=min(120.0, stream.max_age_s),
    )


def _consumer_config(durable: Durable) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=durable.name,
        filter_subject=durable.filter_subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=durable.ack_wait_s,
        max_deliver=durable.max_deliver,
        max_ack_pending=durable.max_ack_pending,
    )
