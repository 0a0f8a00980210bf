"""The outbox: nothing recorded is lost or overtaken, and nobody who speaks is kept waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from parley_contract.frames import Frame
from parley_contract.messages import CloseSession, Heartbeat, Message, PlaybackStarted, decode
from parley_gateway.outbox import Outbox
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker

pytestmark = pytest.mark.looptime

SESSION = "0123456789ab"


def started(phrase: int) -> PlaybackStarted:
    return PlaybackStarted(session=SESSION, epoch=1, turn=1, phrase=phrase)


@contextlib.asynccontextmanager
async def sending(broker: MemoryBroker) -> AsyncIterator[Outbox]:
    outbox = Outbox(broker.bus("gateway"), Telemetry("gateway", broker.assistant))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(outbox.run())
        yield outbox
        running.cancel()


def said(broker: MemoryBroker) -> list[Message]:
    return [decode(raw.data) for raw in broker.sent]


async def test_records_arrive_in_the_order_they_were_made() -> None:
    broker = MemoryBroker()
    subject = broker.bus("gateway").subjects.playback(SESSION, 1)

    async with sending(broker) as outbox:
        for phrase in range(3):
            outbox.record(subject, started(phrase), f"id-{phrase}", {})
        await outbox.flush()

    assert said(broker) == [started(0), started(1), started(2)]


async def test_a_broker_that_comes_back_gets_all_that_was_recorded_meanwhile_once() -> None:
    broker = MemoryBroker()
    subject = broker.bus("gateway").subjects.playback(SESSION, 1)
    broker.up = False

    async with sending(broker) as outbox:
        outbox.record(subject, started(0), "id-0", {})
        outbox.record(subject, started(1), "id-1", {})
        await asyncio.sleep(0.05)
        broker.up = True
        await outbox.flush()

    assert said(broker) == [started(0), started(1)]


async def test_what_is_only_said_does_not_wait_for_what_is_recorded() -> None:
    broker = MemoryBroker(streams=False)
    subjects = broker.bus("gateway").subjects
    heartbeat = Heartbeat(session=SESSION, epoch=1)

    async with sending(broker) as outbox:
        outbox.record(subjects.playback(SESSION, 1), started(0), "id-0", {})
        outbox.say(subjects.heartbeat(SESSION), heartbeat, {})
        await asyncio.sleep(0.05)

    assert heartbeat in said(broker)


async def test_frames_and_words_of_the_live_lane_keep_their_order() -> None:
    broker = MemoryBroker()
    subjects = broker.bus("gateway").subjects
    audio = subjects.audio(SESSION, "1-0")

    async with sending(broker) as outbox:
        for sequence in range(3):
            outbox.frame(audio, Frame(sequence=sequence, media_samples=0, pcm=b"\0\0"))
        outbox.say(subjects.heartbeat(SESSION), CloseSession(session=SESSION, epoch=1, reason="bye"), {})
        await outbox.flush()

    assert [raw.subject for raw in broker.sent] == [audio] * 3 + [subjects.heartbeat(SESSION)]
