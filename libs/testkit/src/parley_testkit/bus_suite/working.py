"""Work: claimed by one, delivered again when its worker dies, given up after its last delivery."""

import asyncio

import pytest

from parley_contract.errors import BusUnavailableError
from parley_contract.messages import DeadLetter, SynthesizePhrase, TranscribeUtterance
from parley_contract.streams import Layout
from parley_runtime.bus import Bus, Work
from parley_testkit.bus_suite.samples import (
    NOTHING_S,
    SOON_S,
    Broker,
    dead_letters,
    frames,
    partial,
    phrase_work,
    utterance_work,
)


class WorkingSuite:
    """Inherited by `BusSuite`."""

    async def test_work_is_claimed_once_and_gone_when_done(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            await _give_utterance(gateway)

            work = await _claim_utterance(asr, broker.layout)
            first = (work.message, work.attempt, work.last)
            await work.done()
            await asyncio.sleep(broker.layout.utterances.ack_wait_s)
            again = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=NOTHING_S)

        assert first == (utterance_work(), 1, False)
        assert again is None

    async def test_a_claim_waits_for_work_to_come(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            claiming = asyncio.ensure_future(_claim_utterance(asr, broker.layout))
            await asyncio.sleep(NOTHING_S)

            await _give_utterance(gateway)

            assert (await claiming).message == utterance_work()

    async def test_headers_of_work_can_be_handed_on_with_its_outcome(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr, broker.connect("agent") as agent:
            await _give_utterance(gateway)
            work = await _claim_utterance(asr, broker.layout)
            subject = asr.subjects.transcript("s1", "1-0")

            await asr.publish(subject, partial(), headers=work.headers)
            await asr.record(subject, partial(), message_id="outcome", headers=work.headers)
            stored = await agent.stored_messages(broker.layout.events, subject)

        assert [received.message for received in stored] == [partial(), partial()]

    async def test_work_is_forgotten_when_its_life_is_over(self, broker: Broker) -> None:
        brief = utterance_work("1-0", life_s=1.0)
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            await _give_utterance(gateway, "1-1")
            await gateway.record(gateway.subjects.utterance_work("s1", "1-0"), brief, message_id="brief")
            await asyncio.sleep(2.5)

            first = await _claim_utterance(asr, broker.layout)
            await first.done()
            second = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=NOTHING_S)

        assert first.message == utterance_work("1-1")
        assert second is None

    async def test_without_work_a_claim_ends_when_its_time_is_up(self, broker: Broker) -> None:
        async with broker.connect("asr") as asr:
            begun = asyncio.get_running_loop().time()

            work = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=0.2)

            took_s = asyncio.get_running_loop().time() - begun
        assert work is None
        assert 0.15 < took_s < SOON_S

    async def test_of_two_workers_each_gets_an_item_of_its_own(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as one, broker.connect("asr") as two:
            claims = [asyncio.ensure_future(_claim_utterance(worker, broker.layout)) for worker in (one, two)]
            await asyncio.sleep(NOTHING_S)
            for utterance in ("1-0", "1-1"):
                await _give_utterance(gateway, utterance)

            claimed = {(await claim).message.utterance for claim in claims}

        assert claimed == {"1-0", "1-1"}

    async def test_what_a_dead_worker_held_is_delivered_again(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as dying, broker.connect("asr") as other:
            await _give_utterance(gateway)
            await _claim_utterance(dying, broker.layout)

            work = await _claim_utterance(other, broker.layout)

        assert (work.message, work.attempt) == (utterance_work(), 2)

    async def test_what_a_worker_goes_on_with_stays_its_own(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as busy, broker.connect("asr") as other:
            await _give_utterance(gateway)
            work = await _claim_utterance(busy, broker.layout)
            waiting = asyncio.ensure_future(
                other.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=2 * work_s(broker.layout))
            )
            for _ in range(8):
                await asyncio.sleep(work_s(broker.layout) / 4)
                await work.in_progress()
            await work.done()

            assert await waiting is None

    async def test_what_is_given_back_comes_again_when_asked_for(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            await _give_utterance(gateway)
            work = await _claim_utterance(asr, broker.layout)

            await work.retry(2)
            early = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=NOTHING_S)
            again = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=SOON_S)

        assert early is None
        assert again is not None
        assert again.attempt == 2

    async def test_what_is_given_back_at_once_goes_to_who_waits(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as one, broker.connect("asr") as two:
            await _give_utterance(gateway)
            work = await _claim_utterance(one, broker.layout)
            waiting = asyncio.ensure_future(
                two.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=0.9 * work_s(broker.layout))
            )
            await asyncio.sleep(NOTHING_S)

            await work.retry(0)

            again = await waiting
        assert again is not None
        assert again.attempt == 2

    async def test_what_is_dropped_never_comes_again(self, broker: Broker) -> None:
        async with broker.connect("gateway") as gateway, broker.connect("asr") as asr:
            await _give_utterance(gateway)
            await (await _claim_utterance(asr, broker.layout)).drop()

            again = await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=2 * work_s(broker.layout))

        assert again is None

    async def test_the_last_delivery_says_so_and_is_the_last(self, broker: Broker) -> None:
        durable = broker.layout.phrases
        async with broker.connect("agent") as agent, broker.connect("tts") as tts:
            await agent.record(agent.subjects.phrase_work("s1", 1), phrase_work(), message_id="phrase")
            deliveries = []
            for _ in range(durable.max_deliver):
                work = await tts.claim(durable, SynthesizePhrase, timeout_s=SOON_S)
                assert work is not None
                deliveries.append((work.attempt, work.last))
                await work.retry(0)

            beyond = await tts.claim(durable, SynthesizePhrase, timeout_s=NOTHING_S)

        assert deliveries == [(1, False), (2, False), (3, True)]
        assert beyond is None

    async def test_work_that_cannot_be_read_is_dead_lettered_and_not_in_the_way(self, broker: Broker) -> None:
        async with (
            broker.connect("gateway") as gateway,
            broker.connect("asr") as asr,
            broker.connect("agent") as agent,
        ):
            subject = gateway.subjects.utterance_work("s1", "1-0")
            await gateway.publish_frame(subject, frames(1)[0])
            await gateway.record(subject, partial(), message_id="of another kind")
            await _give_utterance(gateway)

            unreadable = [
                await asr.claim(broker.layout.utterances, TranscribeUtterance, timeout_s=SOON_S) for _ in range(2)
            ]
            work = await _claim_utterance(asr, broker.layout)
            letters = await dead_letters(agent, broker.layout, count=2)

        assert unreadable == [None, None]
        assert work.message == utterance_work()
        assert [letter.path for letter in letters if isinstance(letter, DeadLetter)] == ["$.type", "$.type"]

    async def test_a_purge_takes_away_the_work_of_one_turn(self, broker: Broker) -> None:
        durable = broker.layout.phrases
        async with broker.connect("agent") as agent, broker.connect("tts") as tts:
            for turn in (1, 2):
                await agent.record(
                    agent.subjects.phrase_work("s1", turn), phrase_work(turn), message_id=f"phrase {turn}"
                )

            await agent.purge(broker.layout.work, agent.subjects.phrase_work("s1", 1))
            work = await tts.claim(durable, SynthesizePhrase, timeout_s=SOON_S)
            after = await tts.claim(durable, SynthesizePhrase, timeout_s=NOTHING_S)

        assert work is not None
        assert work.message.turn == 2
        assert after is None

    async def test_a_purge_without_the_right_to_it_is_an_error(self, broker: Broker) -> None:
        async with broker.connect("tts") as tts:
            with pytest.raises(BusUnavailableError):
                await tts.purge(broker.layout.work, tts.subjects.phrase_work("s1", 1))

    async def test_a_claim_where_there_is_no_durable_is_an_error(self, bare_broker: Broker) -> None:
        async with bare_broker.connect("asr") as asr:
            with pytest.raises(BusUnavailableError):
                await asr.claim(bare_broker.layout.utterances, TranscribeUtterance, timeout_s=NOTHING_S)


def work_s(layout: Layout) -> float:
    """Return how long an utterance stays with a silent worker."""
    return layout.utterances.ack_wait_s


async def _give_utterance(gateway: Bus, utterance: str = "1-0") -> None:
    await gateway.record(
        gateway.subjects.utterance_work("s1", utterance), utterance_work(utterance), message_id=utterance
    )


async def _claim_utterance(asr: Bus, layout: Layout) -> Work[TranscribeUtterance]:
    work = await asr.claim(layout.utterances, TranscribeUtterance, timeout_s=SOON_S)
    assert work is not None
    return work
