"""Streams that are made, lost and made again, and a broker that goes away and comes back."""

import asyncio

import pytest

from parley_contract.errors import BusUnavailableError
from parley_contract.messages import OpenSession, TranscribeUtterance
from parley_contract.subjects import ANY
from parley_runtime.bus import Received
from parley_runtime.tails import tails_after_reconnects
from parley_testkit.bus_suite.samples import (
    SOON_S,
    Broker,
    final,
    frames,
    heard,
    heartbeat,
    said,
    until_away,
    utterance_work,
)


class OutageSuite:
    """Inherited by `BusSuite`."""

    async def test_everything_is_made_once(self, bare_broker: Broker) -> None:
        layout = bare_broker.layout
        async with bare_broker.connect("agent") as agent:
            first, second = await agent.ensure(layout), await agent.ensure(layout)

        assert first == [
            *(stream.name for stream in layout.streams),
            *(bucket.name for bucket in layout.buckets),
            *(f"{durable.stream}/{durable.name}" for durable in layout.durables),
        ]
        assert second == []

    async def test_only_the_agent_may_make_streams(self, bare_broker: Broker) -> None:
        async with bare_broker.connect("gateway") as gateway:
            with pytest.raises(BusUnavailableError):
                await gateway.ensure(bare_broker.layout)

    async def test_while_the_broker_is_away_whatever_needs_it_is_an_error(self, broker: Broker) -> None:
        question = OpenSession(door="web", channel="c", token_hash="0" * 64)
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
        ):
            store = await agent.store(broker.layout.sessions)
            await broker.crash()
            for bus in (gateway, asr, agent):
                await until_away(bus)

            subject = asr.subjects.transcript("s1", "1-0")
            outcomes = await asyncio.gather(
                asr.record(subject, final(), message_id="final"),
                asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=1),
                asr.stored_frames(broker.layout.audio_in, asr.subjects.audio("s1", "1-0")),
                gateway.request(gateway.subjects.open_session(), question, timeout_s=1),
                agent.ensure(broker.layout),
                agent.purge(broker.layout.work, agent.subjects.phrase_work("s1", 1)),
                store.get("s1"),
                store.create("s1", b""),
                return_exceptions=True,
            )

        assert [type(outcome) for outcome in outcomes] == [BusUnavailableError] * len(outcomes)

    async def test_frames_sent_while_the_broker_is_away_are_lost_without_an_error(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            subject = gateway.subjects.audio("s1", "1-0")
            first, second = frames(1)
            async with asr.frames(subject) as arriving:
                back = asyncio.gather(gateway.reconnected(), asr.reconnected())
                await broker.crash()
                await until_away(gateway)
                await gateway.publish_frame(subject, first)
                await broker.restart()
                await back
                await gateway.publish_frame(subject, second)

                received = await heard(arriving)

        assert received == [(subject, second)]

    async def test_after_a_crash_who_listened_hears_again_and_who_claimed_claims_again(self, broker: Broker) -> None:
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
        ):
            work_subject = gateway.subjects.utterance_work("s1", "1-0")
            await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=0.2)
            async with agent.messages(agent.subjects.heartbeat(ANY)) as messages:
                back = asyncio.gather(gateway.reconnected(), asr.reconnected(), agent.reconnected())
                await broker.crash()
                await until_away(gateway)
                await broker.restart()
                await back

                await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat())
                await gateway.record(work_subject, utterance_work(), message_id="work")
                received = await heard(messages)
                work = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=SOON_S)

        assert said(received) == [heartbeat()]
        assert work is not None
        assert work.message == utterance_work()

    async def test_after_a_crash_a_tail_has_all_that_was_ever_recorded_of_the_session(self, broker: Broker) -> None:
        events, read = broker.layout.events, asyncio.Event()
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            subject = asr.subjects.transcript("s1", "1-0")
            await asr.record(subject, final(), message_id="final")
            await asr.record(asr.subjects.transcript("s2", "1-0"), final(), message_id="another session's")

            async def catch_up() -> list[Received]:
                async for tail in tails_after_reconnects(gateway, events, "s1"):
                    read.set()
                    return tail
                return []

            async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
                caught_up = tasks.create_task(catch_up())
                await asyncio.sleep(0)
                is_read_before = read.is_set()
                await broker.crash()
                await until_away(gateway)
                await broker.restart()

        assert not is_read_before
        assert said(caught_up.result()) == [final()]

    async def test_a_crash_loses_what_was_in_memory_and_keeps_what_was_in_files(self, broker: Broker) -> None:
        layout = broker.layout
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
        ):
            audio, transcript = gateway.subjects.audio("s1", "1-0"), asr.subjects.transcript("s1", "1-0")
            await gateway.publish_frame(audio, frames(1)[0])
            await gateway.record(gateway.subjects.utterance_work("s1", "1-0"), utterance_work(), message_id="work")
            await asr.record(transcript, final(), message_id="final")
            await (await agent.store(layout.sessions)).create("s1", b"history")
            back = asyncio.gather(asr.reconnected(), agent.reconnected())
            await broker.crash()
            await until_away(agent)
            await broker.restart()
            await back

            mended = await agent.ensure(layout)
            audible = await asr.stored_frames(layout.audio_in, audio)
            said_before = await agent.stored_messages(layout.events, transcript)
            entry = await (await agent.store(layout.sessions)).get("s1")
            work = await asr.claim(layout.utterances, TranscribeUtterance, timeout_s=SOON_S)

        assert mended == [layout.audio_in.name, layout.audio_out.name]
        assert audible == []
        assert said(said_before) == [final()]
        assert entry is not None
        assert entry.value == b"history"
        assert work is not None
