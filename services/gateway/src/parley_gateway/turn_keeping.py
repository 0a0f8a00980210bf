"""A session's turns meet the world: their reducer is fed, and what it decides goes to the bus, the door and the traces.

Made by `sessions`, one per session. All decisions are those of `turns`; every call returns at once.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parley_contract import door as events
from parley_contract.messages import SessionOpened, TurnReport, UtteranceStarted
from parley_gateway import turn_events, turns
from parley_gateway.outbox import Outbox, subject_of
from parley_gateway.reports import Moments
from parley_gateway.surroundings import Surroundings
from parley_gateway.tracing import TurnTraces, account
from parley_gateway.turn_state import Turns, due

if TYPE_CHECKING:
    from parley_gateway.doors import Door


class TurnKeeping:
    """The turns of one session."""

    def __init__(
        self,
        around: Surroundings,
        opened: SessionOpened,
        outbox: Outbox,
        forget: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        """Begin without a turn and without a door.

        Args:
            around: what every session uses.
            opened: the session.
            outbox: its way to the bus.
            forget: told of every utterance whose frames are of no more use.
            wake: called when `due` may be earlier than it was.
        """
        settings = around.settings
        self.door: Door | None = None
        """Where the session is heard."""
        self.played = 0
        """Frames that went out, until somebody sets it back."""
        self._around = around
        self._session = opened.session
        self._outbox = outbox
        self._forget = forget
        self._wake = wake
        self._state = Turns(
            rules=settings.turn_rules,
            session=opened.session,
            epoch=opened.epoch,
            unix_offset_s=_unix_offset_s(),
            next_turn=opened.next_turn,
        )
        self._traces = TurnTraces(
            around.telemetry,
            opened.session,
            endpoint_ms=settings.endpoint_ms,
            take_up_after_s=settings.take_up_after_s,
        )

    @property
    def is_busy(self) -> bool:
        """Whether a turn is open."""
        return bool(self._state.turns)

    @property
    def due(self) -> float | None:
        """When to decide on TimePassed unless something else comes first; None while there is nothing to wait for."""
        return due(self._state)

    def utterance_of(self, speaker: str) -> str:
        """Return the running utterance of a speaker.

        Raises:
            KeyError: the speaker has none.
        """
        return self._state.utterance_of(speaker)

    def reply_began(self, turn: int) -> None:
        """Somebody asks the model about a turn."""
        self._traces.reply_began(turn, time.monotonic())

    def decide(self, event: turn_events.Event) -> None:
        """Let the reducer take in an event, and carry out what follows."""
        now = time.monotonic()
        if self._state.canned is not self._around.canned.phrases:
            self._state = replace(self._state, canned=self._around.canned.phrases)
        if isinstance(event, turn_events.SpeechBegan):
            # Anew for each utterance: a wall clock may jump.
            self._state = replace(self._state, unix_offset_s=_unix_offset_s())
        self._state, effects = turns.step(self._state, event, now)
        for effect in effects:
            self._carry_out(effect, now)
        self._wake()

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
                if self.door is not None:
                    self.door.tell(event)
            case turn_events.Play(pcm):
                self.played += 1
                if self.door is not None:
                    self.door.play(pcm)
            case turn_events.Forget(utterance):
                self._forget(utterance)
            case turn_events.Conclude(report, moments):
                self._conclude(report, moments, now)

    def _conclude(self, report: TurnReport, moments: Moments, now: float) -> None:
        headers = self._traces.headers(report.turn)
        report = self._traces.end(report, moments, now)
        subject = subject_of(self._around.bus.subjects, report)
        self._outbox.record(subject, report, f"{self._session}-{report.epoch}-{report.turn}-report", headers)
        if self.door is not None:
            self.door.tell(events.Turn(report=report))
        account(self._around.telemetry, report)


def _unix_offset_s() -> float:
    return time.time() - time.monotonic()
