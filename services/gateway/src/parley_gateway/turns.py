"""Speech, replies and playback become turns, each with exactly one outcome: the gateway's state machine for a session.

One pure reducer, `step(state, event, now) -> (state, effects)`; `turn_keeping` feeds it and carries out what it
decides. Delivery is at least once and in any order between services, so every message may be late, early or twice, and
what belongs to an older epoch, to a turn that is over or to an older revision is dropped here. The gateway mints turns
and utterances. The reducer knows no clock, no bus and no door. Its parts are `listening` (what is said), `replying`,
`barge_in`, and `sounding` with `playback` inside (what is heard, and how turns end); here they are one, and the
watchdog looks after whoever waits.
"""

from parley_contract.messages import CandidateTranscript, FinalTranscript, PartialTranscript, TurnMessage
from parley_gateway import cues
from parley_gateway.barge_in import BargingIn
from parley_gateway.listening import Listening
from parley_gateway.replying import Replying
from parley_gateway.turn_events import (
    ClientInterrupted,
    Effect,
    Event,
    ListenerJoined,
    ListenerLeft,
    SessionClosed,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
)
from parley_gateway.turn_state import Turns, fails_at, failure, holds_at


def step(state: Turns, event: Event, now: float) -> tuple[Turns, list[Effect]]:
    """Decide what follows from an event; `now` is monotonic seconds and never goes back."""
    decision = _Turning(state, now)
    decision.take(event)
    return decision.state, decision.effects


class _Turning(Listening, Replying, BargingIn):
    """One step in the making."""

    def take(self, event: Event) -> None:
        """Take in the event of this step."""
        match event:
            case SpeechBegan() | SpeechPaused() | SpeechResumed() | SpeechEnded():
                self._listen(event)
            case FinalTranscript() | CandidateTranscript() | PartialTranscript():
                self.understand(event)
            case TurnMessage():
                self.receive(event)
            case cues.FrameArrived():
                self.take_frame(event)
            case cues.PositionReported() | cues.TimePassed():
                self.cue(event)
                self._watch()
            case ClientInterrupted() | SessionClosed():
                self._hush(event)
            case ListenerLeft():
                self.cue(cues.Pause())
            case ListenerJoined():
                self._go_on()
            case _:
                pass
        self.weigh()

    def _listen(self, event: SpeechBegan | SpeechPaused | SpeechResumed | SpeechEnded) -> None:
        if isinstance(event, SpeechBegan):
            self.begin(event)
            if not event.continues:
                self.give_way()
            return
        self.hear(event)
        for turn in self.open_turns:
            self.release(turn.number)

    def _go_on(self) -> None:
        for turn in self.open_turns:
            self.change(turn.number, waits_since=self.now)
        self.cue(cues.Resume(is_new_stream=True))

    def _hush(self, event: ClientInterrupted | SessionClosed) -> None:
        """Be quiet at once: end all turns, those that are still being spoken only with the session, and all sound."""
        for turn in self.open_turns:
            if isinstance(event, SessionClosed):
                self.interrupt(turn.number, "closed")
            elif turn.is_committed:
                self.interrupt(turn.number, "client")
        if reply := self.state.playback.reply:
            # A turn that goes on may have another reply.
            self.cue(cues.Withdraw(reply.turn) if reply.turn in self.state.turns else cues.Stop(reply.turn))

    def _watch(self) -> None:
        """Tell whoever waits too long that it takes a moment, and after that, that it went wrong."""
        if self.state.playback.is_paused:
            return
        for turn in self.open_turns:
            if not turn.is_committed:
                continue
            hold_at = holds_at(self.state, turn)
            if self.now >= fails_at(self.state, turn):
                self.conclude(turn.number, failure(turn))
            elif hold_at is not None and self.now >= hold_at:
                self.change(turn.number, is_held=True)
                if hold := self.state.canned.get("hold"):
                    self.cue(cues.SayBefore(turn.number, turn.revision, hold.frames))
