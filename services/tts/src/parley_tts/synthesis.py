"""One attempt at one phrase: its frames published in order, and what is to be said about it.

`worker` makes one per claim. Frames leave as fast as they are made: pacing is the gateway's. Not here: claims and
acknowledgements, engines and their thread (`speaking`), what makes text speakable (`speakable`).
"""

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from parley_contract import telemetry as words
from parley_contract.errors import PermanentError
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ, Flag, Frame
from parley_contract.messages import PhraseFailed, PhraseSynthesized, SynthesizePhrase, TurnFields
from parley_contract.streams import Layout
from parley_runtime.bus import Bus, Work
from parley_runtime.telemetry import Span, Telemetry
from parley_tts.engines import Speech
from parley_tts.fences import Fences
from parley_tts.speakable import speakable
from parley_tts.speaking import Speaker

log: Final = structlog.get_logger()

_HEADER_MASK: Final = 0xFFFF
"""Epoch, revision and attempt have 16 bits in a frame."""


class Surroundings(NamedTuple):
    """What every synthesis uses."""

    bus: Bus
    layout: Layout
    speaker: Speaker
    telemetry: Telemetry
    speed: float
    capture_text: bool
    clock: Callable[[], float]
    """Monotonic seconds."""
    wall_clock: Callable[[], float]
    """Unix seconds."""


Outcome = PhraseSynthesized | PhraseFailed


class _Fence(TurnFields):
    attempt: int


class Synthesis:
    """One attempt."""

    def __init__(self, work: Work[SynthesizePhrase], fences: Fences, surroundings: Surroundings) -> None:
        """Prepare; nothing is said before `run`."""
        self._asked: Final = work.message
        self._attempt = work.attempt
        # Whoever died of the attempts before may have died of the first engine, whose code is not Python's.
        self._avoids_first = work.last
        self._fences = fences
        self._around = surroundings
        self._claimed_at = surroundings.clock()
        self._subject = surroundings.bus.subjects.voice(work.message.session, work.message.turn, work.message.phrase)
        self._sequence = 0
        self._samples = 0
        self._engine = "none"
        self._first_audio_s = 0.0

    async def run(self, span: Span) -> Outcome | None:
        """Speak and say how it went; None when the turn was interrupted, so that nobody waits for an outcome.

        Raises:
            RetryableError: an engine broke off in the middle, or the broker is away; another attempt may succeed.
        """
        text = speakable(self._asked.text, self._asked.language)
        if self._around.capture_text:
            span.set_attribute(f"{words.PRIVATE}phrase", text)
        if not text:
            # The agent counts on a phrase that was played or failed, and this one will never be played.
            return self._failed("silent", "there is nothing to speak in it")
        try:
            was_interrupted = await self._publish(
                Speech(text=text, language=self._asked.language, speed=self._around.speed)
            )
        except PermanentError as error:
            log.error("a phrase was not spoken", phrase=self._asked.phrase, reason=str(error))
            return self._failed("failed", str(error))
        if was_interrupted and not self._sequence:
            self._around.telemetry.record(words.TTS_PHRASES, engine="none", outcome="stale")
            return None
        synthesis_s = self._around.clock() - self._claimed_at
        self._account(span, synthesis_s, "cut" if was_interrupted else "spoken")
        if was_interrupted:
            return None
        return PhraseSynthesized(
            **self._fence,
            phrase=self._asked.phrase,
            frames=self._sequence,
            engine=self._engine,
            first_audio_s=self._first_audio_s,
            synthesis_s=synthesis_s,
        )

    def given_up(self, reason: str) -> PhraseFailed:
        """Return the outcome of a phrase that will not be tried again."""
        return self._failed("failed", reason)

    async def _publish(self, speech: Speech) -> bool:
        """Publish frames until all is said; return whether the turn was interrupted before that."""
        said = self._around.speaker.say(speech, avoid_first=self._avoids_first)
        async with contextlib.aclosing(said) as pieces:
            async for voice, pcm in pieces:
                if self._fences.is_stale(self._asked):
                    return True
                if self._sequence == 0:
                    self._engine, self._first_audio_s = voice.engine, self._around.clock() - self._claimed_at
                await self._send(pcm, Flag.NONE)
                self._sequence += 1
                self._samples += len(pcm) // 2
        await self._send(b"", Flag.END)
        return False

    async def _send(self, pcm: bytes, flags: Flag) -> None:
        asked = self._asked
        frame = Frame(
            sequence=self._sequence,
            media_samples=self._sequence * FRAME_SAMPLES,
            pcm=pcm,
            epoch=asked.epoch & _HEADER_MASK,
            revision=asked.revision & _HEADER_MASK,
            attempt=self._attempt & _HEADER_MASK,
            flags=flags,
        )
        await self._around.bus.publish_frame(self._subject, frame)

    def _failed(self, outcome: str, reason: str) -> PhraseFailed:
        self._around.telemetry.record(words.TTS_PHRASES, engine=self._engine, outcome=outcome)
        return PhraseFailed(**self._fence, phrase=self._asked.phrase, reason=reason)

    def _account(self, span: Span, synthesis_s: float, outcome: str) -> None:
        """Leave span attributes, metrics and one log line, without the text."""
        telemetry, audio_s = self._around.telemetry, self._samples / RATE_HZ
        span.set_attribute(words.ENGINE, self._engine)
        span.set_attribute(words.AUDIO_S, audio_s)
        span.set_attribute(words.FIRST_AUDIO_S, self._first_audio_s)
        span.set_attribute(words.RTF, synthesis_s / audio_s if audio_s else 0.0)
        telemetry.record(words.TTS_FIRST_AUDIO, self._first_audio_s, engine=self._engine)
        telemetry.record(words.TTS_SYNTHESIS, synthesis_s, engine=self._engine)
        telemetry.record(words.TTS_PHRASES, engine=self._engine, outcome=outcome)
        log.info(
            "phrase spoken",
            session=self._asked.session,
            turn=self._asked.turn,
            phrase=self._asked.phrase,
            attempt=self._attempt,
            engine=self._engine,
            outcome=outcome,
            audio_s=round(audio_s, 3),
            first_audio_s=round(self._first_audio_s, 3),
            synthesis_s=round(synthesis_s, 3),
        )

    @property
    def _fence(self) -> _Fence:
        asked = self._asked
        return _Fence(
            session=asked.session, epoch=asked.epoch, turn=asked.turn, revision=asked.revision, attempt=self._attempt
        )
