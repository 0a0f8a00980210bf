"""One utterance from its first frame to its final transcript: the side of `utterances` that does things.

`worker` makes one per claimed work item and runs it. Subscribes to live frames, then replays the stored ones, so that
nothing falls between; feeds the reducer and carries out its effects. Not here: claiming, acknowledging and recording
the outcome (`worker`), what to wait for (`utterances`), what was said (`hearing`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, TypeVar

import msgspec
import structlog

from parley_asr.decoder import Clock, Decoder, Priority
from parley_asr.engines import Decoded, DecodeFailedError, Decoding, Samples
from parley_asr.frames_in import Taken
from parley_asr.hearing import ENOUGH_SPEECH_S, Hearing, Listening, Understood
from parley_asr.utterances import (
    FRAMES_PER_S,
    AskAgain,
    DecodeCandidate,
    DecodeFinal,
    DecodePartial,
    Ending,
    GiveUp,
    Patience,
    ShedPartial,
    TakeCandidate,
    Utterance,
)
from parley_asr.windows import speech_s
from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.frames import RATE_HZ, Frame
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    PartialTranscript,
    ResendFrames,
    SegmentEnded,
    SpeechMessage,
    TranscribeUtterance,
    UtteranceEnded,
)
from parley_contract.streams import Layout
from parley_runtime.bus import Bus
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

M = TypeVar("M", bound=SpeechMessage)

_SESSIONS: Final = 256
_SHORTEST_WAIT_S: Final = 0.001
"""A timer may fire early by the loop's clock resolution, and must not be set again and again for the rest."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every transcription of this process shares."""

    bus: Bus
    layout: Layout
    decoder: Decoder
    telemetry: Telemetry
    listening: Listening
    patience: Patience
    clock: Clock
    decodes_in_silence: bool = False
    """Whether a pause is taken for the end until it is known."""
    languages: dict[str, str] = msgspec.field(default_factory=dict)
    """What was last detected from enough speech, by session; the latest sessions alone."""


class Transcription:
    """One claimed utterance."""

    def __init__(self, asked: TranscribeUtterance, *, attempt: int, surroundings: Surroundings) -> None:
        """Begin with nothing heard; `attempt` marks all that is said about it."""
        around = surroundings
        now = around.clock()
        self._around = around
        self._asked = asked
        self._attempt = attempt
        self.deadline: Final = now + asked.life_s
        """When an outcome is of no use any more, on this process's monotonic clock: wall clocks jump."""
        self._utterance = Utterance(epoch=asked.epoch, deadline=self.deadline, patience=around.patience, now=now)
        self._hearing = Hearing(around.listening, likely=around.languages.get(asked.session, ""))
        self._news = asyncio.Event()
        self._partials = 0
        self._decode_s = 0.0
        self._refining: asyncio.Task[None] | None = None
        self._candidate: asyncio.Task[Understood | None] | None = None

    async def run(self) -> FinalTranscript:
        """Follow the utterance to its end and return its outcome, whatever that is.

        Raises:
            DecodeFailedError: the final decode broke; another attempt may do better.
            BusUnavailableError: the broker went away before the frames could be followed.
        """
        subject = self._around.bus.subjects.audio(self._asked.session, self._asked.utterance)
        with self._around.telemetry.span(
            words.TRANSCRIPTION_FRAMES,
            attributes={words.CONFIGURED_MS: round(1000 * self._around.patience.frames_wait_s)},
        ):
            async with self._around.bus.frames(subject) as live, asyncio.TaskGroup() as tasks:
                await self._replay(subject)
                following = [tasks.create_task(self._follow(live))]
                if self._around.decodes_in_silence:
                    following.append(tasks.create_task(self._listen()))
                ending = await self._until_the_end(tasks)
                for task in following:
                    task.cancel()
                understood = await self._candidate if self._candidate and isinstance(ending, TakeCandidate) else None
        match ending:
            case TakeCandidate() if understood is not None and understood.verdict == "speech":
                return self._understood(understood, audio_s=self._utterance.frames.in_order / FRAMES_PER_S)
            case TakeCandidate():
                return await self._final(0, "")
            case DecodeFinal(missing, note):
                return await self._final(missing, note)
            case GiveUp(reason):
                return self.failed(reason)

    def failed(self, reason: str) -> FinalTranscript:
        """Make the outcome of an utterance that got no transcript."""
        return self._outcome("failed", reason=reason)

    async def _replay(self, subject: str) -> None:
        """Take the frames that were stored before this worker listened; without them the gateway is asked."""
        try:
            frames = await self._around.bus.stored_frames(self._around.layout.audio_in, subject)
        except BusUnavailableError as error:
            log.warning("no stored frames, asking the gateway instead", utterance=self._asked.utterance, why=str(error))
            return
        for frame in frames:
            self._take(frame)

    async def _follow(self, live: AsyncIterator[tuple[str, Frame]]) -> None:
        async for _, frame in live:
            self._take(frame)
            self._news.set()

    async def _listen(self) -> None:
        """Take in what the gateway says of pauses and of the end; without it there are no candidates."""
        subject = self._around.bus.subjects.speech(self._asked.session, self._asked.utterance)
        with contextlib.suppress(BusUnavailableError):
            async with self._around.bus.messages(subject) as speech:
                async for received in speech:
                    match received.message:
                        case SegmentEnded(epoch=self._asked.epoch, last_seq=last_seq):
                            self._utterance.paused(last_seq)
                        case UtteranceEnded(epoch=self._asked.epoch, voiced_seq=int(voiced_seq)):
                            self._utterance.ended(voiced_seq)
                        case _:
                            continue
                    self._news.set()

    def _take(self, frame: Frame) -> None:
        taken = self._utterance.take(frame, self._around.clock())
        if taken is Taken.NEW:
            self._around.telemetry.record(words.FRAMES, direction="in")
        else:
            self._around.telemetry.record(words.FRAMES_DROPPED, reason=taken.value)

    async def _until_the_end(self, tasks: asyncio.TaskGroup) -> Ending:
        """Do what the reducer says until it says how the utterance ends; what runs then and is no end is given up."""
        while True:
            self._news.clear()
            for effect in self._utterance.advance(self._around.clock(), is_decoder_idle=self._around.decoder.is_idle):
                match effect:
                    case AskAgain(from_seq, to_seq):
                        await self._ask_again(from_seq, to_seq)
                    case DecodePartial(frames):
                        self._refining = tasks.create_task(self._partial(frames))
                    case DecodeCandidate(frames):
                        self._give_up_decodes()
                        self._candidate = tasks.create_task(self._decode_in_silence(frames))
                    case ShedPartial():
                        self._around.telemetry.record(words.ASR_PARTIALS_SHED)
                    case TakeCandidate():
                        return effect
                    case DecodeFinal() | GiveUp():
                        self._give_up_decodes()
                        return effect
            wait_s = max(_SHORTEST_WAIT_S, self._utterance.wakes_at() - self._around.clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    def _give_up_decodes(self) -> None:
        """One at a time: they build on each other's windows."""
        for task in (self._refining, self._candidate):
            if task is not None:
                task.cancel()

    async def _ask_again(self, from_seq: int, to_seq: int | None) -> None:
        asked = self._about(ResendFrames, from_seq=from_seq, to_seq=to_seq)
        with contextlib.suppress(BusUnavailableError):
            await self._around.bus.publish(self._around.bus.subjects.resend(self._asked.session), asked)

    async def _partial(self, frames: int) -> None:
        try:
            understood = await self._hearing.partial(self._utterance.frames.samples(), self._decode_partial)
            if understood.text:
                self._partials += 1
                await self._around.bus.publish(
                    self._around.bus.subjects.transcript(self._asked.session, self._asked.utterance),
                    self._about(PartialTranscript, number=self._partials, text=understood.text, covers_seq=frames - 1),
                )
        except (DecodeFailedError, BusUnavailableError) as error:
            log.warning("a partial was lost", utterance=self._asked.utterance, error=type(error).__name__)
        finally:
            self._utterance.partial_done()

    async def _decode_in_silence(self, frames: int) -> Understood | None:
        """Understand what was said so far as if it were all, and say so; None if that broke."""
        samples, understood = self._utterance.frames.samples(), None
        try:
            understood = await self._hearing.final(samples, self._decode_candidate)
            self._remember(understood, samples)
            if understood.verdict == "speech":
                await self._offer(understood, covers_seq=frames - 1)
        except DecodeFailedError as error:
            log.warning("a candidate was lost", utterance=self._asked.utterance, error=type(error).__name__)
        finally:
            heard_nothing = understood is not None and understood.verdict == "silence"
            self._utterance.candidate_done(frames, heard_nothing=heard_nothing)
        self._news.set()
        return understood

    async def _offer(self, understood: Understood, *, covers_seq: int) -> None:
        subject = self._around.bus.subjects.transcript(self._asked.session, self._asked.utterance)
        candidate = self._about(
            CandidateTranscript, text=understood.text, language=understood.language, covers_seq=covers_seq
        )
        with contextlib.suppress(BusUnavailableError):
            await self._around.bus.publish(subject, candidate)

    async def _final(self, missing: int, note: str) -> FinalTranscript:
        samples = self._utterance.samples()
        try:
            async with asyncio.timeout(self.deadline - self._around.clock()):
                understood = await self._hearing.final(samples, self._decode_final)
        except TimeoutError:
            return self.failed("the deadline passed before the decoder was done")
        self._remember(understood, samples)
        return self._understood(understood, audio_s=len(samples) / RATE_HZ, missing=missing, note=note)

    def _remember(self, understood: Understood, samples: Samples) -> None:
        if not understood.language or speech_s(samples) < ENOUGH_SPEECH_S:
            return
        languages = self._around.languages
        languages.pop(self._asked.session, None)
        languages[self._asked.session] = understood.language
        if len(languages) > _SESSIONS:
            del languages[next(iter(languages))]

    def _understood(
        self, understood: Understood, *, audio_s: float, missing: int = 0, note: str = ""
    ) -> FinalTranscript:
        if understood.verdict == "looping":
            return self._outcome("failed", reason="the decoder repeated itself and nothing else")
        return self._outcome(
            understood.verdict,
            text=understood.text,
            language=understood.language,
            reason=note,
            missing_frames=missing,
            audio_s=audio_s,
            no_speech_prob=understood.no_speech_prob,
        )

    async def _decode_partial(self, samples: Samples, how: Decoding) -> Decoded:
        return (await self._around.decoder.decode(samples, how, priority=Priority.PARTIAL)).decoded

    async def _decode_candidate(self, samples: Samples, how: Decoding) -> Decoded:
        return await self._decode(samples, how, Priority.CANDIDATE)

    async def _decode_final(self, samples: Samples, how: Decoding) -> Decoded:
        return await self._decode(samples, how, Priority.FINAL)

    async def _decode(self, samples: Samples, how: Decoding, priority: Priority) -> Decoded:
        timed = await self._around.decoder.decode(samples, how, priority=priority)
        self._decode_s += timed.ended_at - timed.started_at
        return timed.decoded

    def _outcome(
        self,
        outcome: Literal["speech", "silence", "failed"],
        *,
        audio_s: float = 0.0,
        **fields: Any,  # noqa: ANN401
    ) -> FinalTranscript:
        frames = self._utterance.frames
        return self._about(
            FinalTranscript,
            outcome=outcome,
            last_seq=frames.known - 1 if frames.end_seq is None else frames.end_seq - 1,
            audio_s=round(audio_s, 3),
            decode_s=round(self._decode_s, 4),
            **fields,
        )

    def _about(self, kind: type[M], **fields: Any) -> M:  # noqa: ANN401 - the fields are the message's own
        """Make a message about this utterance."""
        asked = self._asked
        return kind(
            session=asked.session,
            epoch=asked.epoch,
            attempt=self._attempt,
            turn=asked.turn,
            revision=asked.revision,
            utterance=asked.utterance,
            speaker=asked.speaker,
            **fields,
        )
