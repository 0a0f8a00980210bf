"""A phrase becomes frames: claims phrases from the work queue and gives each exactly one outcome.

The main loop of the tts service, run by `app`. Phrases are synthesized one after another, in the order of the queue,
which the agent fills at most two ahead of playback. Frames leave as fast as they are made: pacing is the gateway's.
Not here: engines and their thread (`speaking`), what makes text speakable (`speakable`).
"""

import asyncio
import contextlib
import time
from typing import Final, NamedTuple, TypedDict

import structlog

from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError, ParleyError
from parley_contract.frames import FRAME_SAMPLES, Flag, Frame
from parley_contract.messages import PhraseFailed, PhraseSynthesized, SynthesizePhrase, TurnInterrupted
from parley_contract.streams import Layout
from parley_contract.subjects import ANY
from parley_runtime.bus import Bus, Work
from parley_runtime.http import Health
from parley_runtime.telemetry import Attributes, Span, Telemetry
from parley_tts.engines import Speech
from parley_tts.fences import Fences
from parley_tts.speakable import speakable
from parley_tts.speaking import Speaker

log: Final = structlog.get_logger()

CONSUMER: Final = "consumer"
"""What the service's readiness calls the bound work queue."""
_IN_PROGRESS_S: Final = 0.4
"""A third of `ack_wait` (1.5 s), less a little: two renewals may be lost."""
_CLAIM_S: Final = 1.0
"""How long one claim waits: stopping is noticed that late."""
_BROKER_PAUSE_S: Final = 0.5


class Surroundings(NamedTuple):
    """What the worker uses."""

    bus: Bus
    layout: Layout
    speaker: Speaker
    telemetry: Telemetry
    health: Health
    speed: float


class Worker:
    """Claims phrases while it runs."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Wire up; nothing is claimed before `run`."""
        self._around = surroundings
        self._fences = Fences()
        self.is_speaking = False
        """Whether a phrase is being synthesized now."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Claim and synthesize until `stopping`; the phrase that is being spoken then is spoken to its end."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch_interrupts())
            while not stopping.is_set():
                work = await self._claim()
                if work is not None:
                    await self._hold(work)
            watching.cancel()

    async def _watch_interrupts(self) -> None:
        bus = self._around.bus
        async with bus.messages(bus.subjects.reply(ANY, ANY)) as received:
            async for each in received:
                if isinstance(each.message, TurnInterrupted):
                    self._fences.interrupted(each.message)

    async def _claim(self) -> Work[SynthesizePhrase] | None:
        try:
            work = await self._around.bus.claim(self._around.layout.phrases, SynthesizePhrase, timeout_s=_CLAIM_S)
        except BusUnavailableError as error:
            self._around.health.lacking(CONSUMER, str(error))
            await asyncio.sleep(_BROKER_PAUSE_S)
            return None
        self._around.health.ready(CONSUMER)
        return work

    async def _hold(self, work: Work[SynthesizePhrase]) -> None:
        """Keep a claim while it is worked on."""
        self.is_speaking = True
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(_stay_claimed(work))
            try:
                await self._synthesize(work)
            except BusUnavailableError as error:
                log.warning("will be tried again", phrase=work.message.phrase, attempt=work.attempt, why=str(error))
                with contextlib.suppress(BusUnavailableError):
                    await work.retry(_BROKER_PAUSE_S)
            finally:
                renewing.cancel()
                self.is_speaking = False

    async def _synthesize(self, work: Work[SynthesizePhrase]) -> None:
        asked, around = work.message, self._around
        waited_s = max(0.0, time.time() - asked.sent_at)
        claimed_at = time.monotonic()
        if self._fences.is_stale(asked) or time.time() > asked.deadline_at:
            await work.drop()
            around.telemetry.record(words.TTS_PHRASES, engine="none", outcome="stale")
            return
        around.telemetry.record(words.TTS_QUEUE, waited_s)
        attributes: Attributes = {
            words.SESSION: asked.session,
            words.TURN_NUMBER: asked.turn,
            words.PHRASE: asked.phrase,
            words.ATTEMPT: work.attempt,
        }
        with around.telemetry.span(
            words.SYNTHESIS, parent=work.headers, kind="consumer", attributes=attributes
        ) as span:
            around.telemetry.past(words.SYNTHESIS_QUEUE, claimed_at - waited_s, claimed_at)
            outcome = await self._outcome(work, span, claimed_at)
            if outcome is not None:
                subject = around.bus.subjects.phrase_outcome(asked.session, asked.turn, asked.phrase)
                message_id = f"{asked.session}-{asked.epoch}-{asked.turn}-{asked.revision}-phrase-{asked.phrase}"
                await around.bus.record(subject, outcome, message_id=message_id)
        await work.done()

    async def _outcome(
        self, work: Work[SynthesizePhrase], span: Span, claimed_at: float
    ) -> PhraseSynthesized | PhraseFailed | None:
        """Publish the phrase's frames; None when it was interrupted, so that nobody waits for an outcome."""
        asked = work.message
        try:
            spoken = await self._speak(work, claimed_at)
        except BusUnavailableError:
            raise
        except ParleyError as error:
            log.error("a phrase was not spoken", phrase=asked.phrase, error=type(error).__name__, detail=str(error))
            self._around.telemetry.record(words.TTS_PHRASES, engine="none", outcome="failed")
            return PhraseFailed(**_fence(work), phrase=asked.phrase, reason=str(error))
        engine, frames, first_audio_s = spoken
        synthesis_s = time.monotonic() - claimed_at
        was_cut = self._fences.is_stale(asked)
        span.set_attribute(words.ENGINE, engine)
        self._around.telemetry.record(words.TTS_FIRST_AUDIO, first_audio_s, engine=engine)
        self._around.telemetry.record(words.TTS_SYNTHESIS, synthesis_s, engine=engine)
        self._around.telemetry.record(words.TTS_PHRASES, engine=engine, outcome="cut" if was_cut else "spoken")
        if was_cut:
            return None
        return PhraseSynthesized(
            **_fence(work),
            phrase=asked.phrase,
            frames=frames,
            engine=engine,
            first_audio_s=first_audio_s,
            synthesis_s=synthesis_s,
        )

    async def _speak(self, work: Work[SynthesizePhrase], claimed_at: float) -> tuple[str, int, float]:
        """Publish frames until the phrase is said or interrupted; return engine, number of frames, first-audio time."""
        asked, around = work.message, self._around
        subject = around.bus.subjects.voice(asked.session, asked.turn, asked.phrase)
        speech = Speech(text=speakable(asked.text, asked.language), language=asked.language, speed=around.speed)
        engine, sequence, first_audio_s = "", 0, 0.0
        # An engine that took its process down would do so again, so a second attempt begins with the next one.
        said = around.speaker.say(speech, avoid_first=work.attempt > 1)
        async with contextlib.aclosing(said) as pieces:
            async for voice, pcm in pieces:
                if self._fences.is_stale(asked):
                    return engine, sequence, first_audio_s
                if sequence == 0:
                    engine, first_audio_s = voice.engine, time.monotonic() - claimed_at
                await around.bus.publish_frame(subject, _frame(work, sequence, pcm, Flag.NONE))
                sequence += 1
        await around.bus.publish_frame(subject, _frame(work, sequence, b"", Flag.END))
        return engine, sequence, first_audio_s


class _Fence(TypedDict):
    session: str
    epoch: int
    turn: int
    revision: int
    attempt: int


def _fence(work: Work[SynthesizePhrase]) -> _Fence:
    asked = work.message
    return _Fence(
        session=asked.session, epoch=asked.epoch, turn=asked.turn, revision=asked.revision, attempt=work.attempt
    )


def _frame(work: Work[SynthesizePhrase], sequence: int, pcm: bytes, flags: Flag) -> Frame:
    return Frame(
        sequence=sequence,
        media_samples=sequence * FRAME_SAMPLES,
        pcm=pcm,
        epoch=work.message.epoch,
        revision=work.message.revision,
        attempt=work.attempt,
        flags=flags,
    )


async def _stay_claimed(work: Work[SynthesizePhrase]) -> None:
    while True:
        await asyncio.sleep(_IN_PROGRESS_S)
        with contextlib.suppress(BusUnavailableError):
            await work.in_progress()
