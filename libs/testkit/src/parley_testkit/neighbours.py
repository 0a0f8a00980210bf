"""The other three services, played by small actors over a real bus: for tests of the gateway, and of its overhead.

They keep to the contract and do nothing of their own: asr understands how many frames it got, the agent answers with
prepared phrases, tts speaks a tone. Each remembers what it was told. Not for anything that is about hearing,
thinking or speaking.
"""

import asyncio
import contextlib
import functools
import math
import secrets
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

from parley_contract.errors import BusUnavailableError
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ, Flag, Frame
from parley_contract.messages import (
    CandidateTranscript,
    CloseSession,
    FinalTranscript,
    FindSessions,
    FoundSession,
    InterruptTurn,
    Message,
    OpenSession,
    PhraseReady,
    PhraseSynthesized,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    ResendFrames,
    ResumeSession,
    SegmentEnded,
    SessionOpened,
    SessionRefused,
    SessionsFound,
    SpeechFields,
    SpeechMessage,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnInterrupted,
    UtteranceEnded,
)
from parley_contract.streams import Durable, Layout
from parley_contract.subjects import ANY
from parley_runtime.bus import Bus, Received, Work
from parley_runtime.telemetry import Carrier
from parley_testkit.nats_server import NatsServer

_QUIET_S: Final = 0.1
"""Without a frame for so long, asr asks for what it lacks."""
_CLAIM_S: Final = 5.0


def tone(frames: int) -> list[bytes]:
    """A loud 440 Hz tone as PCM frames."""
    return list(_tone(frames))


@functools.cache
def _tone(frames: int) -> tuple[bytes, ...]:
    """Made once: fifty listeners to ten seconds each would wait for whoever computes their sines."""
    samples = [round(9000 * math.sin(2 * math.pi * 440 * n / RATE_HZ)) for n in range(frames * FRAME_SAMPLES)]
    step = FRAME_SAMPLES
    return tuple(struct.pack(f"<{step}h", *samples[n * step : (n + 1) * step]) for n in range(frames))


M = TypeVar("M", bound=Message)


async def _claimed(bus: Bus, durable: Durable, kind: type[M]) -> Work[M] | None:
    """Claim; a broker that is away is waited for."""
    try:
        return await bus.claim(durable, kind, timeout_s=_CLAIM_S)
    except BusUnavailableError:
        await asyncio.sleep(_QUIET_S)
        return None


class AsrActor:
    """Claims utterances, collects their frames, answers with their number."""

    text = "{frames} frames"

    def __init__(self, bus: Bus, layout: Layout) -> None:
        self.frames: dict[str, dict[int, Frame]] = defaultdict(dict)
        """What it got of each utterance, by sequence; the key is `<session>.<utterance>`."""
        self.headers: dict[str, Carrier] = {}
        """Of each work item."""
        self.lose: set[int] = set()
        """Sequences that get lost on their first way."""
        self._bus = bus
        self._layout = layout

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                work = await _claimed(self._bus, self._layout.utterances, TranscribeUtterance)
                if work is not None:
                    self.headers[_name(work.message)] = work.headers
                    await work.done()
                    tasks.create_task(self._transcribe(work.message))

    async def suppose(self, paused: SegmentEnded, text: str) -> None:
        """Say what was said up to a pause, as if it were all."""
        candidate = CandidateTranscript(**_speech(paused), text=text, covers_seq=paused.last_seq + 5)
        await self._bus.publish(self._bus.subjects.transcript(paused.session, paused.utterance), candidate)

    async def _transcribe(self, asked: TranscribeUtterance) -> None:
        got, more = self.frames[_name(asked)], asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(self._collect(asked, got, more))
            while not _is_whole(got):
                more.clear()
                try:
                    async with asyncio.timeout(_QUIET_S):
                        await more.wait()
                except TimeoutError:
                    await self._ask_again(asked, min(set(range(len(got) + 1)) - set(got)))
            collecting.cancel()
        text = self.text.format(frames=len(got) - 1)
        final = FinalTranscript(**_speech(asked), outcome="speech", text=text, last_seq=len(got) - 2)
        await self._bus.record(
            self._bus.subjects.transcript(asked.session, asked.utterance),
            final,
            message_id=f"{asked.session}-{asked.utterance}-final",
            headers=self.headers[_name(asked)],
        )

    async def _collect(self, asked: TranscribeUtterance, got: dict[int, Frame], more: asyncio.Event) -> None:
        subject, lost = self._bus.subjects.audio(asked.session, asked.utterance), set(self.lose)
        async with self._bus.frames(subject) as live:
            for frame in await self._bus.stored_frames(self._layout.audio_in, subject):
                _keep(frame, got, lost)
            more.set()
            async for _, frame in live:
                _keep(frame, got, lost)
                more.set()

    async def _ask_again(self, asked: TranscribeUtterance, first: int) -> None:
        again = ResendFrames(**_speech(asked), from_seq=first)
        await self._bus.publish(self._bus.subjects.resend(asked.session), again)


def _speech(about: SpeechMessage) -> SpeechFields:
    return SpeechFields(
        session=about.session,
        epoch=about.epoch,
        turn=about.turn,
        revision=about.revision,
        utterance=about.utterance,
        speaker=about.speaker,
    )


def _name(asked: TranscribeUtterance) -> str:
    return f"{asked.session}.{asked.utterance}"


def _keep(frame: Frame, got: dict[int, Frame], lost: set[int]) -> None:
    if frame.sequence in lost:
        lost.discard(frame.sequence)
    else:
        got[frame.sequence] = frame


def _is_whole(got: dict[int, Frame]) -> bool:
    return bool(got) and max(got) == len(got) - 1 and got[max(got)].is_end


class AgentActor:
    """Grants sessions, and answers each turn with the phrases it was given."""

    phrases: Sequence[str] | None = ("Yes.", "I heard you.")
    """None for an agent that says nothing at all, as one does whose model hangs."""
    refuses = False

    def __init__(self, bus: Bus) -> None:
        self.heard: list[Message] = []
        """Every message of the gateway and of asr, in order of arrival."""
        self._bus = bus
        self._sessions: dict[str, tuple[str, int, int]] = {}
        self._places: dict[str, str] = {}
        self._ended: dict[str, set[str]] = defaultdict(set)

    def of(self, *kinds: type[Message]) -> list[Message]:
        """Return what it heard of some kinds."""
        return [message for message in self.heard if isinstance(message, kinds)]

    async def run(self) -> None:
        """Work until cancelled."""
        subjects = self._bus.subjects
        async with self._bus.messages(
            subjects.open_session(),
            subjects.speech(ANY, ANY),
            subjects.transcript(ANY, ANY),
            subjects.playback(ANY, ANY),
            subjects.turn(ANY, ANY),
            subjects.heartbeat(ANY),
            subjects.interrupt(ANY),
            subjects.door(),
        ) as messages:
            async for received in messages:
                await self._take(received)

    async def _take(self, received: Received) -> None:
        message = received.message
        self.heard.append(message)
        match message:
            case OpenSession() | ResumeSession():
                await self._bus.answer(received, self._grant(message))
            case FindSessions():
                closed = {gone.session for gone in self.heard if isinstance(gone, CloseSession)}
                found = (
                    FoundSession(session=session, channel=self._places[session])
                    for session, (token_hash, _, _) in self._sessions.items()
                    if token_hash == message.token_hash and session not in closed
                )
                await self._bus.answer(received, SessionsFound(sessions=tuple(found)))
            case UtteranceEnded() | FinalTranscript():
                done = self._ended[f"{message.session}.{message.utterance}"]
                done.add(type(message).__name__)
                if len(done) == 2:  # noqa: PLR2004  # both
                    await self._reply(message, received.headers)
            case InterruptTurn():
                interrupted = TurnInterrupted(
                    session=message.session,
                    epoch=message.epoch,
                    turn=message.turn,
                    revision=message.revision + 1,
                    reason=message.reason,
                )
                subject = self._bus.subjects.reply(message.session, message.turn)
                message_id = f"{message.session}-{message.turn}-interrupted"
                await self._bus.record(subject, interrupted, message_id=message_id)
            case _:
                pass

    def _grant(self, asked: OpenSession | ResumeSession) -> Message:
        if self.refuses:
            return SessionRefused(code="not_ready", sentence="The model is not loaded yet.")
        if isinstance(asked, OpenSession):
            session = secrets.token_hex(6)
            self._sessions[session] = asked.token_hash, 1, 1
            self._places[session] = asked.channel
            return SessionOpened(session=session, epoch=1, next_turn=1)
        known = self._sessions.get(asked.session)
        if known is None:
            return SessionRefused(code="unknown_session", sentence="There is no such session.")
        if known[0] != asked.token_hash:
            return SessionRefused(code="wrong_token", sentence="The token is another session's.")
        turns = [m.turn for m in self.heard if isinstance(m, UtteranceEnded) and m.session == asked.session]
        epoch, next_turn = known[1] + 1, max(turns, default=0) + 1
        self._sessions[asked.session] = asked.token_hash, epoch, next_turn
        return SessionOpened(session=asked.session, epoch=epoch, next_turn=next_turn)

    async def _reply(self, to: UtteranceEnded | FinalTranscript, headers: Carrier) -> None:
        if self.phrases is None:
            return
        bus, session, epoch, turn = self._bus, to.session, to.epoch, to.turn
        subject, name = bus.subjects.reply(session, turn), f"{session}-{epoch}-{turn}"
        started = ReplyStarted(session=session, epoch=epoch, turn=turn, utterance=to.utterance, covers_seq=to.last_seq)
        await bus.record(subject, started, message_id=f"{name}-started-{to.utterance}", headers=headers)
        for number, text in enumerate(self.phrases):
            delta = ReplyDelta(session=session, epoch=epoch, turn=turn, index=number, text=text)
            await bus.publish(subject, delta, headers=headers)
            ready = PhraseReady(session=session, epoch=epoch, turn=turn, phrase=number, text=text)
            await bus.record(subject, ready, message_id=f"{name}-phrase-{number}", headers=headers)
            work = SynthesizePhrase(
                session=session,
                epoch=epoch,
                turn=turn,
                phrase=number,
                text=text,
                language="en",
                sent_at=0.0,
            )
            work_subject = bus.subjects.phrase_work(session, turn)
            await bus.record(work_subject, work, message_id=f"{name}-work-{number}", headers=headers)
        ended = ReplyEnded(session=session, epoch=epoch, turn=turn, phrases=len(self.phrases), outcome="complete")
        await bus.record(subject, ended, message_id=f"{name}-ended", headers=headers)


class TtsActor:
    """Speaks every phrase as a tone of `frames` frames."""

    frames = 25

    def __init__(self, bus: Bus, layout: Layout) -> None:
        self._bus = bus
        self._layout = layout

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            work = await _claimed(self._bus, self._layout.phrases, SynthesizePhrase)
            if work is not None:
                await self._speak(work.message, work.attempt)
                await work.done()

    async def _speak(self, asked: SynthesizePhrase, attempt: int) -> None:
        bus = self._bus
        subject = bus.subjects.voice(asked.session, asked.turn, asked.phrase)
        for sequence, pcm in enumerate([*tone(self.frames), b""]):
            frame = Frame(
                sequence=sequence,
                media_samples=sequence * FRAME_SAMPLES,
                pcm=pcm,
                epoch=asked.epoch,
                revision=asked.revision,
                attempt=attempt,
                flags=Flag.NONE if pcm else Flag.END,
            )
            await bus.publish_frame(subject, frame)
        done = PhraseSynthesized(
            session=asked.session,
            epoch=asked.epoch,
            turn=asked.turn,
            revision=asked.revision,
            phrase=asked.phrase,
            frames=self.frames,
            engine="tone",
            first_audio_s=0.0,
            synthesis_s=0.0,
        )
        outcome = bus.subjects.phrase_outcome(asked.session, asked.turn, asked.phrase)
        await bus.record(outcome, done, message_id=f"{asked.session}-{asked.turn}-{asked.phrase}-done")


class Neighbours:
    """All three."""

    def __init__(self, asr: AsrActor, agent: AgentActor, tts: TtsActor) -> None:
        self.asr: Final = asr
        self.agent: Final = agent
        self.tts: Final = tts

    def begin_anew(self) -> None:
        """Forget what was heard and answer as at first, for the next test on the same processes."""
        self.asr.frames.clear()
        self.asr.headers.clear()
        self.asr.lose, self.asr.text = set(), AsrActor.text
        self.agent.heard.clear()
        self.agent.phrases, self.agent.refuses = AgentActor.phrases, AgentActor.refuses
        self.tts.frames = TtsActor.frames


@contextlib.asynccontextmanager
async def neighbours(nats: NatsServer) -> AsyncIterator[Neighbours]:
    """Let the three actors work on a broker whose streams are made, while the block lasts."""
    async with nats.bus("asr") as asr_bus, nats.bus("agent") as agent_bus, nats.bus("tts") as tts_bus:
        actors = Neighbours(AsrActor(asr_bus, nats.layout), AgentActor(agent_bus), TtsActor(tts_bus, nats.layout))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(actor.run()) for actor in (actors.asr, actors.agent, actors.tts)]
            try:
                yield actors
            finally:
                for task in running:
                    task.cancel()
