"""Claims: kept, handed back, tried again, drained, and ended by exactly one outcome; on virtual time."""

import asyncio

import pytest
import structlog

from parley_asr.engines import DecodeFailedError
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.toy_asr import ToyAsr, finals, is_all_acknowledged, microphone, now, until
from parley_testkit.toy_speech import frames_of, speak

pytestmark = pytest.mark.looptime


async def test_a_broken_decode_is_tried_again() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    asr.transcriber.failures.append(DecodeFailedError("out of memory"))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha")))
        await until(lambda: finals(broker) != [])

    [final] = finals(broker)
    assert (final.outcome, final.text, final.attempt) == ("speech", "alpha", 2)


async def test_an_utterance_that_always_breaks_gets_exactly_one_failed_outcome() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    asr.transcriber.failures.extend(DecodeFailedError("out of memory") for _ in range(99))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha")))
        await until(lambda: is_all_acknowledged(broker))
        await asyncio.sleep(10)

    [final] = finals(broker)
    assert (final.outcome, final.attempt, final.reason) == ("failed", 5, "given up after 4 attempts")


async def test_several_utterances_are_followed_at_once() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    texts = {"1-0": "alpha bravo charlie", "1-1": "delta echo foxtrot", "1-2": "golf hotel india"}

    async with asr.running(), asyncio.TaskGroup() as tasks:
        for utterance, text in texts.items():
            await speaker.begin(utterance)
            tasks.create_task(speaker.send(utterance, frames_of(speak(text))))
        await until(lambda: len(finals(broker)) == 3, timeout_s=3)

    assert {final.utterance: final.text for final in finals(broker)} == texts


async def test_a_claim_is_kept_as_long_as_its_speaker_speaks() -> None:
    broker = MemoryBroker()
    first, second, speaker = ToyAsr(broker), ToyAsr(broker), microphone(broker)

    async with first.running(), second.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha " * 20)))
        await until(lambda: is_all_acknowledged(broker))

    assert [final.attempt for final in finals(broker)] == [1]
    assert [] in (first.transcriber.told, second.transcriber.told)


async def test_stopping_finishes_what_is_claimed_and_claims_no_more() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    frames = frames_of(speak("alpha bravo charlie"))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames[:20])
        asr.stopping.set()
        await speaker.begin("1-1")
        await speaker.send("1-0", frames[20:])
        await speaker.send("1-1", frames)
        await until(lambda: finals(broker) != [])

    assert [final.utterance for final in finals(broker)] == ["1-0"]
    assert not is_all_acknowledged(broker)


async def test_what_takes_too_long_to_finish_goes_to_another_worker_at_once_and_whole() -> None:
    broker = MemoryBroker()
    leaving, staying, speaker = ToyAsr(broker, drain_s=1.0), ToyAsr(broker), microphone(broker)
    text = "alpha bravo charlie delta echo foxtrot golf hotel india juliett"
    frames = frames_of(speak(text))

    async with asyncio.TaskGroup() as tasks:
        async with leaving.running():
            await speaker.begin("1-0")
            tasks.create_task(speaker.send("1-0", frames))
            await asyncio.sleep(1)
        async with staying.running():
            await until(lambda: finals(broker) != [])

    [final] = finals(broker)
    assert (final.text, final.attempt) == (text, 2)


async def test_an_outcome_waits_for_a_broker_that_is_away() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha bravo")), every_s=0)
        await asyncio.sleep(0.03)
        broker.up = False
        await asyncio.sleep(3)
        broker.up = True
        await until(lambda: is_all_acknowledged(broker))

    assert [final.text for final in finals(broker)] == ["alpha bravo"]


async def test_the_service_lacks_its_consumer_until_one_claim_succeeded() -> None:
    broker = MemoryBroker(streams=False)
    asr = ToyAsr(broker)

    async with asr.running():
        await asyncio.sleep(3)
        before = asr.health.reasons
        broker.make_streams()
        await asyncio.sleep(3)
        after = asr.health.reasons

    assert "consumer" in before
    assert after == {}


async def test_an_utterance_that_comes_again_leaves_its_first_outcome() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.say("1-0", frames_of(speak("alpha")))
        await until(lambda: is_all_acknowledged(broker))
        broker.deliver(next(raw for raw in broker.sent if ".work." in raw.subject))
        await until(lambda: is_all_acknowledged(broker))

    assert len(asr.transcriber.told) == 2
    assert len(finals(broker)) == 1


async def test_more_utterances_than_the_limit_wait_their_turn_and_do_not_hold_up_stopping() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker, drain_s=1.0), microphone(broker)

    async with asr.running():
        for number in range(6):
            await speaker.begin(f"1-{number}")
            await speaker.send(f"1-{number}", frames_of(speak("alpha"))[:10], every_s=0)
        await asyncio.sleep(0.5)
        followed = asr.utterances
        stopped_at = now()
    drained_s = now() - stopped_at

    assert followed == 4
    assert drained_s < 2.2
    assert finals(broker) == []


async def test_a_decode_that_breaks_with_what_was_said_tells_nobody() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    asr.transcriber.failures.extend(RuntimeError("alpha") for _ in range(99))

    with structlog.testing.capture_logs() as logs:
        async with asr.running():
            await speaker.begin("1-0")
            await speaker.send("1-0", frames_of(speak("alpha")))
            await until(lambda: is_all_acknowledged(broker))

    [final] = finals(broker)
    assert final.outcome == "failed"
    assert [line["error"] for line in logs if line["event"] == "a transcription broke"] == 4 * ["RuntimeError"]
    assert "alpha" not in f"{final} {logs}"
