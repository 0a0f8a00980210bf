"""From a claimed utterance to exactly one outcome: the worker on a bus in memory, on virtual time."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Final

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_asr.decoder import Decoder, Job
from parley_asr.engines import Decoded, DecodeFailedError
from parley_asr.hearing import Listening
from parley_asr.transcription import Surroundings
from parley_asr.utterances import Patience
from parley_asr.windows import limits
from parley_asr.worker import Worker
from parley_contract.frames import Frame
from parley_contract.messages import (
    FinalTranscript,
    Message,
    PartialTranscript,
    ResendFrames,
    TranscribeUtterance,
    decode,
)
from parley_runtime.http import Health
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.toy_speech import WORDS, ToyTranscriber, frames_of, speak

FRAME_S: Final = 0.02
DECODE_S: Final = 0.08


def now() -> float:
    return asyncio.get_running_loop().time()


async def slowly(job: Job) -> Decoded:
    await asyncio.sleep(DECODE_S)
    return job()


class Asr:
    """One asr process's inside."""

    def __init__(self, broker: MemoryBroker, *, window_s: float = 10.0, drain_s: float = 8.0) -> None:
        self.broker = broker
        self.transcriber = ToyTranscriber(window_s=window_s)
        self.health = Health(consumer="not bound yet")
        self.stopping = asyncio.Event()
        telemetry = Telemetry("asr", broker.assistant)
        self.decoder = Decoder(self.transcriber, telemetry, offload=slowly, clock=now)
        self.worker = Worker(
            Surroundings(
                bus=broker.bus("asr", telemetry),
                layout=broker.layout,
                decoder=self.decoder,
                telemetry=telemetry,
                listening=Listening(limits=limits(encoder_window_s=window_s, overlap_ms=120)),
                patience=Patience(),
                clock=now,
                wall_clock=now,
            ),
            self.health,
            max_utterances=4,
            drain_s=drain_s,
            capture_text=False,
        )

    async def stop(self) -> None:
        """What SIGTERM does; `running` waits for the end."""
        self.stopping.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            decoding = tasks.create_task(self.decoder.run())
            working = tasks.create_task(self.worker.run(self.stopping))
            yield
            self.stopping.set()
            await working
            decoding.cancel()


class Gateway:
    """The gateway's part: work, frames, and frames again when asked."""

    def __init__(self, broker: MemoryBroker, *, answers_resends: bool = True) -> None:
        self.broker = broker
        self.bus = broker.bus("gateway")
        self._answers_resends = answers_resends
        self._frames: dict[str, list[Frame]] = {}

    async def start(self, utterance: str, *, deadline_s: float = 60.0) -> None:
        """Say that speech began."""
        await self.bus.record(
            self.bus.subjects.utterance_work("s1", utterance),
            TranscribeUtterance(
                session="s1", epoch=1, turn=1, utterance=utterance, speaker="anna", deadline_at=now() + deadline_s
            ),
            message_id=f"work.{utterance}",
        )

    async def send(self, utterance: str, frames: list[Frame], *, every_s: float = FRAME_S) -> None:
        """Publish frames in real time."""
        self._frames.setdefault(utterance, []).extend(frames)
        for frame in frames:
            await self.bus.publish_frame(self.bus.subjects.audio("s1", utterance), frame)
            if every_s:
                await asyncio.sleep(every_s)

    def knows(self, utterance: str, frames: list[Frame]) -> None:
        """Remember frames that were sent by other ways, to answer resends."""
        self._frames[utterance] = frames

    async def answer_resends(self) -> None:
        async with self.bus.messages(self.bus.subjects.resend("*")) as asked:
            async for received in asked:
                message = received.message
                assert isinstance(message, ResendFrames)
                last = float("inf") if message.to_seq is None else message.to_seq
                for frame in self._frames.get(message.utterance, []):
                    if self._answers_resends and message.from_seq <= frame.sequence <= last:
                        await self.bus.publish_frame(self.bus.subjects.audio("s1", message.utterance), frame)

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.answer_resends())
            yield
            task.cancel()


def said(broker: MemoryBroker, kind: type[Message]) -> list[Message]:
    """Every message of a kind that was ever sent."""
    found: list[Message] = []
    for raw in broker.sent:
        if ".audio." not in raw.subject:
            message = decode(raw.data)
            if isinstance(message, kind):
                found.append(message)
    return found


def finals(broker: MemoryBroker) -> list[FinalTranscript]:
    """The outcomes on record: what an agent that comes later finds."""
    subject = broker.bus("agent").subjects.transcript("*", "*")
    recorded = [decode(raw.data) for raw in broker.stored(broker.layout.events, subject)]
    return [message for message in recorded if isinstance(message, FinalTranscript)]


async def until(condition: Callable[[], bool], *, timeout_s: float = 120.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a test looks from outside, and its time is virtual
            await asyncio.sleep(0.01)


def is_all_acknowledged(broker: MemoryBroker) -> bool:
    return broker.stored(broker.layout.work, "parley.*.work.utterance.*.*") == []


pytestmark = pytest.mark.looptime


async def test_a_spoken_utterance_becomes_one_final_and_is_acknowledged() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha bravo charlie")))
        await until(lambda: is_all_acknowledged(broker))

    [final] = finals(broker)
    assert (final.outcome, final.text, final.language, final.attempt) == ("speech", "alpha bravo charlie", "en", 1)
    assert (final.session, final.turn, final.utterance, final.speaker) == ("s1", 1, "1-0", "anna")
    assert (final.last_seq, final.missing_frames, final.reason) == (74, 0, "")
    assert final.audio_s == pytest.approx(1.5)


async def test_the_final_comes_one_decode_after_the_closing_frame() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha"))[:-1])
        await gateway.send("1-0", frames_of(speak("alpha"))[-1:], every_s=0)
        closed_at = now()
        await until(lambda: finals(broker) != [])
        waited_s = now() - closed_at

    assert waited_s == pytest.approx(DECODE_S, abs=0.02)


async def test_a_running_utterance_has_a_revision_for_every_second_of_new_speech() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha bravo charlie delta echo foxtrot golf hotel")))
        await until(lambda: finals(broker) != [])

    partials = [message for message in said(broker, PartialTranscript) if isinstance(message, PartialTranscript)]
    assert [(partial.number, partial.covers_seq) for partial in partials] == [(1, 49), (2, 99), (3, 149)]
    assert [partial.text for partial in partials] == [
        "alpha bravo",
        "alpha bravo charlie delta",
        "alpha bravo charlie delta echo foxtrot",
    ]


async def test_frames_from_before_the_claim_are_replayed() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    frames = frames_of(speak("alpha bravo charlie"))
    await gateway.start("1-0")
    await gateway.send("1-0", frames[:50])

    async with asr.running():
        await gateway.send("1-0", frames[50:])
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].text == "alpha bravo charlie"


async def test_lost_frames_are_asked_for_and_the_transcript_is_whole() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    frames = frames_of(speak("alpha bravo charlie delta"))
    gateway.knows("1-0", frames)

    async with gateway.answering(), asr.running():
        await gateway.start("1-0")
        for frame in (*frames[:20], *frames[45:60], frames[-1]):
            await gateway.bus.publish_frame(gateway.bus.subjects.audio("s1", "1-0"), frame)
        await until(lambda: finals(broker) != [], timeout_s=1)

    [final] = finals(broker)
    assert (final.text, final.missing_frames) == ("alpha bravo charlie delta", 0)


async def test_frames_that_never_come_are_reported_after_a_bounded_wait() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker, answers_resends=False)
    frames = frames_of(speak("alpha bravo charlie"))

    async with gateway.answering(), asr.running():
        await gateway.start("1-0")
        started_at = now()
        await gateway.send("1-0", [*frames[:30], *frames[34:]], every_s=0)
        await until(lambda: finals(broker) != [])
        waited_s = now() - started_at

    [final] = finals(broker)
    assert (final.outcome, final.missing_frames, final.reason) == ("speech", 4, "4 frames did not come within 1.5 s")
    assert waited_s == pytest.approx(1.5 + DECODE_S, abs=0.05)


async def test_silence_is_an_outcome_without_text() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(0 * speak("alpha bravo")))
        await until(lambda: finals(broker) != [])

    assert (finals(broker)[0].outcome, finals(broker)[0].text) == ("silence", "")


async def test_a_long_utterance_comes_out_whole() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    text = " ".join(WORDS[index * 5 % 16] for index in range(120))

    async with asr.running():
        await gateway.start("1-0", deadline_s=120)
        await gateway.send("1-0", frames_of(speak(text)))
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].audio_s == pytest.approx(60.0)
    assert finals(broker)[0].text == text


async def test_a_broken_decode_is_tried_again() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    asr.transcriber.failures.append(DecodeFailedError("out of memory"))

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha")))
        await until(lambda: finals(broker) != [])

    [final] = finals(broker)
    assert (final.outcome, final.text, final.attempt) == ("speech", "alpha", 2)


async def test_an_utterance_that_always_breaks_gets_exactly_one_failed_outcome() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    asr.transcriber.failures.extend(DecodeFailedError("out of memory") for _ in range(99))

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha")))
        await until(lambda: is_all_acknowledged(broker))
        await asyncio.sleep(10)

    [final] = finals(broker)
    assert (final.outcome, final.attempt, final.reason) == ("failed", 5, "given up after 4 attempts")


async def test_an_utterance_past_its_deadline_fails_instead_of_coming_late() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    await gateway.start("1-0", deadline_s=2)
    await gateway.send("1-0", frames_of(speak("alpha bravo charlie delta echo")))

    async with asr.running():
        await until(lambda: finals(broker) != [])

    assert finals(broker)[0].outcome == "failed"
    assert asr.transcriber.told == []


async def test_several_utterances_are_followed_at_once() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    texts = {"1-0": "alpha bravo charlie", "1-1": "delta echo foxtrot", "1-2": "golf hotel india"}

    async with asr.running(), asyncio.TaskGroup() as tasks:
        for utterance, text in texts.items():
            await gateway.start(utterance)
            tasks.create_task(gateway.send(utterance, frames_of(speak(text))))
        await until(lambda: len(finals(broker)) == 3, timeout_s=3)

    assert {final.utterance: final.text for final in finals(broker)} == texts


async def test_a_claim_is_kept_as_long_as_its_speaker_speaks() -> None:
    broker = MemoryBroker()
    first, second, gateway = Asr(broker), Asr(broker), Gateway(broker)

    async with first.running(), second.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha " * 20)))
        await until(lambda: is_all_acknowledged(broker))

    assert [final.attempt for final in finals(broker)] == [1]
    assert [] in (first.transcriber.told, second.transcriber.told)


async def test_stopping_finishes_what_is_claimed_and_claims_no_more() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)
    frames = frames_of(speak("alpha bravo charlie"))

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames[:20])
        await asr.stop()
        await gateway.start("1-1")
        await gateway.send("1-0", frames[20:])
        await gateway.send("1-1", frames)
        await until(lambda: finals(broker) != [])

    assert [final.utterance for final in finals(broker)] == ["1-0"]
    assert not is_all_acknowledged(broker)


async def test_what_takes_too_long_to_finish_goes_to_another_worker_at_once_and_whole() -> None:
    broker = MemoryBroker()
    leaving, staying, gateway = Asr(broker, drain_s=1.0), Asr(broker), Gateway(broker)
    text = "alpha bravo charlie delta echo foxtrot golf hotel india juliett"
    frames = frames_of(speak(text))

    async with asyncio.TaskGroup() as tasks:
        async with leaving.running():
            await gateway.start("1-0")
            tasks.create_task(gateway.send("1-0", frames))
            await asyncio.sleep(1)
        async with staying.running():
            await until(lambda: finals(broker) != [])

    [final] = finals(broker)
    assert (final.text, final.attempt) == (text, 2)


async def test_an_outcome_waits_for_a_broker_that_is_away() -> None:
    broker = MemoryBroker()
    asr, gateway = Asr(broker), Gateway(broker)

    async with asr.running():
        await gateway.start("1-0")
        await gateway.send("1-0", frames_of(speak("alpha bravo")), every_s=0)
        await asyncio.sleep(0.03)
        broker.up = False
        await asyncio.sleep(3)
        broker.up = True
        await until(lambda: is_all_acknowledged(broker))

    assert [final.text for final in finals(broker)] == ["alpha bravo"]


async def test_the_service_lacks_its_consumer_until_one_claim_succeeded() -> None:
    broker = MemoryBroker(streams=False)
    asr = Asr(broker)

    async with asr.running():
        await asyncio.sleep(3)
        before = asr.health.reasons
        broker.make_streams()
        await asyncio.sleep(3)
        after = asr.health.reasons

    assert "consumer" in before
    assert after == {}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), loss=st.sampled_from([0.0, 0.1, 0.5, 0.95]), head=st.integers(0, 150))
def test_whatever_is_lost_doubled_or_out_of_order_the_transcript_is_whole(seed: int, loss: float, head: int) -> None:
    text = " ".join(random.Random(seed).choices(WORDS, k=6))

    async def scenario() -> list[FinalTranscript]:
        broker = MemoryBroker()
        asr, gateway = Asr(broker), Gateway(broker)
        frames = frames_of(speak(text))
        gateway.knows("1-0", frames)
        chance = random.Random(seed)
        sent = [frame for frame in frames for _ in range(chance.randint(1, 2)) if chance.random() >= loss]
        for index in range(len(sent) - 1):
            if chance.random() < 0.3:
                sent[index], sent[index + 1] = sent[index + 1], sent[index]
        await gateway.start("1-0")
        for frame in sent[:head]:
            await gateway.bus.publish_frame(gateway.bus.subjects.audio("s1", "1-0"), frame)
        async with gateway.answering(), asr.running():
            for frame in sent[head:]:
                await gateway.bus.publish_frame(gateway.bus.subjects.audio("s1", "1-0"), frame)
                await asyncio.sleep(FRAME_S)
            await until(lambda: is_all_acknowledged(broker))
        return finals(broker)

    loop = looptime.new_event_loop()
    try:
        [final] = loop.run_until_complete(scenario())
    finally:
        loop.close()

    assert (final.outcome, final.text, final.missing_frames) == ("speech", text, 0)
