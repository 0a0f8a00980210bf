"""From the first frame to the final: partials, replay, holes, silence, length and loss; on virtual time."""

import asyncio
import random

import looptime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_contract import telemetry as words
from parley_contract.frames import RATE_HZ
from parley_contract.messages import CandidateTranscript, FinalTranscript, PartialTranscript
from parley_contract.subjects import ANY
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.microphone import Microphone
from parley_testkit.toy_asr import DECODE_S, ToyAsr, finals, is_all_acknowledged, microphone, now, recorded, until
from parley_testkit.toy_speech import WORDS, frames_of, speak

pytestmark = pytest.mark.looptime


def shed(asr: ToyAsr) -> int:
    """How many partials were, by the service's own count."""
    [line] = [
        line
        for line in asr.telemetry.exposition().decode().splitlines()
        if line.startswith(f"{words.ASR_PARTIALS_SHED.name}_total")
    ]
    return round(float(line.split()[1]))


async def test_a_spoken_utterance_becomes_one_final_and_is_acknowledged() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha bravo charlie")))
        await until(lambda: is_all_acknowledged(broker))

    [final] = finals(broker)
    assert (final.outcome, final.text, final.language, final.attempt) == ("speech", "alpha bravo charlie", "en", 1)
    assert (final.session, final.turn, final.utterance, final.speaker) == ("s1", 1, "1-0", "anna")
    assert (final.last_seq, final.missing_frames, final.reason) == (74, 0, "")
    assert final.audio_s == pytest.approx(1.5)


async def test_a_short_utterance_is_in_the_language_that_its_session_spoke_before() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        for number, text in enumerate(("alpha bravo charlie delta echo foxtrot golf hotel", "india")):
            await speaker.begin(f"1-{number}")
            await speaker.send(f"1-{number}", frames_of(speak(text)))
            await until(lambda: is_all_acknowledged(broker))

    assert asr.transcriber.told[0][1].language == ""
    assert asr.transcriber.told[-1][1].language == "en"


async def test_the_final_comes_one_decode_after_the_closing_frame() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha"))[:-1])
        await speaker.send("1-0", frames_of(speak("alpha"))[-1:], every_s=0)
        closed_at = now()
        await until(lambda: finals(broker) != [])
        waited_s = now() - closed_at

    assert waited_s == pytest.approx(DECODE_S, abs=0.02)


async def test_a_running_utterance_has_a_revision_for_every_second_of_new_speech() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(speak("alpha bravo charlie delta echo foxtrot golf hotel")))
        await until(lambda: finals(broker) != [])

    partials = recorded(broker, PartialTranscript)
    assert [(partial.number, partial.covers_seq) for partial in partials] == [(1, 50), (2, 100), (3, 150)]
    assert [partial.text for partial in partials] == [
        "alpha bravo",
        "alpha bravo charlie delta",
        "alpha bravo charlie delta echo foxtrot",
    ]


async def test_frames_from_before_the_claim_are_replayed() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    frames = frames_of(speak("alpha bravo charlie"))
    await speaker.begin("1-0")
    await speaker.send("1-0", frames[:50])

    async with asr.running():
        await speaker.send("1-0", frames[50:])
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].text == "alpha bravo charlie"


async def test_lost_frames_are_asked_for_and_the_transcript_is_whole() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    frames = frames_of(speak("alpha bravo charlie delta"))

    async with speaker.listening(), asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames, every_s=0, lost=[*range(20, 45), *range(60, 100)])
        await until(lambda: finals(broker) != [], timeout_s=1)

    [final] = finals(broker)
    assert (final.text, final.missing_frames) == ("alpha bravo charlie delta", 0)


async def test_frames_that_never_come_are_reported_after_a_bounded_wait() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker, answers=False)
    frames = frames_of(speak("alpha bravo charlie"))

    async with speaker.listening(), asr.running():
        await speaker.begin("1-0")
        started_at = now()
        await speaker.send("1-0", [*frames[:30], *frames[34:]], every_s=0)
        await until(lambda: finals(broker) != [])
        waited_s = now() - started_at

    [final] = finals(broker)
    assert (final.outcome, final.missing_frames, final.reason) == ("speech", 4, "4 frames did not come within 1.5 s")
    assert waited_s == pytest.approx(1.5 + DECODE_S, abs=0.05)


async def test_silence_is_an_outcome_without_text() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames_of(0 * speak("alpha bravo")))
        await until(lambda: finals(broker) != [])

    assert (finals(broker)[0].outcome, finals(broker)[0].text) == ("silence", "")


async def test_a_long_utterance_comes_out_whole() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    text = " ".join(WORDS[index * 5 % 16] for index in range(120))

    async with asr.running():
        await speaker.begin("1-0", life_s=120)
        await speaker.send("1-0", frames_of(speak(text)))
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].audio_s == pytest.approx(60.0)
    assert finals(broker)[0].text == text


async def test_an_utterance_that_outlives_its_use_fails_instead_of_coming_late() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)

    async with asr.running():
        await speaker.begin("1-0", life_s=2)
        await speaker.send("1-0", frames_of(speak("alpha bravo charlie delta echo foxtrot")))
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].outcome == "failed"


async def test_an_utterance_whose_use_is_over_costs_no_worker_anything() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker), microphone(broker)
    await speaker.begin("1-0", life_s=2)
    await speaker.send("1-0", frames_of(speak("alpha bravo charlie delta echo")))

    async with asr.running():
        await speaker.say("1-1", frames_of(speak("alpha")))
        await until(lambda: finals(broker) != [])

    assert [final.utterance for final in finals(broker)] == ["1-1"]


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), loss=st.sampled_from([0.0, 0.1, 0.5, 0.95]), head=st.integers(0, 150))
def test_whatever_is_lost_doubled_or_out_of_order_the_transcript_is_whole(seed: int, loss: float, head: int) -> None:
    text = " ".join(random.Random(seed).choices(WORDS, k=6))

    async def scenario() -> list[FinalTranscript]:
        broker = MemoryBroker()
        asr, speaker = ToyAsr(broker), microphone(broker)
        frames = frames_of(speak(text))
        await speaker.send("1-0", frames, every_s=0, lost=range(len(frames)))
        chance = random.Random(seed)
        sent = [frame for frame in frames for _ in range(chance.randint(1, 2)) if chance.random() >= loss]
        for index in range(len(sent) - 1):
            if chance.random() < 0.3:
                sent[index], sent[index + 1] = sent[index + 1], sent[index]
        await speaker.begin("1-0")
        await speaker.send("1-0", sent[:head], every_s=0)
        async with speaker.listening(), asr.running():
            await speaker.send("1-0", sent[head:])
            await until(lambda: is_all_acknowledged(broker))
        return finals(broker)

    loop = looptime.new_event_loop()
    try:
        [final] = loop.run_until_complete(scenario())
    finally:
        loop.close()

    assert (final.outcome, final.text, final.missing_frames) == ("speech", text, 0)


async def test_when_more_speak_than_the_decoder_can_follow_partials_are_shed_and_no_final_waits_for_them() -> None:
    broker = MemoryBroker()
    asr = ToyAsr(broker, max_utterances=24)
    text = "alpha bravo charlie delta echo foxtrot golf hotel"

    async with asr.running(), asyncio.TaskGroup() as tasks:
        for number in range(24):
            speaker = Microphone(broker.bus("gateway"), session=f"s{number}")
            tasks.create_task(speaker.say("1-0", frames_of(speak(text))))
        await until(
            lambda: broker.stored(broker.layout.work, broker.bus("agent").subjects.utterance_work(ANY, ANY)) != []
        )
        began_at = now()
        await until(lambda: len(finals(broker)) == 24)
        passed_s = now() - began_at

    assert [final.text for final in finals(broker)] == [text] * 24
    assert passed_s <= 4.0 + 25 * DECODE_S + 0.05
    assert shed(asr) >= 10


# In the silence.


async def test_a_pause_is_decoded_in_the_silence_and_what_it_gave_is_the_final_at_once() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker, decodes_in_silence=True), microphone(broker)
    frames = frames_of(speak("alpha bravo"))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames[:-1])
        await speaker.pause("1-0", len(frames) - 2)
        await until(lambda: recorded(broker, CandidateTranscript) != [])
        decodes = len(asr.transcriber.told)
        await speaker.send("1-0", frames[-1:], every_s=0)
        closed_at = now()
        await speaker.end("1-0", len(frames) - 2)
        await until(lambda: finals(broker) != [])
        waited_s = now() - closed_at

    [candidate], [final] = recorded(broker, CandidateTranscript), finals(broker)
    assert (candidate.text, candidate.covers_seq) == ("alpha bravo", len(frames) - 2)
    assert (final.outcome, final.text, final.last_seq) == ("speech", "alpha bravo", len(frames) - 2)
    assert len(asr.transcriber.told) == decodes
    assert waited_s < DECODE_S / 2


async def test_who_goes_on_after_a_pause_is_transcribed_whole() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker, decodes_in_silence=True), microphone(broker)
    frames = frames_of(speak("alpha bravo charlie delta"))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames[:50])
        await speaker.pause("1-0", 48)
        await speaker.send("1-0", frames[50:])
        await speaker.end("1-0", len(frames) - 2)
        await until(lambda: finals(broker) != [])

    assert [candidate.text for candidate in recorded(broker, CandidateTranscript)] == ["alpha bravo"]
    assert finals(broker)[0].text == "alpha bravo charlie delta"


async def test_an_end_that_comes_while_the_pause_is_decoded_waits_for_that_decode_alone() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker, decodes_in_silence=True), microphone(broker)
    frames = frames_of(speak("alpha bravo"))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", frames[:-1])
        decodes = len(asr.transcriber.told)
        await speaker.pause("1-0", len(frames) - 2)
        await speaker.send("1-0", frames[-1:], every_s=0)
        await speaker.end("1-0", len(frames) - 2)
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].text == "alpha bravo"
    assert len(asr.transcriber.told) == decodes + 1


async def test_a_pause_in_which_nothing_is_heard_is_decoded_once_more_and_the_end_decodes_it_anew() -> None:
    broker = MemoryBroker()
    asr, speaker = ToyAsr(broker, decodes_in_silence=True), microphone(broker)
    noise = frames_of(np.full(RATE_HZ, 0.02, dtype=np.float32))

    async with asr.running():
        await speaker.begin("1-0")
        await speaker.send("1-0", noise[:30])
        await speaker.pause("1-0", 28)
        await speaker.send("1-0", noise[30:-1])
        in_silence = len(asr.transcriber.told)
        await speaker.send("1-0", noise[-1:], every_s=0)
        await speaker.end("1-0", 28)
        await until(lambda: finals(broker) != [])

    assert recorded(broker, CandidateTranscript) == []
    assert 1 < in_silence < len(asr.transcriber.told)
    assert finals(broker)[0].outcome == "silence"
