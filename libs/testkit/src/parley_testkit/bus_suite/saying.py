"""Plain publishes: heard live, in order, by whoever may, and by one member of a queue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.messages import Message, OpenSession, SessionOpened
from parley_contract.subjects import ANY
from parley_runtime.bus import Received
from parley_runtime.telemetry import Telemetry
from parley_testkit.bus_suite.samples import SOON_S, Broker, final, heard, heartbeat, partial, rest, said, started
from parley_testkit.waiting import until


class SayingSuite:
    """Inherited by `BusSuite`."""

    async def test_what_is_published_is_heard_with_its_subject(self, broker: Broker) -> None:
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.heartbeat(ANY)) as messages,
        ):
            await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat())

            [received] = await heard(messages)

        assert received.message == heartbeat()
        assert received.subject == gateway.subjects.heartbeat("s1")

    async def test_what_falls_under_one_pattern_is_heard_in_the_order_of_saying(self, broker: Broker) -> None:
        async with (
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.transcript("s1", ANY)) as messages,
        ):
            for number in range(20):
                await asr.publish(asr.subjects.transcript("s1", f"1-{number % 2}"), partial(number))

            received = await heard(messages, 20)

        assert said(received) == [partial(number) for number in range(20)]

    async def test_several_patterns_are_heard_together(self, broker: Broker) -> None:
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.transcript("s1", ANY), agent.subjects.heartbeat(ANY)) as messages,
        ):
            await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat())
            await asr.publish(asr.subjects.transcript("s1", "1-0"), partial())

            received = await heard(messages, 2)

        assert sorted(map(repr, said(received))) == sorted(map(repr, [heartbeat(), partial()]))

    async def test_who_begins_to_listen_hears_nothing_of_the_past(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr, broker.connect("agent") as agent:
            await asr.record(asr.subjects.transcript("s1", "1-0"), final(), message_id="final")
            async with agent.messages(agent.subjects.transcript(ANY, ANY)) as messages:
                received = await rest(messages)

        assert received == []

    async def test_who_has_stopped_listening_hears_no_more(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("agent") as agent:
            subject = agent.subjects.heartbeat("s1")
            async with agent.messages(subject) as staying:
                async with agent.messages(subject) as leaving:
                    pass
                await gateway.publish(subject, heartbeat())

                received = said(await heard(staying)), said(await rest(leaving))

        assert received == ([heartbeat()], [])

    async def test_members_of_a_queue_share_what_is_said(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("agent") as one, broker.connect("agent") as two:
            subject = one.subjects.heartbeat(ANY)
            async with one.messages(subject, queue="agents") as ones, two.messages(subject, queue="agents") as twos:
                shares: tuple[list[Message], list[Message]] = ([], [])

                async def take(messages: AsyncIterator[Received], share: list[Message]) -> None:
                    async for received in messages:
                        share.append(received.message)  # noqa: PERF401  # it never ends

                async with asyncio.TaskGroup() as tasks:
                    taking = [
                        tasks.create_task(take(each, share)) for each, share in zip((ones, twos), shares, strict=True)
                    ]
                    for number in range(40):
                        await gateway.publish(gateway.subjects.heartbeat("s1"), heartbeat(f"s{number}"))
                    await until("all are heard", lambda: sum(map(len, shares)) >= 40)
                    for task in taking:
                        task.cancel()

        assert all(shares)
        assert sorted(map(repr, [*shares[0], *shares[1]])) == sorted(repr(heartbeat(f"s{n}")) for n in range(40))

    async def test_the_senders_span_is_the_receivers_parent(self, broker: Broker) -> None:
        telemetry = Telemetry("gateway", "test_libra")
        async with broker.connect("gateway", telemetry) as gateway, broker.connect("agent") as agent:
            subject = gateway.subjects.speech("s1", "1-0")
            async with agent.messages(subject) as messages:
                with telemetry.span(words.TURN) as span:
                    await gateway.record(subject, started(), message_id="started")
                    await gateway.publish(subject, started())

                received = await heard(messages, 2)

        context = span.get_span_context()
        assert [one.headers[words.TRACEPARENT].split("-")[1:3] for one in received] == 2 * [
            [f"{context.trace_id:032x}", f"{context.span_id:016x}"]
        ]

    async def test_given_headers_go_before_the_current_span(self, broker: Broker) -> None:
        given = {words.TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        telemetry = Telemetry("gateway", "test_libra")
        async with broker.connect("gateway", telemetry) as gateway, broker.connect("agent") as agent:
            subject = gateway.subjects.heartbeat("s1")
            async with agent.messages(subject) as messages:
                with telemetry.span(words.TURN):
                    await gateway.publish(subject, heartbeat(), headers=given)

                [received] = await heard(messages)

        assert received.headers[words.TRACEPARENT] == given[words.TRACEPARENT]

    async def test_what_may_not_be_said_is_heard_by_nobody(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("agent") as agent:
            transcript, speech = gateway.subjects.transcript("s1", "1-0"), gateway.subjects.speech("s1", "1-0")
            async with agent.messages(transcript, speech) as messages:
                await gateway.publish(transcript, partial())
                await gateway.publish(speech, started())

                received = [*await heard(messages), *await rest(messages)]

        assert said(received) == [started()]

    async def test_what_may_not_be_heard_stays_silent(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("tts") as tts:
            speech = gateway.subjects.speech("s1", "1-0")
            async with tts.messages(speech) as messages:
                await gateway.publish(speech, started())

                received = await rest(messages)

        assert received == []

    # Asking.

    async def test_a_request_gets_its_answer(self, broker: Broker) -> None:
        question = OpenSession(door="web", channel="c", token_hash="0" * 64)
        answer = SessionOpened(session="s1", epoch=1, next_turn=1)
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.open_session(), queue="agents") as questions,
        ):
            asking = asyncio.ensure_future(gateway.request(gateway.subjects.open_session(), question, timeout_s=SOON_S))
            [received] = await heard(questions)
            await agent.answer(received, answer)

            answered = await asking

        assert received.message == question
        assert answered == answer

    async def test_a_question_that_nobody_answers_ends_in_an_error(self, broker: Broker) -> None:
        question = OpenSession(door="web", channel="c", token_hash="0" * 64)
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("agent") as agent,
            agent.messages(agent.subjects.open_session()),
        ):
            with pytest.raises(BusUnavailableError):
                await gateway.request(gateway.subjects.open_session(), question, timeout_s=0.2)

    async def test_a_question_that_nobody_hears_ends_in_an_error_before_its_time(self, broker: Broker) -> None:
        question = OpenSession(door="web", channel="c", token_hash="0" * 64)
        async with broker.connect("gateway") as gateway:
            async with asyncio.timeout(SOON_S):
                with pytest.raises(BusUnavailableError):
                    await gateway.request(gateway.subjects.open_session(), question, timeout_s=2 * SOON_S)

    async def test_answering_what_was_no_question_says_nothing(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("agent") as agent:
            subject = gateway.subjects.heartbeat("s1")
            async with agent.messages(subject) as messages:
                await gateway.publish(subject, heartbeat())
                [received] = await heard(messages)

                await agent.answer(received, SessionOpened(session="s1", epoch=1, next_turn=1))

                assert await rest(messages) == []
