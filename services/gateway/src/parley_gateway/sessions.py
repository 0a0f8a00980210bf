"""One session: its life from the agent's grant to its end, with its door and its timer.

The gateway's worker, made by `admissions`, one per session; it outlives its connections. What is heard goes through its
`ears`, what is said on the bus through its `subscriptions`, and all of it to `turn_keeping`, where what follows is
carried out. Every method that a door calls returns at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Final, Literal

import structlog

from parley_contract import door as events
from parley_contract import telemetry as words
from parley_contract.messages import CloseSession, Heartbeat, SessionOpened
from parley_gateway import cues, turn_events
from parley_gateway.alarms import Alarm
from parley_gateway.doors import Door
from parley_gateway.ears import SessionEars
from parley_gateway.outbox import Outbox
from parley_gateway.subscriptions import Subscriptions
from parley_gateway.surroundings import Surroundings
from parley_gateway.turn_keeping import TurnKeeping

log: Final = structlog.get_logger()

HEARTBEAT_S: Final = 5.0
"""The agent ends a session after 30 s without one, so five may be lost."""
_BUSY_HEARTBEAT_S: Final = 1.0
"""While a turn is open: another agent takes a dead one's session at the first heartbeat after its lease has run out."""
SPEAKER: Final = "user"
"""The one voice behind a web door."""
_FLUSH_S: Final = 2.0


class Session:
    """One stay of an assistant behind one door: with one person, or with all who are in a voice channel."""

    def __init__(self, around: Surroundings, opened: SessionOpened, secret: str) -> None:
        """Take up a session that the agent granted; `run` does the work. `secret` is what a client resumes it with."""
        self.id: Final = opened.session
        self.secret: Final = secret
        self._around = around
        self._epoch = opened.epoch
        self._outbox = Outbox(around.bus, around.telemetry)
        self._alarm = Alarm(self._due)
        self._turns = TurnKeeping(around, opened, self._outbox, self._forget, self._wake)
        self._ears = SessionEars(around, opened, self._outbox, self._turns, self._wake)
        self._subscriptions = Subscriptions(around.bus, around.settings.assistant, self.id, self._ears, self._turns)
        self._left_at = time.monotonic()
        self._heard = 0
        """Frames that came in since they were counted."""
        self._ending: Literal["", "closed", "handed on"] = ""
        self._ended = asyncio.Event()

    async def listening(self) -> None:
        """Wait until `run` has subscribed to all that concerns the session."""
        await self._subscriptions.begun()

    # What a door does.

    def join(self, door: Door) -> None:
        """Let `door` be where this session is heard; another one that was there is closed."""
        if self._turns.door is not None:
            self._turns.door.close(
                events.Error(
                    code="replaced",
                    sentence="The session goes on in another connection. Do not reconnect from here.",
                    fatal=True,
                )
            )
            self._lose_listener()
        self._turns.door = door
        self._turns.decide(turn_events.ListenerJoined())

    def leave(self, door: Door) -> None:
        """The door's connection is gone; the session waits `resumeGraceS` for another."""
        if self._turns.door is door:
            self._lose_listener()

    def hear(self, pcm: bytes, speaker: str = SPEAKER) -> None:
        """Take 20 ms of somebody's sound, a whole frame."""
        if self._ending and not self._ears.speakers.are_speaking:
            return
        self._heard += 1
        self._ears.speakers.hear(speaker, pcm)

    def know(self, names: Mapping[str, str]) -> None:
        """Learn who is there, by speaker, and how they are called; who is not among them any more has left."""
        self._ears.know(names)

    @property
    def heard(self) -> tuple[str, ...]:
        """The speakers who were heard and have not left."""
        return self._ears.speakers.heard

    def interrupt(self) -> None:
        """Stop the reply."""
        self._turns.decide(turn_events.ClientInterrupted())

    def position(self, at_ms: float) -> None:
        """The listener has played so much of what was sent on this connection."""
        self._turns.decide(cues.PositionReported(at_ms))

    def close(self, door: Door) -> None:
        """The client said goodbye through `door`: end the session."""
        if self._turns.door is door:
            self._end()

    # What happens to it.

    @property
    def is_busy(self) -> bool:
        """Whether a turn is open."""
        return self._turns.is_busy

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
        if self._turns.door is not None:
            self._turns.door.close(
                events.Error(code="internal", sentence="Something broke here. Reconnect to talk on.", fatal=True)
            )
            self._turns.door = None

    async def run(self) -> None:
        """Work until the session is closed or handed on and its last turn is over."""
        self._around.telemetry.record(words.SESSIONS, 1)
        log.info("session opened", session=self.id, epoch=self._epoch)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._outbox.run())
                living = [
                    tasks.create_task(work) for work in (self._subscriptions.run(), self._keep_time(), self._live())
                ]
                await self._ended.wait()
                for task in living:
                    task.cancel()
                self._leave_the_world()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_S):
                        await self._outbox.flush()
                sending.cancel()
        finally:
            self._around.telemetry.record(words.SESSIONS, -1)
            log.info("session left", session=self.id, why=self._ending or "failed")

    async def _keep_time(self) -> None:
        """Come back whenever a reducer asked for it."""
        while True:
            if self._ending and self._due() is None and not self.is_busy:
                self._ended.set()
            await self._alarm.rung()
            now = time.monotonic()
            self._ears.speakers.wait_over(now)
            if (moment := self._turns.due) is not None and now >= moment:
                self._turns.decide(cues.TimePassed())

    def _due(self) -> float | None:
        return min((due for due in (self._turns.due, self._ears.speakers.due) if due is not None), default=None)

    def _wake(self) -> None:
        """Let the timer look again; a session that ends may have nothing more to wait for."""
        if self._ending:
            self._alarm.ring()
        else:
            self._alarm.look()

    def _forget(self, utterance: str) -> None:
        self._ears.speakers.forget(utterance)

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
            if self._turns.door is None and time.monotonic() - self._left_at > self._around.settings.resume_grace_s:
                self._end()

    def _count_frames(self) -> None:
        """Add what was counted since the last time to the metric: each by itself would cost more than its rest."""
        for direction, count in (("in", self._heard), ("out", self._turns.played)):
            if count:
                self._around.telemetry.record(words.FRAMES, count, direction=direction)
        self._heard = self._turns.played = 0

    def _lose_listener(self) -> None:
        self._turns.door = None
        self._left_at = time.monotonic()
        self._ears.speakers.close(self._left_at)
        self._turns.decide(turn_events.ListenerLeft())

    def _end(self) -> None:
        self._ending = "closed"
        self._ended.set()

    def _leave_the_world(self) -> None:
        """Give what is still open its outcome, and say goodbye to both sides."""
        self._ears.speakers.close(time.monotonic())
        self._turns.decide(turn_events.SessionClosed())
        self._count_frames()
        if self._ending == "closed":
            goodbye = CloseSession(session=self.id, epoch=self._epoch, reason="the client left")
            self._outbox.say(self._around.bus.subjects.heartbeat(self.id), goodbye, {})
        if self._turns.door is not None:
            restart = events.Error(code="draining", sentence="The gateway restarts. Reconnect with resume.", fatal=True)
            self._turns.door.close(None if self._ending == "closed" else restart)
            self._turns.door = None
