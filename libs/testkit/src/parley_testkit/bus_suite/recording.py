"""Acknowledged publishes and frames: what streams keep and give back, and what becomes of bytes nobody can read."""

import asyncio
import hashlib

import pytest

from parley_contract.errors import BusUnavailableError
from parley_contract.frames import Frame, encode_frame
from parley_contract.messages import DeadLetter, OpenSession, encode
from parley_contract.subjects import ANY, session_events
from parley_runtime.telemetry import Telemetry
from parley_testkit.bus_suite.samples import (
    SOON_S,
    Broker,
    NewerMessage,
    dead_letters,
    final,
    frames,
    heard,
    heartbeat,
    kept_frames,
    partial,
    said,
)


class RecordingSuite:
    """Inherited by `BusSuite`."""

    async def test_what_is_recorded_is_heard_and_kept(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            subject = asr.subjects.transcript("s1", "1-0")
            async with agent.messages(subject) as messages:
                await asr.record(subject, final(), message_id="final-1-0")
                live = await heard(messages)

            stored = await agent.stored_messages(broker.layout.events, agent.subjects.transcript("s1", ANY))

        assert said(live) == said(stored) == [final()]
        assert stored[0].subject == subject

    async def test_the_same_message_id_twice_is_kept_once(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            subject = asr.subjects.transcript("s1", "1-0")
            for message_id in ("one", "one", "two"):
                await asr.record(subject, final(), message_id=message_id)

            stored = await agent.stored_messages(broker.layout.events, subject)

        assert said(stored) == [final(), final()]

    async def test_a_record_that_no_stream_keeps_is_an_error(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway:
            with pytest.raises(BusUnavailableError):
                await gateway.record(gateway.subjects.heartbeat("s1"), heartbeat(), message_id="beat")

    async def test_a_record_without_the_right_to_it_is_an_error(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway:
            with pytest.raises(BusUnavailableError):
                await gateway.record(gateway.subjects.transcript("s1", "1-0"), final(), message_id="final")

    async def test_stored_messages_come_oldest_first_across_subjects(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            for number in range(6):
                subject = asr.subjects.transcript("s1", f"1-{number % 2}")
                await asr.record(subject, partial(number), message_id=str(number))

            every = await agent.stored_messages(broker.layout.events, agent.subjects.transcript("s1", ANY))
            odd = await agent.stored_messages(broker.layout.events, agent.subjects.transcript("s1", "1-1"))

        assert said(every) == [partial(number) for number in range(6)]
        assert said(odd) == [partial(number) for number in (1, 3, 5)]

    async def test_everything_about_one_session_comes_back_in_the_order_in_which_it_was_kept(
        self, broker: Broker
    ) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            subjects = agent.subjects
            await asr.record(subjects.transcript("s1", "1-0"), partial(1), message_id="1")
            await asr.record(subjects.transcript("s2", "1-0"), partial(2), message_id="2")
            await agent.record(subjects.turn("s1", 1), final(), message_id="3")
            await asr.record(subjects.transcript("s1", "1-0"), partial(4), message_id="4")

            stored = await agent.stored_messages(broker.layout.events, session_events(subjects.assistant, "s1"))

        assert said(stored) == [partial(1), final(), partial(4)]

    async def test_only_what_was_kept_lately_comes_back_if_that_is_asked_for(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            subject = asr.subjects.transcript("s1", "1-0")
            await asr.record(subject, partial(1), message_id="1")
            await asyncio.sleep(1.5)
            await asr.record(subject, partial(2), message_id="2")

            lately = await agent.stored_messages(broker.layout.events, subject, within_s=1)
            never = await agent.stored_messages(broker.layout.events, agent.subjects.turn("s9", ANY), within_s=1)

        assert said(lately) == [partial(2)]
        assert never == []

    # Frames.

    async def test_frames_are_heard_as_they_were_sent(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            subject = gateway.subjects.audio("s1", "1-0")
            async with asr.frames(subject) as arriving:
                for frame in frames(50):
                    await gateway.publish_frame(subject, frame)

                received = await heard(arriving, 51)

        assert received == [(subject, frame) for frame in frames(50)]

    @pytest.mark.parametrize("count", [0, 1, 1023, 1024, 2500])
    async def test_stored_frames_come_back_whole_and_alone(self, broker: Broker, count: int) -> None:
        sent = frames(count)
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            subject, neighbour = gateway.subjects.audio("s1", "1-0"), gateway.subjects.audio("s1", "1-1")
            async with asr.frames(subject) as arriving:
                for frame in sent:
                    await gateway.publish_frame(neighbour, frame)
                    await gateway.publish_frame(subject, frame)
                await heard(arriving, len(sent))

            stored = await kept_frames(asr, broker.layout.audio_in, subject, count=len(sent))

        assert stored == sent

    async def test_of_a_subject_without_frames_nothing_is_stored(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr:
            stored = await asr.stored_frames(broker.layout.audio_in, asr.subjects.audio("s1", "1-0"))

        assert stored == []

    # What cannot be read.

    async def test_what_is_no_message_is_dead_lettered_and_the_reader_goes_on(self, broker: Broker) -> None:
        frame = Frame(sequence=1, media_samples=0, pcm=b"\x01\x02" * 320)
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            subject = agent.subjects.transcript("s1", "1-0")
            async with agent.messages(subject) as messages:
                await asr.publish_frame(subject, frame)
                await asr.publish(subject, partial())
                received = await heard(messages)

            [letter] = await dead_letters(agent, broker.layout, count=1)

        assert said(received) == [partial()]
        assert isinstance(letter, DeadLetter)
        assert (letter.subject, letter.service, letter.size, letter.path) == (subject, "agent", 656, "$.type")
        assert letter.sha256 == hashlib.sha256(encode_frame(frame)).hexdigest()

    async def test_an_answer_that_cannot_be_read_is_dead_lettered_and_no_answer(self, broker: Broker) -> None:
        question = OpenSession(door="web", channel="c", token_hash="0" * 64)
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.open_session()) as questions,
        ):
            asking = asyncio.ensure_future(gateway.request(gateway.subjects.open_session(), question, timeout_s=SOON_S))
            [received] = await heard(questions)
            await agent.publish_frame(received.reply, frames(1)[0])

            with pytest.raises(BusUnavailableError, match="cannot be read"):
                await asking

            [letter] = await dead_letters(agent, broker.layout, count=1)
        assert isinstance(letter, DeadLetter)
        assert (letter.service, letter.subject) == ("gateway", received.reply)

    async def test_what_is_no_frame_is_dead_lettered_live_and_stored(self, broker: Broker) -> None:
        telemetry = Telemetry("asr", "test_libra")
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr", telemetry) as asr,
            broker.connect("agent") as agent,
        ):
            subject = gateway.subjects.audio("s1", "1-0")
            async with asr.frames(subject) as arriving:
                await gateway.publish(subject, heartbeat())
                for frame in frames(1):
                    await gateway.publish_frame(subject, frame)
                live = [frame for _, frame in await heard(arriving, 2)]
            stored = await kept_frames(asr, broker.layout.audio_in, subject, count=len(live))

            letters = await dead_letters(agent, broker.layout, count=2)

        assert live == stored == frames(1)
        assert {letter.sha256 for letter in letters if isinstance(letter, DeadLetter)} == {
            hashlib.sha256(encode(heartbeat())).hexdigest()
        }
        assert b"parley_bus_malformed_total 2.0" in telemetry.exposition()

    async def test_what_a_newer_version_says_is_counted_and_no_alarm(self, broker: Broker) -> None:
        telemetry = Telemetry("agent", "test_libra")
        async with broker.connect("asr") as asr, broker.connect("agent", telemetry) as agent:
            subject = agent.subjects.transcript("s1", "1-0")
            async with agent.messages(subject) as messages:
                await asr.publish(subject, NewerMessage(text="hello"))
                await asr.publish(subject, partial())
                received = await heard(messages)

            letters = await dead_letters(agent, broker.layout, count=0)

        assert said(received) == [partial()]
        assert letters == []
        assert b"parley_bus_unknown_total 1.0" in telemetry.exposition()
