"""Fifty listeners at once on a real gateway: all are heard and answered, and whoever leaves leaves nothing behind."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from parley_testkit.nats_server import NatsServer
from parley_testkit.neighbours import Neighbours, neighbours, tone
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.talker import Talker, talking
from parley_testkit.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SIZE = 50
KEPT_KIB = 4 * 1024
SETTINGS = {"MAX_SESSIONS": str(SIZE), "RESUME_GRACE_S": "0.2"} | {
    "STALL_MS": "5000",
    "ENDPOINT_MS": "1000",
    "HOLD_AFTER_S": "30",
    "FAIL_AFTER_S": "40",
}
"""On two cores with other work fifty people may fall behind in mid-sentence, and wait for their replies."""


@pytest_asyncio.fixture(loop_scope="module")
async def others(nats: NatsServer) -> AsyncIterator[Neighbours]:
    async with neighbours(nats) as actors:
        yield actors


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(nats: NatsServer, others: Neighbours, hello: bytes, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    async with running_service("gateway", nats, tmp_path, SETTINGS) as process:
        yield process


@contextlib.asynccontextmanager
async def crowd(gateway: ServiceProcess) -> AsyncIterator[list[Talker]]:
    async with contextlib.AsyncExitStack() as connections:
        yield [await connections.enter_async_context(talking(gateway.url)) for _ in range(SIZE)]


async def say_one_after_the_other(talkers: list[Talker], pcm: bytes) -> None:
    """Let everybody say the same, each a frame later than the one before, so that all speak at once."""

    async def say(number: int, talker: Talker) -> None:
        await asyncio.sleep(number * 0.02)
        await talker.say(pcm, then_silence_s=1.0)

    async with asyncio.TaskGroup() as tasks:
        for number, talker in enumerate(talkers):
            tasks.create_task(say(number, talker))


async def until_empty(gateway: ServiceProcess) -> None:
    async def is_empty() -> bool:
        return not (await gateway.get("/status"))["sessions"]

    # A turn that nobody hears any more may have to fail first.
    await until("nobody is there", is_empty, timeout_s=2 * PATIENCE_S)


def resident_kib(process: ServiceProcess) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def open_files(process: ServiceProcess) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


async def test_all_are_heard_and_answered_and_no_frame_is_lost(
    gateway: ServiceProcess, others: Neighbours, hello: bytes
) -> None:
    async with crowd(gateway) as talkers:
        await say_one_after_the_other(talkers, hello)
        reports = [(await talker.until("turn"))["report"] for talker in talkers]
        for talker in talkers:
            await talker.send(event="bye")
        await until_empty(gateway)
        metrics = await gateway.text("/metrics")

    assert [report["outcome"] for report in reports] == ["answered"] * SIZE
    for talker in talkers:
        got = others.asr.frames[f"{talker.session['session']}.1-0"]
        utterance = b"".join(got[sequence].pcm for sequence in range(len(got) - 1))
        assert utterance in b"".join(talker.spoken)
        assert len(utterance) > 0.9 * len(hello)
        assert [pcm for _, pcm in talker.sound] == [*tone(25), *tone(25)]
    sent = sum(len(talker.spoken) for talker in talkers)
    assert f'parley_frames_total{{direction="in"}} {sent:.1f}' in metrics
    # What does not fit into the outbox of a gateway that gets too little time is asked for again, and is here then.
    assert set(re.findall(r'^parley_frames_dropped_total\{reason="(.*)"\}', metrics, re.MULTILINE)) <= {"outbox full"}
    assert "parley_bus_dropped_total{" not in metrics


async def test_those_who_vanish_in_the_middle_of_a_reply_leave_nothing_behind(
    gateway: ServiceProcess, others: Neighbours, hello: bytes
) -> None:
    others.tts.frames = 500
    before, after = open_files(gateway), [resident_kib(gateway)]

    # What leaked of a crowd (16 MiB of frames) would leak every time; what the allocator keeps it keeps once or twice.
    while len(after) < 3 or (len(after) < 7 and after[-1] - after[-2] > KEPT_KIB):
        async with crowd(gateway) as talkers:
            await say_one_after_the_other(talkers, hello)
            for talker in talkers:
                await talker.until("mark")
                # Neither a close frame nor an orderly end of the connection.
                talker.socket.transport.abort()
        await until_empty(gateway)
        after.append(resident_kib(gateway))

    await until("all connections are closed", lambda: open_files(gateway) <= before)
    assert after[-1] - after[-2] <= KEPT_KIB, after
    assert after[-1] < 180 * 1024
