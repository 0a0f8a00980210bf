"""What the bus does by itself on any broker, where the suite of both cannot look."""

import asyncio

import pytest
import structlog

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.frames import Flag, Frame
from parley_contract.messages import Heartbeat
from parley_contract.subjects import ANY
from parley_runtime.bus import Raw
from parley_runtime.telemetry import Carrier, Telemetry
from parley_testkit.memory_bus import MemoryBroker, MemoryBus

pytestmark = pytest.mark.looptime

BEAT = Heartbeat(session="s1", epoch=1)


class Mute(MemoryBus):
    """A bus whose broker has gone, but which still delivers what had arrived."""

    async def _send(self, subject: str, data: bytes, headers: Carrier) -> None:
        raise BusUnavailableError("the broker is away")


async def test_a_reader_goes_on_when_not_even_a_dead_letter_can_be_sent() -> None:
    broker = MemoryBroker()
    agent = Mute(broker, "agent", Telemetry("agent", broker.assistant))
    subject = agent.subjects.heartbeat("s1")

    async with agent.messages(subject) as messages:
        broker.deliver(Raw(subject, b"\xff", {}))
        await broker.bus("gateway").publish(subject, BEAT)
        received = await anext(messages)

    assert received.message == BEAT


async def test_a_flood_of_what_cannot_be_read_is_one_line_a_second_and_all_of_it_is_counted() -> None:
    broker = MemoryBroker()
    telemetry = Telemetry("agent", broker.assistant)
    agent = broker.bus("agent", telemetry)
    subject = agent.subjects.heartbeat("s1")

    with structlog.testing.capture_logs() as logs:
        async with agent.messages(subject) as messages:
            for _ in range(3):
                for _ in range(100):
                    broker.deliver(Raw(subject, b"\xff", {}))
                await broker.bus("gateway").publish(subject, BEAT)
                await anext(messages)
                await asyncio.sleep(1)

    assert [line["since_last"] for line in logs] == [1, 100, 100]
    assert b"parley_bus_malformed_total 300.0" in telemetry.exposition()


async def test_frames_carry_no_headers_and_messages_do() -> None:
    broker = MemoryBroker()
    telemetry = Telemetry("gateway", broker.assistant)
    gateway = broker.bus("gateway", telemetry)

    with telemetry.span(words.TURN):
        await gateway.publish_frame(
            gateway.subjects.audio("s1", "1-0"), Frame(sequence=0, media_samples=0, pcm=b"", flags=Flag.END)
        )
        await gateway.publish(gateway.subjects.heartbeat("s1"), BEAT)

    frame, message = broker.sent
    assert frame.headers == {}
    assert set(message.headers) == {words.TRACEPARENT}


async def test_a_sleeping_reader_keeps_what_was_said() -> None:
    broker = MemoryBroker()
    gateway, agent = broker.bus("gateway"), broker.bus("agent")

    async with agent.messages(agent.subjects.heartbeat(ANY)) as messages:
        for number in range(3):
            await gateway.publish(gateway.subjects.heartbeat(number), BEAT)
        subjects = [(await anext(messages)).subject for _ in range(3)]

    assert subjects == [gateway.subjects.heartbeat(number) for number in range(3)]
