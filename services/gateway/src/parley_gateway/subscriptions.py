"""What a session hears on the bus: transcripts, replies, their sound, and questions for frames that somebody missed.

Run by `sessions`, one per session. What others said while this process, or the broker, was away is read afterwards. Not
here: what any of it means (`turns`).
"""

import asyncio
from typing import Final

from parley_contract.messages import CandidateTranscript, PartialTranscript, ReplyDelta, ReplyStarted, ResendFrames
from parley_contract.streams import layout
from parley_contract.subjects import ANY, turn_and_phrase
from parley_gateway import cues
from parley_gateway.ears import SessionEars
from parley_gateway.turn_keeping import TurnKeeping
from parley_runtime.bus import Bus
from parley_runtime.tails import tails_after_reconnects

_SUBSCRIPTIONS: Final = 2


class Subscriptions:
    """Those of one session."""

    def __init__(self, bus: Bus, assistant: str, session: str, ears: SessionEars, turns: TurnKeeping) -> None:
        """Hear nothing before `run`.

        Args:
            bus: of the gateway.
            assistant: whose streams are read.
            session: its id.
            ears: asked for frames that somebody missed, and told the words of a pause.
            turns: given everything else.
        """
        self._bus = bus
        self._assistant = assistant
        self._session = session
        self._ears = ears
        self._turns = turns
        self._begun = asyncio.Semaphore(0)

    async def begun(self) -> None:
        """Wait until `run` has subscribed to all that concerns the session."""
        for _ in range(_SUBSCRIPTIONS):
            await self._begun.acquire()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._follow_messages(), self._follow_voice(), self._send_again(), self._catch_up()):
                tasks.create_task(work)

    async def _follow_messages(self) -> None:
        subjects, session = self._bus.subjects, self._session
        async with self._bus.messages(
            subjects.transcript(session, ANY),
            subjects.reply(session, ANY),
            subjects.phrase_outcome(session, ANY, ANY),
            subjects.resend(session),
        ) as messages:
            self._begun.release()
            async for received in messages:
                match received.message:
                    case ResendFrames() as asked:
                        self._ears.send_again(asked)
                        continue
                    case CandidateTranscript() as candidate:
                        self._ears.read(candidate)
                    case ReplyStarted(turn=turn):
                        self._turns.reply_began(turn)
                    case _:
                        pass
                self._turns.decide(received.message)

    async def _follow_voice(self) -> None:
        async with self._bus.frames(self._bus.subjects.voice(self._session, ANY, ANY)) as frames:
            self._begun.release()
            async for subject, frame in frames:
                if (of := turn_and_phrase(subject)) is not None:
                    self._turns.decide(cues.FrameArrived(*of, frame))

    async def _send_again(self) -> None:
        """When the broker comes back its memory may be gone: send what is still being transcribed again."""
        while True:
            await self._bus.reconnected()
            self._ears.send_all_again()

    async def _catch_up(self) -> None:
        """Take in what others recorded before this process listened again; a partial or a delta is said once."""
        async for tail in tails_after_reconnects(self._bus, layout(self._assistant).events, self._session):
            for received in tail:
                if not isinstance(received.message, PartialTranscript | ReplyDelta):
                    self._turns.decide(received.message)
