"""From a claimed phrase to exactly one outcome: the worker on a bus in memory, with a toy voice in a real thread."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
import structlog

from parley_contract.frames import Flag, Frame, decode_frame
from parley_contract.messages import (
    Message,
    PhraseFailed,
    PhraseReady,
    PhraseSynthesized,
    SynthesizePhrase,
    TurnInterrupted,
    decode,
)
from parley_runtime.http import Health
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.toy_voice import ToySynthesizer
from parley_tts.engines import CannotSpeakError, SynthesisFailedError
from parley_tts.speaking import Speaker
from parley_tts.synthesis import Surroundings
from parley_tts.worker import Worker

NOW: Final = 1_000.0


async def eventually(condition: Callable[[], object]) -> None:
    """Give the worker, and its thread, turns until something is so."""
    while not condition():  # noqa: ASYNC110  # the broker in memory has no event for it
        await asyncio.sleep(0.001)


class Tts:
    """One tts process's inside, and the agent that it works for."""

    def __init__(self, *engines: ToySynthesizer) -> None:
        self.broker = MemoryBroker()
        self.agent = self.broker.bus("agent")
        self.health = Health(consumer="not bound yet")
        self.telemetry = Telemetry("tts", self.broker.assistant)
        self.engines = engines or (ToySynthesizer(),)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        stopping = asyncio.Event()
        with Speaker(self.engines) as speaker:
            around = Surroundings(
                bus=self.broker.bus("tts", self.telemetry),
                layout=self.broker.layout,
                speaker=speaker,
                telemetry=self.telemetry,
                speed=1.0,
                capture_text=False,
                clock=asyncio.get_running_loop().time,
                wall_clock=lambda: NOW,
            )
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(Worker(around, self.health).run(stopping))
                yield stopping
                if not stopping.is_set():
                    working.cancel()

    async def ask(self, text: str = "Hi", *, phrase: int = 0, revision: int = 0) -> None:
        """Queue a phrase of turn 3."""
        asked = SynthesizePhrase(
            session="s1",
            epoch=1,
            turn=3,
            revision=revision,
            phrase=phrase,
            text=text,
            language="en",
            sent_at=NOW - 0.25,
        )
        message_id = f"work-{revision}-{phrase}"
        await self.agent.record(self.agent.subjects.phrase_work("s1", 3), asked, message_id=message_id)

    async def say(self, message: Message) -> None:
        """Say something about turn 3, as the agent."""
        await self.agent.publish(self.agent.subjects.reply("s1", 3), message)

    async def until(self, count: int) -> list[Message]:
        """Wait for this many outcomes and return them."""
        await eventually(lambda: len(self.outcomes()) >= count)
        return self.outcomes()

    async def until_done(self) -> None:
        """Wait until the queue is empty."""
        queue = self.agent.subjects.phrase_work("*", "*")
        await eventually(lambda: not self.broker.stored(self.broker.layout.work, queue))

    def outcomes(self) -> list[Message]:
        events, subjects = self.broker.layout.events, self.agent.subjects
        return [decode(raw.data) for raw in self.broker.stored(events, subjects.phrase_outcome("*", "*", "*"))]

    def frames(self, phrase: int = 0) -> list[Frame]:
        subject = self.agent.subjects.voice("s1", 3, phrase)
        return [decode_frame(raw.data) for raw in self.broker.sent if raw.subject == subject]

    def counted(self, engine: str, outcome: str) -> bool:
        page = self.telemetry.exposition().decode()
        return f'parley_tts_phrases_total{{engine="{engine}",outcome="{outcome}"}} 1.0' in page


async def test_a_phrase_becomes_frames_in_order_and_a_closing_one() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask("Hi there")
        [outcome] = await tts.until(1)

    *sound, end = tts.frames()
    assert [frame.sequence for frame in sound] == list(range(7))
    assert [frame.media_samples for frame in sound] == [320 * n for n in range(7)]
    assert (end.sequence, end.flags, end.pcm) == (7, Flag.END, b"")
    assert isinstance(outcome, PhraseSynthesized)
    assert (outcome.phrase, outcome.frames, outcome.engine) == (0, 7, "toy")


async def test_frames_and_outcome_carry_the_fences_of_the_phrase() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask(revision=2)
        [outcome] = await tts.until(1)

    assert {(f.epoch, f.revision, f.attempt) for f in tts.frames()} == {(1, 2, 1)}
    assert isinstance(outcome, PhraseSynthesized)
    assert (outcome.session, outcome.epoch, outcome.turn, outcome.revision, outcome.attempt) == ("s1", 1, 3, 2, 1)


async def test_phrases_are_spoken_in_the_order_of_the_queue() -> None:
    engine = ToySynthesizer()
    tts = Tts(engine)

    for phrase, text in enumerate(("One.", "Two.", "Three.")):
        await tts.ask(text, phrase=phrase)
    async with tts.running():
        await tts.until(3)

    assert [speech.text for speech in engine.told] == ["One.", "Two.", "Three."]


async def test_text_is_made_speakable_first() -> None:
    engine = ToySynthesizer()
    tts = Tts(engine)

    async with tts.running():
        await tts.ask("**5** 🎉")
        await tts.until(1)

    assert [speech.text for speech in engine.told] == ["five"]


async def test_a_phrase_with_nothing_to_speak_is_over_at_once_and_bothers_no_engine() -> None:
    engine = ToySynthesizer()
    tts = Tts(engine)

    async with tts.running():
        await tts.ask("🎉")
        [outcome] = await tts.until(1)

    assert isinstance(outcome, PhraseFailed)
    assert (engine.told, tts.frames()) == ([], [])
    assert tts.counted("none", "silent")


async def test_the_fallback_speaks_when_the_first_engine_made_no_sound() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")
    first.failures = [SynthesisFailedError("died")]
    tts = Tts(first, second)

    async with tts.running():
        await tts.ask()
        [outcome] = await tts.until(1)

    assert isinstance(outcome, PhraseSynthesized)
    assert (outcome.engine, outcome.attempt, outcome.frames) == ("second", 1, 2)


async def test_when_nobody_can_speak_it_the_phrase_fails_with_the_reasons() -> None:
    engine = ToySynthesizer()
    engine.failures = [CannotSpeakError("no phonemes in this text")]
    tts = Tts(engine)

    async with tts.running():
        await tts.ask()
        [outcome] = await tts.until(1)
        await tts.until_done()

    assert isinstance(outcome, PhraseFailed)
    assert outcome.reason == "toy: no phonemes in this text"


@pytest.mark.parametrize("error", [SynthesisFailedError, ValueError])
async def test_a_phrase_that_broke_off_is_spoken_again_from_its_beginning(error: type[Exception]) -> None:
    engine = ToySynthesizer()
    engine.failures, engine.breaks_after = [error("for once")], 1
    tts = Tts(engine)

    async with tts.running():
        await tts.ask()
        [outcome] = await tts.until(1)

    assert isinstance(outcome, PhraseSynthesized)
    assert [(f.attempt, f.sequence) for f in tts.frames()] == [(1, 0), (2, 0), (2, 1), (2, 2)]


async def test_the_last_attempt_passes_over_the_engine_that_broke() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")
    first.failures, first.breaks_after = [SynthesisFailedError("died")] * 3, 1
    tts = Tts(first, second)

    async with tts.running():
        await tts.ask()
        [outcome] = await tts.until(1)

    assert isinstance(outcome, PhraseSynthesized)
    assert (outcome.engine, outcome.attempt) == ("second", 3)


async def test_a_phrase_that_breaks_off_every_time_fails_once() -> None:
    engine = ToySynthesizer()
    engine.failures, engine.breaks_after = [SynthesisFailedError("died")] * 3, 1
    tts = Tts(engine)

    async with tts.running():
        await tts.ask()
        [outcome] = await tts.until(1)
        await tts.until_done()

    assert isinstance(outcome, PhraseFailed)
    assert (outcome.attempt, outcome.reason) == (3, "died")


async def test_a_defect_in_one_phrase_does_not_end_the_next() -> None:
    engine = ToySynthesizer()
    engine.failures = [ValueError("a defect")] * 3
    tts = Tts(engine)

    async with tts.running():
        await tts.ask("Ab", phrase=0)
        await tts.until(1)
        await tts.ask("Cd", phrase=1)
        outcomes = await tts.until(2)

    assert {o.phrase: type(o) for o in outcomes if isinstance(o, PhraseSynthesized | PhraseFailed)} == {
        0: PhraseFailed,
        1: PhraseSynthesized,
    }


async def test_a_phrase_of_an_interrupted_turn_is_never_heard() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask("First.", phrase=0)
        await tts.until(1)
        await tts.say(TurnInterrupted(session="s1", epoch=1, turn=3, revision=1, reason="client"))
        await tts.ask("Second.", phrase=1)
        await tts.until_done()

    assert (tts.frames(1), len(tts.outcomes())) == ([], 1)
    assert tts.counted("none", "stale")


async def test_an_interrupt_stops_a_phrase_in_the_middle() -> None:
    engine = ToySynthesizer()
    engine.gate = threading.Event()
    tts = Tts(engine)

    async with tts.running():
        await tts.ask("a long phrase")
        await eventually(tts.frames)
        await tts.say(TurnInterrupted(session="s1", epoch=1, turn=3, revision=1, reason="client"))
        engine.gate.set()
        await tts.until_done()

    assert len(tts.frames()) == 1
    assert tts.outcomes() == []
    assert tts.counted("toy", "cut")


async def test_a_newer_revision_of_the_reply_silences_older_phrases() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask("First.", phrase=0)
        await tts.until(1)
        await tts.say(PhraseReady(session="s1", epoch=1, turn=3, revision=1, phrase=0, text="New."))
        await tts.ask("Old.", phrase=1, revision=0)
        await tts.ask("New.", phrase=0, revision=1)
        await tts.until(2)

    assert tts.frames(1) == []
    assert {frame.revision for frame in tts.frames(0)} == {0, 1}


async def test_the_wait_in_the_queue_and_the_phrase_are_counted() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask()
        await tts.until(1)

    page = tts.telemetry.exposition().decode()
    assert "parley_tts_queue_seconds_sum 0.25" in page
    assert 'parley_tts_first_audio_seconds_count{engine="toy"} 1.0' in page
    assert tts.counted("toy", "spoken")


async def test_ready_means_that_the_queue_could_be_claimed_from() -> None:
    tts = Tts()

    async with tts.running():
        await tts.ask()
        await tts.until(1)

    assert tts.health.reasons == {}


async def test_a_phrase_in_hand_is_finished_before_the_worker_stops() -> None:
    engine = ToySynthesizer()
    engine.gate = threading.Event()
    tts = Tts(engine)

    async with tts.running() as stopping:
        await tts.ask("a long phrase")
        await eventually(tts.frames)
        stopping.set()
        engine.gate.set()

    assert tts.frames()[-1].is_end
    assert len(tts.outcomes()) == 1


async def test_an_engine_that_breaks_with_what_it_was_to_say_tells_nobody() -> None:
    engine = ToySynthesizer()
    engine.failures.extend(RuntimeError("canary") for _ in range(9))
    tts = Tts(engine)

    with structlog.testing.capture_logs() as logs:
        async with tts.running():
            await tts.ask("A canary")
            [outcome] = await tts.until(1)

    assert isinstance(outcome, PhraseFailed)
    assert [line["error"] for line in logs if line["event"] == "a synthesis broke"] == 3 * ["RuntimeError"]
    assert "canary" not in f"{outcome} {logs}"
