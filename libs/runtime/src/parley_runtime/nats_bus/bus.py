"""NatsBus: one connection to nats-server, kept through every restart of it.

Facts this relies on (nats-py 2.16, nats-server 2.15): a client gives up after 60 reconnects unless told otherwise;
a refused JetStream call shows as a time-out; work is bound by name, because looking a consumer up needs a right that
workers do not have; a pull outlives the broker, but not the request that was under way.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import nats.errors
import structlog
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.permissions import inbox_prefix
from parley_contract.services import Service
from parley_contract.streams import Bucket, Durable, Layout, Stream
from parley_runtime.bus import Bus, Raw, RawWork, Store
from parley_runtime.nats_bus.buckets import NatsStore
from parley_runtime.nats_bus.replays import replay
from parley_runtime.nats_bus.streams import ensure
from parley_runtime.nats_bus.vendor import ACK_TIMEOUT_S, VENDOR_ERRORS, raw_of, translated
from parley_runtime.telemetry import Carrier, Telemetry

if TYPE_CHECKING:
    from nats.js import JetStreamContext

log: Final = structlog.get_logger()

_QUEUE_LIMIT: Final = 16_384
"""Messages a slow reader may be behind before the newest are dropped (and counted): 5 minutes of one speaker."""
_RECONNECT_WAIT_S: Final = 0.25
_FLUSH_TIMEOUT_S: Final = 5
_REFUSED: Final = "Authorization Violation"
"""What nats-server says to a key that it does not know."""
_REFUSAL: Final = "the broker does not know this service's key: it was rotated, or belongs to another assistant"
_PING_S: Final = 10
"""A dead peer is noticed after two of these; the default is 120."""


class NatsBus(Bus):
    """One connection that gives up only when the broker refuses it (see `lost`); make it with `connect`."""

    def __init__(self, service: Service, assistant: str, telemetry: Telemetry, client: Client) -> None:
        """Wrap a client; `connect` is the way in."""
        super().__init__(service, assistant, telemetry)
        self._client = client
        self._js = client.jetstream(timeout=ACK_TIMEOUT_S)
        self._pulls: dict[str, JetStreamContext.PullSubscription] = {}
        self._back = asyncio.Event()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._was_connected = False
        self._closing = False
        self._waiting = False

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, service: Service, assistant: str, telemetry: Telemetry, *, url: str, seed: str
    ) -> AsyncIterator[Self]:
        """Connect, waiting for the broker as long as it takes, and disconnect when the block ends.

        Args:
            service: names the user, the inbox and the dead letters.
            assistant: as `assistant_key` makes it.
            telemetry: where drops and reconnects are counted.
            url: `nats://host:port`.
            seed: the service's nkey seed, or its credentials as an admin's NATS gives them (the text of a `.creds`).

        Raises:
            BusUnavailableError: the broker does not know the key.
        """
        client = Client()
        bus = cls(service, assistant, telemetry, client)
        try:
            await client.connect(
                url,
                name=f"parley-{service}",
                **_key(seed),
                inbox_prefix=inbox_prefix(service).encode(),
                max_reconnect_attempts=-1,
                reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]  # declared int, given to asyncio.sleep
                ping_interval=_PING_S,
                error_cb=bus._on_error,
                disconnected_cb=bus._on_disconnected,
                reconnected_cb=bus._on_reconnected,
                closed_cb=bus._on_closed,
            )
            bus._was_connected, bus._waiting = True, False
            yield bus
        finally:
            # Every subscription ended with its block, so a flush empties what a drain would, without its time-out.
            bus._closing = True
            with contextlib.suppress(*VENDOR_ERRORS):
                if client.is_connected:
                    await client.flush(timeout=2)
                await client.close()

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._telemetry.record(words.BUS_DROPPED)
        if _REFUSED in str(error):
            self._lose(_REFUSAL)
            if not self._was_connected:
                # Out of `connect`, which would try for ever; later this runs in a task of nats-py's, see `lost`.
                raise BusUnavailableError(_REFUSAL)
        if isinstance(error, nats.errors.UnexpectedEOF):
            return  # said again, and better, by the disconnection that follows
        if self.connected:
            log.warning("the broker reports an error", error=type(error).__name__, detail=str(error))
        elif not self._waiting and not self._closing:
            # Four times a second until it answers: once is enough.
            self._waiting = True
            log.warning("waiting for the broker", error=type(error).__name__, detail=str(error))

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("lost the broker; reconnecting")

    async def _on_reconnected(self) -> None:
        self._telemetry.record(words.BUS_RECONNECTS)
        log.info("the broker is back")
        self._waiting = False
        self._back.set()
        self._back = asyncio.Event()

    async def _on_closed(self) -> None:
        if not self._closing:
            self._lose(f"the broker ended the connection for good: {self._client.last_error}")

    def _lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    @property
    def connected(self) -> bool:
        """See Bus."""
        return self._client.is_connected

    async def reconnected(self) -> None:
        """See Bus."""
        await self._back.wait()

    async def lost(self) -> NoReturn:
        """Wait until the connection is lost for good: the key was rotated, or the broker threw this client out.

        Raises:
            BusUnavailableError: then; only a new process, which reads its key again, can go on.
        """
        raise BusUnavailableError(await asyncio.shield(self._lost))

    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None:
        with translated(f"could not publish to {subject}"):
            await self._client.publish(subject, data, headers=dict(headers) or None)

    async def _store(self, subject: str, data: bytes, headers: Carrier, message_id: str, life_s: float | None) -> None:
        with translated(f"{subject} was not acknowledged"):
            await self._js.publish(
                subject,
                data,
                timeout=ACK_TIMEOUT_S,
                headers={**headers, "Nats-Msg-Id": message_id},
                msg_ttl=None if life_s is None else math.ceil(life_s),
            )

    async def _ask(self, subject: str, data: bytes, headers: Carrier, timeout_s: float) -> Raw:
        with translated(f"no answer on {subject}"):
            return raw_of(await self._client.request(subject, data, timeout=timeout_s, headers=dict(headers) or None))

    @contextlib.asynccontextmanager
    async def _listen(self, subjects: tuple[str, ...], queue: str) -> AsyncIterator[AsyncIterator[Raw]]:
        arrived: asyncio.Queue[Raw] = asyncio.Queue(_QUEUE_LIMIT)

        async def take(msg: Msg) -> None:
            try:
                arrived.put_nowait(raw_of(msg))
            except asyncio.QueueFull:
                self._telemetry.record(words.BUS_DROPPED)

        async with contextlib.AsyncExitStack() as subscriptions:
            with translated("the broker does not answer"):
                for subject in subjects:
                    subscription = await self._client.subscribe(subject, queue=queue, cb=take)
                    subscriptions.push_async_callback(_unsubscribe, subscription)
                await _settle(self._client)
            yield _drain(arrived)

    async def _fetch(self, durable: Durable, timeout_s: float) -> RawWork | None:
        what = f"cannot claim {durable.name}"
        with translated(what):
            if durable.name not in self._pulls:
                self._pulls[durable.name] = await self._js.pull_subscribe_bind(durable.name, stream=durable.stream)
            try:
                if self.connected:
                    [msg] = await self._pulls[durable.name].fetch(1, timeout=timeout_s)
                    return _NatsWork(msg)
            except TimeoutError:
                if self.connected:
                    return None
        # nats-py would queue the request and report a time-out, as if there were only no work.
        raise BusUnavailableError(f"{what}: the broker is away")

    async def _stored(self, stream: Stream, subject: str, within_s: float | None) -> list[Raw]:
        return await replay(self._client, stream.name, subject, within_s)

    async def ensure(self, layout: Layout) -> list[str]:
        """See Bus."""
        with translated("cannot make the streams"):
            return await ensure(self._js, layout)

    async def purge(self, stream: Stream, subject: str) -> None:
        """See Bus."""
        with translated(f"cannot purge {stream.name}"):
            await self._js.purge_stream(stream.name, subject=subject)

    async def store(self, bucket: Bucket) -> Store:
        """See Bus."""
        with translated(f"cannot open {bucket.name}"):
            return NatsStore(await self._js.key_value(bucket.name))


class _NatsWork:
    """A claimed message and its acknowledgements, none of which waits for the broker."""

    def __init__(self, msg: Msg) -> None:
        self._msg = msg
        self.raw = raw_of(msg)
        self.attempt = msg.metadata.num_delivered

    async def done(self) -> None:
        with translated("could not acknowledge"):
            await self._msg.ack()

    async def retry(self, delay_s: float) -> None:
        with translated("could not give back"):
            await self._msg.nak(delay=delay_s)

    async def drop(self) -> None:
        with translated("could not give up"):
            await self._msg.term()

    async def in_progress(self) -> None:
        with translated("could not claim any longer"):
            await self._msg.in_progress()


def are_credentials(text: str) -> bool:
    """Whether a key is a user's credentials, a JWT and its seed, and not a bare seed."""
    return text.lstrip().startswith("-----BEGIN NATS USER JWT-----")


def _key(seed: str) -> dict[str, Any]:
    """Say to nats-py what lets the service in."""
    return {"user_credentials": RawCredentials(seed)} if are_credentials(seed) else {"nkeys_seed_str": seed}


async def _settle(client: Client) -> None:
    """Wait until the broker has taken everything that was said to it.

    Twice, because nats-py's flush sends its PING ahead of what is still buffered: only the second comes after.
    """
    await client.flush(timeout=_FLUSH_TIMEOUT_S)
    await client.flush(timeout=_FLUSH_TIMEOUT_S)


async def _unsubscribe(subscription: Subscription) -> None:
    with contextlib.suppress(*VENDOR_ERRORS):
        await subscription.unsubscribe()


async def _drain(arrived: asyncio.Queue[Raw]) -> AsyncIterator[Raw]:
    while True:
        yield await arrived.get()
