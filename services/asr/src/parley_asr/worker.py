"""An utterance becomes a transcript: claims utterances from the work queue and gives each exactly one outcome.

The main loop of the asr service, run by `app`. Several utterances are followed at once (`transcription`), their
decodes take turns (`decoder`). A claim is renewed while its worker lives, so that a dead one's utterances come to
another within `ack_wait`; the outcome is recorded under one id before the claim is acknowledged, so that whoever is
second changes nothing. Not here: frames, waiting and decoding.
"""

import asyncio
import contextlib
import traceback
from typing import Final

import structlog

from parley_asr.engines import DecodeFailedError
from parley_asr.transcription import Surroundings, Transcription
from parley_contract import telemetry as words
from parley_contract.errors import BusUnavailableError
from parley_contract.messages import FinalTranscript, TranscribeUtterance
from parley_runtime.bus import Work
from parley_runtime.claims import BROKER_PAUSE_S, Claims, hand_back, held
from parley_runtime.http import Health
from parley_runtime.telemetry import Attributes, Span

log: Final = structlog.get_logger()

_RETRY_DELAY_S: Final = 0.3
"""Before a broken decode is tried again, here or elsewhere."""


class Worker:
    """Claims utterances while it runs."""

    def __init__(
        self, surroundings: Surroundings, health: Health, *, max_utterances: int, drain_s: float, capture_text: bool
    ) -> None:
        """Wire up; nothing is claimed before `run`."""
        self._around = surroundings
        self._claims = Claims(surroundings.bus, surroundings.layout.utterances, TranscribeUtterance, health)
        self._max_utterances = max_utterances
        self._drain_s = drain_s
        self._capture_text = capture_text
        self._claimed: set[asyncio.Task[None]] = set()

    @property
    def utterances(self) -> int:
        """How many are followed now."""
        return len(self._claimed)

    async def run(self, stopping: asyncio.Event) -> None:
        """Claim and transcribe until `stopping`; then finish what is claimed, and hand back what takes too long."""
        async with asyncio.TaskGroup() as tasks:
            stopped = tasks.create_task(stopping.wait())
            while not stopping.is_set():
                if len(self._claimed) >= self._max_utterances:
                    await asyncio.wait({stopped, *self._claimed}, return_when=asyncio.FIRST_COMPLETED)
                elif (work := await self._claims.next()) is not None:
                    if stopping.is_set():
                        await hand_back(work, delay_s=0)
                        break
                    task = tasks.create_task(self._transcribe(work))
                    self._claimed.add(task)
                    task.add_done_callback(self._claimed.discard)
            if self._claimed:
                _, late = await asyncio.wait(self._claimed, timeout=self._drain_s)
                for task in late:
                    task.cancel()

    async def _transcribe(self, work: Work[TranscribeUtterance]) -> None:
        """Keep a claim while it is worked on."""
        asked = work.message
        attributes: Attributes = {
            words.SESSION: asked.session,
            words.TURN_NUMBER: asked.turn,
            words.UTTERANCE: asked.utterance,
            words.ATTEMPT: work.attempt,
            words.REQUEST_MODEL: self._around.decoder.engine.model,
        }
        with self._around.telemetry.span(
            words.TRANSCRIPTION, parent=work.headers, kind="consumer", attributes=attributes
        ) as span:
            async with held(work):
                await self._attempt(work, span)

    async def _attempt(self, work: Work[TranscribeUtterance], span: Span) -> None:
        """Bring one claim to its end: an outcome recorded and acknowledged, or the claim handed back."""
        utterance = work.message.utterance
        try:
            transcription = Transcription(work.message, attempt=work.attempt, surroundings=self._around)
            final = await self._outcome(work, transcription)
            await self._settle(work, final, deadline=transcription.deadline)
        except asyncio.CancelledError:
            await hand_back(work, delay_s=0)
            raise
        except (DecodeFailedError, BusUnavailableError) as error:
            log.warning("will be tried again", utterance=utterance, attempt=work.attempt, why=str(error))
            await hand_back(work, delay_s=_RETRY_DELAY_S)
        except Exception as error:  # noqa: BLE001 - one utterance must not end the others
            # Where it happened, not what: an exception's message may hold what was said.
            where = traceback.format_tb(error.__traceback__)[-1]
            log.error("a transcription broke", utterance=utterance, error=type(error).__name__, where=where)
            await hand_back(work, delay_s=_RETRY_DELAY_S)
        else:
            self._account(span, final)

    async def _outcome(self, work: Work[TranscribeUtterance], transcription: Transcription) -> FinalTranscript:
        if work.last:
            # Whatever ended the earlier attempts may end this process too; somebody waits for the outcome.
            return transcription.failed(f"given up after {work.attempt - 1} attempts")
        return await transcription.run()

    async def _settle(self, work: Work[TranscribeUtterance], final: FinalTranscript, *, deadline: float) -> None:
        """Record the outcome, then acknowledge; a broker that is away is waited for until the outcome is stale."""
        subject = self._around.bus.subjects.transcript(final.session, final.utterance)
        message_id = f"{final.session}.{final.utterance}.final"
        while True:
            try:
                await self._around.bus.record(subject, final, message_id=message_id)
                break
            except BusUnavailableError:
                if self._around.clock() > deadline:
                    raise
                await asyncio.sleep(BROKER_PAUSE_S)
        with contextlib.suppress(BusUnavailableError):
            # Unacknowledged it comes again, and its outcome is stored already.
            await work.done()

    def _account(self, span: Span, final: FinalTranscript) -> None:
        """Leave span attributes, metrics and one log line; the text only where it was asked for."""
        telemetry = self._around.telemetry
        rtf = final.decode_s / final.audio_s if final.audio_s else 0.0
        telemetry.record(words.ASR_UTTERANCES, outcome=final.outcome)
        telemetry.record(words.ASR_AUDIO, final.audio_s)
        span.set_attribute(words.AUDIO_S, final.audio_s)
        span.set_attribute(words.RTF, rtf)
        if self._capture_text:
            span.set_attribute(f"{words.PRIVATE}transcript", final.text)
        log.info(
            "transcribed",
            session=final.session,
            turn=final.turn,
            utterance=final.utterance,
            attempt=final.attempt,
            outcome=final.outcome,
            reason=final.reason,
            audio_s=final.audio_s,
            decode_s=final.decode_s,
            rtf=round(rtf, 3),
            missing_frames=final.missing_frames,
        )
