"""The gateway's part towards asr, on any bus: work items, frames in real time, and frames again when asked for.

For tests of the asr service. It hears nothing by itself: what is an utterance, and where it ends, is the test's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from parley_contract.frames import FRAME_MS, Frame
from parley_contract.messages import ResendFrames, SegmentEnded, SpeechFields, TranscribeUtterance, UtteranceEnded
from parley_contract.subjects import ANY
from parley_runtime.bus import Bus
from parley_runtime.telemetry import Carrier

FRAME_S: Final = FRAME_MS / 1000


class Microphone:
    """One session's speaker."""

    def __init__(self, bus: Bus, *, session: str = "s1", answers: bool = True) -> None:
        """Speak as the gateway whose `bus` this is; with `answers` False it has forgotten every frame."""
        self.asked: list[ResendFrames] = []
        """What asr asked for again."""
        self._bus = bus
        self._session = session
        self._answers = answers
        self._known: dict[str, list[Frame]] = {}

    async def begin(
        self, utterance: str, *, life_s: float = 120.0, headers: Carrier | None = None
    ) -> TranscribeUtterance:
        """Say that somebody began to speak."""
        work = TranscribeUtterance(**self._about(utterance), life_s=life_s)
        subject = self._bus.subjects.utterance_work(self._session, utterance)
        await self._bus.record(subject, work, message_id=f"{self._session}.{utterance}.work", headers=headers)
        return work

    async def send(
        self, utterance: str, frames: Sequence[Frame], *, every_s: float = FRAME_S, lost: Sequence[int] = ()
    ) -> None:
        """Publish frames at a pace; those of the sequences in `lost` are only known here."""
        self._known.setdefault(utterance, []).extend(frames)
        for frame in frames:
            if frame.sequence not in lost:
                await self._bus.publish_frame(self._bus.subjects.audio(self._session, utterance), frame)
            if every_s:
                await asyncio.sleep(every_s)

    async def pause(self, utterance: str, voiced_seq: int) -> None:
        """Say that nothing was voiced after that frame, so far."""
        paused = SegmentEnded(**self._about(utterance), last_seq=voiced_seq)
        await self._bus.publish(self._bus.subjects.speech(self._session, utterance), paused)

    async def end(self, utterance: str, voiced_seq: int) -> None:
        """Say that it is over, and that this was its last voiced frame."""
        known = self._known.get(utterance, [])
        last_seq = max((frame.sequence for frame in known if not frame.is_end), default=-1)
        ended = UtteranceEnded(**self._about(utterance), last_seq=last_seq, voiced_seq=voiced_seq, reason="endpoint")
        await self._bus.publish(self._bus.subjects.speech(self._session, utterance), ended)

    async def say(self, utterance: str, frames: Sequence[Frame], *, every_s: float = FRAME_S) -> None:
        """Begin an utterance and send all of it."""
        await self.begin(utterance)
        await self.send(utterance, frames, every_s=every_s)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear questions for frames while the block lasts, and answer them."""
        async with self._bus.messages(self._bus.subjects.resend(ANY)) as messages, asyncio.TaskGroup() as tasks:

            async def answer() -> None:
                async for received in messages:
                    if isinstance(received.message, ResendFrames):
                        await self._answer(received.message)

            answering = tasks.create_task(answer())
            try:
                yield
            finally:
                answering.cancel()

    def _about(self, utterance: str) -> SpeechFields:
        return SpeechFields(session=self._session, epoch=1, turn=1, utterance=utterance, speaker="anna", revision=0)

    async def _answer(self, asked: ResendFrames) -> None:
        self.asked.append(asked)
        last = float("inf") if asked.to_seq is None else asked.to_seq
        for frame in self._known.get(asked.utterance, []) if self._answers else []:
            if asked.from_seq <= frame.sequence <= last:
                await self._bus.publish_frame(self._bus.subjects.audio(self._session, asked.utterance), frame)
