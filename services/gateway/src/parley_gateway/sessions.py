"""One session: carries sound, messages and time to the reducers, and what they decide to the bus and the door.

The gateway's worker, made by `admissions`, one per session; it outlives its connections. All decisions are those of
`utterances` (in `inbound`) and `turns`; here they meet the world. Every method that a door calls returns at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import structlog
from msgspec.structs import replace

from parley_contract import door as events
from parley_contract import telemetry as words
from parley_contract.endings import ending
from parley_contract.frames import Frame
from parley_contract.messages import (
    CandidateTranscript,
    CloseSession,
    Heartbeat,
    PartialTranscript,
    ReplyDelta,
    ReplyStarted,
    ResendFrames,
    SessionOpened,
    TurnReport,
    UtteranceStarted,
)
from parley_contract.streams import layout
from parley_contract.subjects import ANY, turn_and_phrase
from parley_gateway import cues, turn_events, turns
from parley_gateway.canned_voice import CannedVoice
from parley_gateway.doors import Door
from parley_gateway.gathering import Gathering
from parley_gateway.outbox import Outbox, subject_of
from parley_gateway.reports import Moments
from parley_gateway.settings import GatewaySettings
from parley_gateway.speakers import Hearing, Speakers
from parley_gateway.tracing import TurnTraces, account
from parley_gateway.turn_model import TurnJudge
from parley_gateway.turn_state import Turns, due
from parley_gateway.utterances import Ended
from parley_runtime.bus import Bus
from parley_runtime.tails import tails_after_reconnects
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

HEARTBEAT_S: Final = 5.0
"""The agent ends a session after 30 s without one, so five may be lost."""
_BUSY_HEARTBEAT_S: Final = 1.0
"""While a turn is open: another agent takes a dead one's session at the first heartbeat after its lease has run out."""
SPEAKER: Final = "user"
"""The one voice behind a web door."""
_SUBSCRIPTIONS: Final = 2
_FLUSH_S: Final = 2.0
_SHORTEST_WAIT_S: Final = 0.001
"""uvloop's timers count milliseconds: a shorter wait would come back at once and too early."""
_STOPPED_S: Final = 0.5
"""A timer that is so late was not late by itself: the process was stopped, or its machine slept."""
_CATCH_UP_S: Final = 0.1


class Surroundings(NamedTuple):
    """What every session uses."""

    bus: Bus
    telemetry: Telemetry
    settings: GatewaySettings
    gathering: Gathering[Any]
    """Where speakers are heard, by whatever detector."""
    canned: CannedVoice
    turn_judge: TurnJudge | None = None
    """Who says how finished somebody sounds; None if silence alone decides."""


class Session:
    """One stay of an assistant behind one door: with one person, or with all who are in a voice channel."""

    def __init__(self, around: Surroundings, opened: SessionOpened, secret: str) -> None:
        """Take up a session that the agent granted; `run` does the work. `secret` is what a client resumes it with."""
        settings = around.settings
        self.id: Final = opened.session
        self.secret: Final = secret
        self._around = around
        self._epoch = opened.epoch
        self._state = Turns(
            rules=settings.turn_rules,
            session=opened.session,
            epoch=opened.epoch,
            unix_offset_s=_unix_offset_s(),
            next_turn=opened.next_turn,
        )
        hearing = Hearing(around.gathering, settings.utterance_rules, around.turn_judge)
        self._speakers = Speakers(hearing, self, self._wake, epoch=opened.epoch)
        self._names: Mapping[str, str] = {}
        self._traces = TurnTraces(
            around.telemetry,
            opened.session,
            endpoint_ms=settings.endpoint_ms,
            take_up_after_s=settings.take_up_after_s,
        )
        self._outbox = Outbox(around.bus, around.telemetry)
        self._door: Door | None = None
        self._left_at = time.monotonic()
        self._frames = {"in": 0, "out": 0}
        self._awake = asyncio.Event()
        self._asleep_until = float("inf")
        self._ending: Literal["", "closed", "handed on"] = ""
        self._ended = asyncio.Event()
        self._listening = asyncio.Semaphore(0)

    async def listening(self) -> None:
        """Wait until `run` has subscribed to all that concerns the session."""
        for _ in range(_SUBSCRIPTIONS):
            await self._listening.acquire()

    # What a door does.

    def join(self, door: Door) -> None:
        """Let `door` be where this session is heard; another one that was there is closed."""
        if self._door is not None:
            self._door.close(
                events.Error(
                    code="replaced",
                    sentence="The session goes on in another connection. Do not reconnect from here.",
                    fatal=True,
                )
            )
            self._lose_listener()
        self._door = door
        self._decide(turn_events.ListenerJoined())

    def leave(self, door: Door) -> None:
        """The door's connection is gone; the session waits `resumeGraceS` for another."""
        if self._door is door:
            self._lose_listener()

    def hear(self, pcm: bytes, speaker: str = SPEAKER) -> None:
        """Take 20 ms of somebody's sound, a whole frame."""
        if self._ending and not self._speakers.are_speaking:
            return
        self._frames["in"] += 1
        self._speakers.hear(speaker, pcm)

    def know(self, names: Mapping[str, str]) -> None:
        """Learn who is there, by speaker, and how they are called; who is not among them any more has left."""
        for gone in self._names.keys() - names.keys():
            self._speakers.leave(gone, time.monotonic())
        self._names = names

    @property
    def heard(self) -> tuple[str, ...]:
        """The speakers who were heard and have not left."""
        return self._speakers.heard

    def interrupt(self) -> None:
        """Stop the reply."""
        self._decide(turn_events.ClientInterrupted())

    def position(self, at_ms: float) -> None:
        """The listener has played so much of what was sent on this connection."""
        self._decide(cues.PositionReported(at_ms))

    def close(self, door: Door) -> None:
        """The client said goodbye through `door`: end the session."""
        if self._door is door:
            self._end()

    # What happens to it.

    @property
    def is_busy(self) -> bool:
        """Whether a turn is open."""
        return bool(self._state.turns)

    @property
    def is_open(self) -> bool:
        """Whether a client may come back to it."""
        return not self._ending

    def hand_on(self, *, at_once: bool = False) -> None:
        """Let open turns end, unless it has to be `at_once`; then leave the session to another gateway process."""
        self._ending = self._ending or "handed on"
        if at_once:
            self._ended.set()
        self._wake()

    def abandon(self) -> None:
        """`run` has ended; tell a listener who is still there."""
        if self._door is not None:
            self._door.close(
                events.Error(code="internal", sentence="Something broke here. Reconnect to talk on.", fatal=True)
            )
            self._door = None

    async def run(self) -> None:
        """Work until the session is closed or handed on and its last turn is over."""
        self._around.telemetry.record(words.SESSIONS, 1)
        log.info("session opened", session=self.id, epoch=self._epoch)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._outbox.run())
                following = [
                    tasks.create_task(work)
                    for work in (
                        self._follow_messages(),
                        self._follow_voice(),
                        self._keep_time(),
                        self._live(),
                        self._mend(),
                        self._catch_up(),
                    )
                ]
                await self._ended.wait()
                for task in following:
                    task.cancel()
                self._leave_the_world()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_S):
                        await self._outbox.flush()
                sending.cancel()
        finally:
            self._around.telemetry.record(words.SESSIONS, -1)
            log.info("session left", session=self.id, why=self._ending or "failed")

    async def _follow_messages(self) -> None:
        subjects, session = self._around.bus.subjects, self.id
        async with self._around.bus.messages(
            subjects.transcript(session, ANY),
            subjects.reply(session, ANY),
            subjects.phrase_outcome(session, ANY, ANY),
            subjects.resend(session),
        ) as messages:
            self._listening.release()
            async for received in messages:
                match received.message:
                    case ResendFrames() as asked:
                        self._send_again(asked)
                        continue
                    case CandidateTranscript() as candidate:
                        self._read(candidate)
                    case ReplyStarted(turn=turn):
                        self._traces.reply_began(turn, time.monotonic())
                    case _:
                        pass
                self._decide(received.message)

    async def _follow_voice(self) -> None:
        async with self._around.bus.frames(self._around.bus.subjects.voice(self.id, ANY, ANY)) as frames:
            self._listening.release()
            async for subject, frame in frames:
                if (of := turn_and_phrase(subject)) is not None:
                    self._decide(cues.FrameArrived(*of, frame))

    async def _keep_time(self) -> None:
        """Come back whenever a reducer asked for it."""
        while True:
            self._awake.clear()
            now = time.monotonic()
            moments = [moment for moment in (due(self._state), self._speakers.due) if moment is not None]
            if self._ending and not moments and not self.is_busy:
                self._ended.set()
            self._asleep_until = min(moments, default=float("inf"))
            if self._asleep_until > now:
                with contextlib.suppress(TimeoutError):
                    wait_s = None if not moments else max(_SHORTEST_WAIT_S, self._asleep_until - now)
                    async with asyncio.timeout(wait_s):
                        await self._awake.wait()
            if time.monotonic() - self._asleep_until > _STOPPED_S:
                # This process did not run for a while; what was said meanwhile is still to be read, and is no silence.
                await asyncio.sleep(_CATCH_UP_S)
            now = time.monotonic()
            self._speakers.wait_over(now)
            if (moment := due(self._state)) is not None and now >= moment:
                self._decide(cues.TimePassed())

    async def _live(self) -> None:
        """Tell the agent that the session lives; end it when nobody came back."""
        next_at = float("-inf")
        while True:
            if self.is_busy or time.monotonic() >= next_at:
                heartbeat = Heartbeat(session=self.id, epoch=self._epoch)
                self._outbox.say(self._around.bus.subjects.heartbeat(self.id), heartbeat, {})
                next_at = time.monotonic() + HEARTBEAT_S
            self._count_frames()
            await asyncio.sleep(_BUSY_HEARTBEAT_S)
            if self._door is None and time.monotonic() - self._left_at > self._around.settings.resume_grace_s:
                self._end()

    def _count_frames(self) -> None:
        """Add what was counted since the last time to the metric: each by itself would cost more than its rest."""
        for direction, count in self._frames.items():
            if count:
                self._around.telemetry.record(words.FRAMES, count, direction=direction)
                self._frames[direction] = 0

    async def _mend(self) -> None:
        """When the broker comes back its memory may be gone: send what is still being transcribed again."""
        while True:
            await self._around.bus.reconnected()
            for utterance in self._speakers.kept:
                for frame in self._speakers.again(utterance, 0, None):
                    self.utterance_frame(utterance, frame)

    async def _catch_up(self) -> None:
        """Take in what others recorded before this process listened again; a partial or a delta is said once."""
        events = layout(self._around.settings.assistant).events
        async for tail in tails_after_reconnects(self._around.bus, events, self.id):
            for received in tail:
                if not isinstance(received.message, PartialTranscript | ReplyDelta):
                    self._decide(received.message)

    def _lose_listener(self) -> None:
        self._door = None
        self._left_at = time.monotonic()
        self._speakers.close(self._left_at)
        self._decide(turn_events.ListenerLeft())

    def _end(self) -> None:
        self._ending = "closed"
        self._ended.set()

    def _leave_the_world(self) -> None:
        """Give what is still open its outcome, and say goodbye to both sides."""
        self._speakers.close(time.monotonic())
        self._decide(turn_events.SessionClosed())
        self._count_frames()
        if self._ending == "closed":
            goodbye = CloseSession(session=self.id, epoch=self._epoch, reason="the client left")
            self._outbox.say(self._around.bus.subjects.heartbeat(self.id), goodbye, {})
        if self._door is not None:
            restart = events.Error(code="draining", sentence="The gateway restarts. Reconnect with resume.", fatal=True)
            self._door.close(None if self._ending == "closed" else restart)
            self._door = None

    # Ears of all microphones.

    def speech_began(self, speaker: str, voiced_at: float, *, continues: bool, reopens: bool) -> str:
        """See Ears."""
        # Anew for each utterance: a wall clock may jump.
        self._state = replace(self._state, unix_offset_s=_unix_offset_s())
        name = self._names.get(speaker, "") if len(self._names) > 1 else ""
        began = turn_events.SpeechBegan(
            speaker=speaker, voiced_at=voiced_at, continues=continues, reopens=reopens, name=name
        )
        self._decide(began)
        return self._state.utterance_of(speaker)

    def speech_paused(self, speaker: str, last_seq: int, voiced_until: float) -> None:
        """See Ears."""
        self._decide(turn_events.SpeechPaused(speaker=speaker, last_seq=last_seq, voiced_until=voiced_until))
        self._speakers.judge_pause(speaker)

    def speech_resumed(self, speaker: str, latest_seq: int, voiced_at: float) -> None:
        """See Ears."""
        self._decide(turn_events.SpeechResumed(speaker=speaker, latest_seq=latest_seq, voiced_at=voiced_at))
        self._speakers.pause_over(speaker)

    def _read(self, candidate: CandidateTranscript) -> None:
        """Let the words of a pause say whether it is the end."""
        settings = self._around.settings
        if settings.endpointing == "smart" and candidate.epoch == self._epoch:
            how = ending(candidate.text, candidate.language or settings.language)
            self._speakers.words_judged(candidate.speaker, candidate.utterance, candidate.covers_seq, how)

    def speech_ended(self, speaker: str, ended: Ended, voiced_until: float) -> None:
        """See Ears."""
        self._decide(
            turn_events.SpeechEnded(
                speaker=speaker,
                last_seq=ended.last_seq,
                voiced_seq=ended.voiced_seq,
                voiced_until=voiced_until,
                reason=ended.reason,
                endpoint=ended.endpoint,
            )
        )

    def utterance_frame(self, utterance: str, frame: Frame) -> None:
        """See Ears."""
        self._outbox.frame(self._around.bus.subjects.audio(self.id, utterance), frame)

    def _send_again(self, asked: ResendFrames) -> None:
        if asked.epoch == self._epoch:
            for frame in self._speakers.again(asked.utterance, asked.from_seq, asked.to_seq):
                self.utterance_frame(asked.utterance, frame)

    # Carrying out what the reducer decided.

    def _decide(self, event: turn_events.Event) -> None:
        now = time.monotonic()
        if self._state.canned is not self._around.canned.phrases:
            self._state = replace(self._state, canned=self._around.canned.phrases)
        self._state, effects = turns.step(self._state, event, now)
        for effect in effects:
            self._carry_out(effect, now)
        self._wake()

    def _wake(self) -> None:
        """Let the timer look again if something is due earlier than it thought."""
        moments = [moment for moment in (due(self._state), self._speakers.due) if moment is not None]
        if self._ending or min(moments, default=float("inf")) < self._asleep_until:
            self._awake.set()

    def _carry_out(self, effect: turn_events.Effect, now: float) -> None:
        match effect:
            case turn_events.Record(message, message_id):
                if isinstance(message, UtteranceStarted):
                    self._traces.begin(message.turn, self._state.turns[message.turn].moments.began_at)
                subject = subject_of(self._around.bus.subjects, message)
                self._outbox.record(subject, message, message_id, self._traces.headers(message.turn))
            case turn_events.Say(message):
                subject = subject_of(self._around.bus.subjects, message)
                self._outbox.say(subject, message, self._traces.headers(message.turn))
            case turn_events.Tell(event):
                if self._door is not None:
                    self._door.tell(event)
            case turn_events.Play(pcm):
                self._frames["out"] += 1
                if self._door is not None:
                    self._door.play(pcm)
            case turn_events.Forget(utterance):
                self._speakers.forget(utterance)
            case turn_events.Conclude(report, moments):
                self._conclude(report, moments, now)

    def _conclude(self, report: TurnReport, moments: Moments, now: float) -> None:
        headers = self._traces.headers(report.turn)
        report = self._traces.end(report, moments, now)
        subject = subject_of(self._around.bus.subjects, report)
        self._outbox.record(subject, report, f"{self.id}-{report.epoch}-{report.turn}-report", headers)
        if self._door is not None:
            self._door.tell(events.Turn(report=report))
        account(self._around.telemetry, report)


def _unix_offset_s() -> float:
    return time.time() - time.monotonic()
