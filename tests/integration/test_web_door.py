"""What strangers do to the web door of a real gateway, and how its other listeners fare meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from parley_runtime.connections import HEAD_S
from parley_testkit.nats_server import NatsServer
from parley_testkit.neighbours import Neighbours, tone
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.talker import Talker, talking
from parley_testkit.waiting import PATIENCE_S, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENCE = bytes(640)
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    nats: NatsServer, others: Neighbours, hello: bytes, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    async with running_service("gateway", nats, tmp_path_factory.mktemp("gateway"), {"MAX_SESSIONS": "200"}) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="module")
async def bystander(gateway: ServiceProcess) -> AsyncIterator[Talker]:
    """Somebody who listens all the time, and has to be answered afterwards."""
    before = resident_kib(gateway)
    async with talking(gateway.url) as talker:
        yield talker
        async with asyncio.timeout(PATIENCE_S):
            await (await talker.socket.ping())
        assert talker.of("error") == []
    assert (await gateway.get("/readyz"))["ready"]
    assert resident_kib(gateway) - before < 16 * 1024
    assert "Traceback" not in gateway.log()


def resident_kib(process: ServiceProcess) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


async def flood(talker: Talker, message: str | bytes, *, count: int) -> None:
    """Send as fast as the connection takes it, until the gateway has had enough."""
    with contextlib.suppress(ConnectionClosed):
        for number in range(count):
            await talker.socket.send(message)
            if number % 50 == 0:
                # Sending does not wait as long as there is room, and nobody else here would get a word in.
                await asyncio.sleep(0)


def open_files(process: ServiceProcess) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


async def largest_until_left(gateway: ServiceProcess) -> int:
    """Wait until the gateway's only session has ended, and return how large the process was in the meantime."""
    sizes_kib: list[int] = []

    async def is_left() -> bool:
        sizes_kib.append(resident_kib(gateway))
        return not (await gateway.get("/status"))["sessions"]

    await until("the session has ended", is_left)
    return max(sizes_kib)


@pytest.mark.parametrize(
    "message", [bytes(100 * MIB), "x" * 100 * MIB, [bytes(600_000)] * 4], ids=["sound", "text", "in pieces"]
)
async def test_a_hundred_megabytes_are_not_taken_in(
    gateway: ServiceProcess, bystander: Talker, message: bytes | str | list[bytes]
) -> None:
    async with talking(gateway.url) as talker:
        with contextlib.suppress(ConnectionClosed):
            await talker.socket.send(message)
        await talker.closed()

    # Whoever is still sending may be hung up on before it has read why.
    assert talker.socket.close_code in {1009, 1006}


async def test_a_message_that_is_never_finished_is_no_message(gateway: ServiceProcess, bystander: Talker) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield bytes(320)
        await asyncio.sleep(0.2)
        raise EOFError

    async with talking(gateway.url) as talker:
        with pytest.raises(EOFError):
            await talker.socket.send(half())

    assert talker.of("error") == []


async def test_ten_times_real_time_is_too_fast(gateway: ServiceProcess, bystander: Talker) -> None:
    async with talking(gateway.url) as talker:
        for _ in range(50):
            await flood(talker, SILENCE, count=100)
            await asyncio.sleep(0.2)
            if talker.of("error"):
                break
        error = await talker.until("error")
        await talker.closed()

    assert (error["code"], talker.socket.close_code) == ("too_fast", 1008)
    assert "50 frames a second" in error["sentence"]


async def test_ten_seconds_of_sound_that_a_stall_held_back_are_heard(
    gateway: ServiceProcess, bystander: Talker
) -> None:
    async with talking(gateway.url) as talker:
        for frame in [*tone(50), *[SILENCE] * 400]:
            await talker.socket.send(frame)
        async with asyncio.timeout(PATIENCE_S):
            await (await talker.socket.ping())

    assert talker.of("error") == []


@pytest.mark.parametrize(
    "message",
    ['{"event":"interrupt"}', '{"event":"position","at_ms":1e300}', SILENCE],
    ids=["interrupts", "positions", "sound"],
)
async def test_a_flood_is_stopped_and_others_are_answered_during_it(
    gateway: ServiceProcess, bystander: Talker, message: str | bytes
) -> None:
    async with talking(gateway.url) as talker, asyncio.TaskGroup() as tasks:
        flooding = tasks.create_task(flood(talker, message, count=200_000))
        while not flooding.done():
            # However late that is: the flood comes from this very process.
            async with asyncio.timeout(PATIENCE_S):
                await (await bystander.socket.ping())
            await asyncio.sleep(0.01)

    assert (await talker.until("error"))["code"] == "too_fast"


async def test_a_client_that_stops_reading_gives_its_place_back(
    nats: NatsServer, others: Neighbours, tmp_path: Path, hello: bytes
) -> None:
    others.agent.phrases = [f"{number} " + "much to read " * 1000 for number in range(900)]
    async with running_service("gateway", nats, tmp_path, {"RESUME_GRACE_S": "0.1"}) as gateway:
        connections = open_files(gateway)
        async with talking(gateway.url) as talker:
            await talker.say(hello, then_silence_s=0.6)
            await talker.until("delta")
            talker.socket.transport.pause_reading()
            largest_kib = await largest_until_left(gateway)
            await until("its connection is closed", lambda: open_files(gateway) <= connections)
            # Or the client would wait for an answer to its farewell.
            talker.socket.transport.abort()
        metrics = await gateway.text("/metrics")

    assert 'parley_frames_dropped_total{reason="slow client"}' in metrics
    assert largest_kib < 180 * 1024


async def test_a_client_that_says_nothing_keeps_its_place_and_nothing_else(
    gateway: ServiceProcess, bystander: Talker
) -> None:
    before = resident_kib(gateway)
    async with contextlib.AsyncExitStack() as silent:
        for _ in range(20):
            await silent.enter_async_context(talking(gateway.url))
        grown_kib = resident_kib(gateway) - before

    assert grown_kib < 20 * 512


HELLO = b"GET /v1/talk HTTP/1.1\r\nHost: x\r\n"
UPGRADE = HELLO + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HELLO, id="half a head"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(HELLO + b"\r\n", id="no upgrade"),
        pytest.param(UPGRADE + b"\r\n", id="no key"),
        pytest.param(UPGRADE + b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: eA==\r\n\r\n", id="another version"),
        pytest.param(b"GET /v1/talk?resume=\xff\xff HTTP/1.1\r\nHost: x\r\n\r\n", id="no ASCII"),
        pytest.param(HELLO + b"X: " + b"y" * 50 * MIB, id="a header without end"),
        pytest.param(HELLO + b"X: y\r\n" * 8 * MIB, id="headers without end"),
        pytest.param(bytes(100_000), id="zeros"),
    ],
)
async def test_a_broken_handshake_opens_nothing(gateway: ServiceProcess, bystander: Talker, said: bytes) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(said)
    with contextlib.suppress(OSError):
        await writer.drain()
        writer.write_eof()
    answer = b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            answer = await reader.read()
    writer.close()

    assert not answer.startswith(b"HTTP/1.1 101")
    assert (await gateway.get("/status"))["sessions"] >= 1


async def test_a_connection_that_asks_for_nothing_is_hung_up_on(gateway: ServiceProcess) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(HELLO)
    async with asyncio.timeout(HEAD_S + PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            answer = await reader.read()
            assert answer == b""
    writer.close()
