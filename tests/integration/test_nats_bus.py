"""The bus on a real nats-server does all that a bus must, and outlives what happens to the broker."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from parley_contract.errors import BusUnavailableError
from parley_contract.messages import TranscribeUtterance
from parley_contract.permissions import inbox_prefix
from parley_contract.services import Service
from parley_contract.streams import VERSION, Layout, layout
from parley_contract.subjects import ANY
from parley_runtime.broker import new_seed
from parley_runtime.nats_bus import NatsBus
from parley_runtime.telemetry import Telemetry
from parley_testkit.bus_suite import BusSuite
from parley_testkit.bus_suite.samples import NOTHING_S, SOON_S, frames, heard, heartbeat, rest, said, until_away
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.waiting import until


class _Broker:
    def __init__(self, server: NatsServer) -> None:
        self._server = server

    @property
    def layout(self) -> Layout:
        return self._server.layout

    def connect(
        self, service: Service, telemetry: Telemetry | None = None
    ) -> contextlib.AbstractAsyncContextManager[NatsBus]:
        return self._server.bus(service, telemetry)

    async def crash(self) -> None:
        await self._server.kill()

    async def restart(self) -> None:
        await self._server.start()


class TestNatsBus(BusSuite):
    @pytest.fixture
    async def broker(self, tmp_path: Path) -> AsyncIterator[_Broker]:
        async with running_nats(tmp_path) as server:
            yield _Broker(server)

    @pytest.fixture
    async def bare_broker(self, tmp_path: Path) -> AsyncIterator[_Broker]:
        async with running_nats(tmp_path, streams=False) as server:
            yield _Broker(server)


# The streams as they really are.


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[JetStreamContext]:
    """JetStream in the hands of the agent's key, without our bus."""
    client = Client()
    await client.connect(
        server.url, nkeys_seed_str=server.seeds["agent"].read_text(), inbox_prefix=inbox_prefix("agent").encode()
    )
    yield client.jetstream()
    await client.close()


async def test_streams_are_what_the_layout_says(server: NatsServer, admin: JetStreamContext) -> None:
    for wanted in server.layout.streams:
        made = (await admin.stream_info(wanted.name)).config

        assert made.subjects == list(wanted.subjects)
        assert (made.storage, made.retention) == (wanted.storage, wanted.retention)
        assert (made.max_age, made.max_bytes, made.discard) == (wanted.max_age_s, wanted.max_bytes, "old")
        assert (made.allow_direct, made.no_ack) == (True, False)
        assert made.description == f"Parley v{VERSION}"


async def test_buckets_are_what_the_layout_says(server: NatsServer, admin: JetStreamContext) -> None:
    for wanted in server.layout.buckets:
        made = (await admin.stream_info(f"KV_{wanted.name}")).config
        status = await (await admin.key_value(wanted.name)).status()

        assert (status.ttl, status.history) == (wanted.ttl_s, 1)
        assert (made.storage, made.max_bytes, made.discard) == ("file", wanted.max_bytes, "new")
        assert (made.allow_direct, made.allow_rollup_hdrs, made.deny_delete) == (True, True, True)


async def test_durables_are_what_the_layout_says(server: NatsServer, admin: JetStreamContext) -> None:
    for wanted in server.layout.durables:
        made = (await admin.consumer_info(wanted.stream, wanted.name)).config

        assert (made.durable_name, made.filter_subject) == (wanted.name, wanted.filter_subject)
        assert (made.ack_policy, made.ack_wait) == ("explicit", wanted.ack_wait_s)
        assert (made.max_deliver, made.max_ack_pending) == (wanted.max_deliver, wanted.max_ack_pending)
        assert made.deliver_subject is None


async def test_a_spec_that_changed_is_followed(server: NatsServer, admin: JetStreamContext) -> None:
    shorter = layout(server.assistant, keep_events_s=3600)
    async with server.bus("agent") as agent:
        changed = await agent.ensure(shorter)
        again = await agent.ensure(shorter)

    assert changed == [shorter.events.name, shorter.sessions.name]
    assert again == []
    assert (await admin.stream_info(shorter.events.name)).config.max_age == 3600
    assert (await admin.stream_info(f"KV_{shorter.sessions.name}")).config.max_age == 3600


async def test_a_durable_that_differs_is_mended(server: NatsServer, admin: JetStreamContext) -> None:
    wanted = server.layout.utterances
    config = (await admin.consumer_info(wanted.stream, wanted.name)).config
    await admin.add_consumer(wanted.stream, config.evolve(name=None, ack_wait=30.0))

    async with server.bus("agent") as agent:
        changed = await agent.ensure(server.layout)

    assert changed == [f"{wanted.stream}/{wanted.name}"]
    assert (await admin.consumer_info(wanted.stream, wanted.name)).config.ack_wait == wanted.ack_wait_s


async def test_what_a_newer_version_made_is_left_alone(server: NatsServer, admin: JetStreamContext) -> None:
    newer = f"Parley v{VERSION + 1}"
    events, durable = server.layout.events, server.layout.phrases
    stream_config = (await admin.stream_info(events.name)).config
    await admin.update_stream(stream_config.evolve(description=newer, max_age=60.0, duplicate_window=60.0))
    durable_config = (await admin.consumer_info(durable.stream, durable.name)).config
    await admin.add_consumer(durable.stream, durable_config.evolve(name=None, description=newer, ack_wait=30.0))

    async with server.bus("agent") as agent:
        changed = await agent.ensure(server.layout)

    assert changed == []
    assert (await admin.stream_info(events.name)).config.max_age == 60
    assert (await admin.consumer_info(durable.stream, durable.name)).config.ack_wait == 30


@pytest.mark.parametrize("description", ["Parley v0", "made by hand", "", None])
async def test_what_an_older_version_or_a_hand_made_is_brought_up(
    server: NatsServer, admin: JetStreamContext, description: str | None
) -> None:
    config = (await admin.stream_info(server.layout.dead.name)).config
    await admin.update_stream(config.evolve(description=description, max_bytes=4096))

    async with server.bus("agent") as agent:
        changed = await agent.ensure(server.layout)

    made = (await admin.stream_info(server.layout.dead.name)).config
    assert changed == [server.layout.dead.name]
    assert (made.description, made.max_bytes) == (f"Parley v{VERSION}", server.layout.dead.max_bytes)


# The connection.


async def test_a_clean_end_leaves_no_warning(server: NatsServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with server.bus("agent") as agent, server.bus("asr") as asr:
            async with agent.messages(agent.subjects.transcript(ANY, ANY)):
                await asr.claim(server.layout.utterances, TranscribeUtterance, timeout_s=0.2)
                await agent.stored_messages(server.layout.events, agent.subjects.transcript(ANY, ANY))
            await agent.store(server.layout.leases)

    assert logs == []


async def test_a_clean_end_while_the_broker_is_away_leaves_one_warning(server: NatsServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with server.bus("agent") as agent:
            await server.kill()
            await until_away(agent)
            await until("it waits for the broker", lambda: len(logs) == 2)
            await asyncio.sleep(NOTHING_S)

    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "lost the broker; reconnecting"),
        ("warning", "waiting for the broker"),
    ]


async def test_who_starts_before_the_broker_waits_for_it_and_says_so_once(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def start_later() -> None:
        await asyncio.sleep(1)
        await server.start()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(start_later())
            async with server.bus("agent") as agent:
                made = await agent.ensure(server.layout)
    await server.kill()

    assert made != []
    assert [line["event"] for line in logs] == ["waiting for the broker"]


async def test_what_was_said_just_before_the_end_is_heard(server: NatsServer) -> None:
    async with server.bus("agent") as agent, agent.messages(agent.subjects.heartbeat(ANY)) as messages:
        async with server.bus("gateway") as gateway:
            for number in range(100):
                await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat(f"s{number}"))

        received = await heard(messages, 100)

    assert said(received) == [heartbeat(f"s{number}") for number in range(100)]


# nats-py leaves the socket of a refused attempt to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_key_that_is_rotated_ends_the_old_connection_and_no_other(server: NatsServer) -> None:
    async with server.bus("asr") as asr, server.bus("gateway") as gateway:
        server.rotate("asr")

        with pytest.raises(BusUnavailableError, match="rotated"):
            async with asyncio.timeout(SOON_S):
                await asr.lost()

        assert not asr.connected
        assert gateway.connected
    async with server.bus("asr") as asr:
        assert asr.connected
    gc.collect()


async def test_a_client_that_the_broker_throws_out_is_lost(server: NatsServer) -> None:
    async with server.bus("asr") as asr:
        await asr._client._send_command(b"GARBAGE\r\n")  # noqa: SLF001  # nats-py itself never says such things
        await asr._client.flush()  # noqa: SLF001

        with pytest.raises(BusUnavailableError, match="for good"):
            async with asyncio.timeout(SOON_S):
                await asr.lost()


async def test_a_key_that_the_broker_does_not_know_is_an_error_at_once(server: NatsServer) -> None:
    telemetry = Telemetry("asr", server.assistant)

    with pytest.raises(BusUnavailableError, match="another assistant"):
        async with NatsBus.connect("asr", server.assistant, telemetry, url=server.url, seed=new_seed()):
            pass


async def test_a_reader_that_sleeps_too_long_loses_the_newest_and_that_is_counted(server: NatsServer) -> None:
    telemetry = Telemetry("asr", server.assistant)
    sent, kept = 17_000, 16_384
    async with server.bus("gateway") as gateway, server.bus("asr", telemetry) as asr:
        subject = gateway.subjects.audio("s1", "1-0")
        async with asr.frames(subject) as arriving:
            for frame in frames(sent - 1):
                await gateway.publish_frame(subject, frame)
            counted = f"parley_bus_dropped_total {sent - kept}.0".encode()
            await until("the rest is dropped", lambda: counted in telemetry.exposition())

            received = await rest(arriving)

    assert [frame.sequence for _, frame in received] == list(range(kept))
