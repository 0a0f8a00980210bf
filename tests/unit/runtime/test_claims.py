"""Claims on virtual time: readiness, holding, handing back."""

import asyncio

import pytest

from parley_contract.messages import TranscribeUtterance
from parley_runtime.claims import CONSUMER, Claims, hand_back, held
from parley_runtime.http import Health
from parley_testkit.memory_bus import MemoryBroker

pytestmark = pytest.mark.looptime


async def with_work(broker: MemoryBroker) -> None:
    gateway = broker.bus("gateway")
    asked = TranscribeUtterance(session="s1", epoch=1, turn=1, utterance="1-0", speaker="me")
    await gateway.record(gateway.subjects.utterance_work("s1", "1-0"), asked, message_id="work")


def claims_of(broker: MemoryBroker, health: Health) -> Claims[TranscribeUtterance]:
    return Claims(broker.bus("asr"), broker.layout.utterances, TranscribeUtterance, health)


async def test_a_claim_that_finds_nothing_shows_that_the_queue_is_bound() -> None:
    health = Health(consumer="not bound yet")

    work = await claims_of(MemoryBroker(), health).next()

    assert work is None
    assert health.reasons == {}


async def test_without_its_queue_the_consumer_is_lacking_until_it_is_there() -> None:
    broker, health = MemoryBroker(streams=False), Health()
    claims = claims_of(broker, health)
    await claims.next()
    assert CONSUMER in health.reasons

    broker.make_streams()
    await claims.next()

    assert health.reasons == {}


async def test_what_is_held_comes_to_nobody_else_and_what_is_let_go_of_does() -> None:
    broker = MemoryBroker()
    await with_work(broker)
    work = await claims_of(broker, Health()).next()
    assert work is not None
    other = claims_of(broker, Health())

    async with held(work):
        await asyncio.sleep(10)
        while_held = await other.next()
    await asyncio.sleep(2)
    afterwards = await other.next()

    assert while_held is None
    assert afterwards is not None
    assert afterwards.attempt == 2


async def test_what_is_handed_back_comes_again_after_its_delay() -> None:
    broker = MemoryBroker()
    await with_work(broker)
    claims = claims_of(broker, Health())
    work = await claims.next()
    assert work is not None

    await hand_back(work, delay_s=3)

    assert await claims.next() is None
    await asyncio.sleep(2)
    assert await claims.next() is not None
