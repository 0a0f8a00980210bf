"""Speech, replies and playback become turns, each with exactly one outcome: the gateway's state machine for a session.

One pure reducer, `step(state, event, now) -> (state, effects)`; `sessions` feeds it and carries out what it decides.
Delivery is at least once and in any order between services, so every message may be late, early or twice, and what
belongs to an older epoch, to a turn that is over or to an older revision is dropped here. The gateway mints turns and
utterances. The reducer knows no clock, no bus and no door; `playback` inside it knows when which frame is heard.
"""

from typing import Literal, TypedDict

from msgspec.structs import replace

from parley_contract import door
from parley_contract.messages import (
    FinalTranscript,
    InterruptTurn,
    PartialTranscript,
    PhraseFailed,
    PhrasePlayed,
    PhraseReady,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    SegmentEnded,
    TranscribeUtterance,
    TurnDismissed,
    TurnInterrupted,
    TurnMessage,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_gateway import cues, playback
from parley_gateway.reports import Identity, Moments, Verdict, report
from parley_gateway.turn_events import (
    ClientInterrupted,
    Conclude,
    Effect,
    Event,
    Forget,
    ListenerJoined,
    ListenerLeft,
    Play,
    Record,
    Say,
    SessionClosed,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    Tell,
)
from parley_gateway.turn_state import Turn, Turns, fails_at, failure, holds_at, verdict


class _TurnFields(TypedDict):
    session: str
    epoch: int
    turn: int
    revision: int


class _SpeechFields(_TurnFields):
    utterance: str
    speaker: str


def step(state: Turns, event: Event, now: float) -> tuple[Turns, list[Effect]]:
    """Decide what follows from an event; `now` is monotonic seconds and never goes back."""
    decision = _Decision(state, now)
    decision.take(event)
    return decision.state, decision.effects


class _Decision:
    """One step in the making: the state so far and the effects so far."""

    def __init__(self, state: Turns, now: float) -> None:
        self.state = state
        self.effects: list[Effect] = []
        self.now = now

    def take(self, event: Event) -> None:
        """Take in the event of this step."""
        match event:
            case SpeechBegan():
                self._begin(event)
            case SpeechPaused() | SpeechEnded():
                self._hear(event)
            case FinalTranscript() | PartialTranscript():
                self._understand(event)
            case TurnMessage():
                self._receive(event)
            case cues.FrameArrived():
                self._take_frame(event)
            case cues.PositionReported() | cues.TimePassed():
                self._cue(event)
                self._watch()
            case ClientInterrupted() | SessionClosed():
                self._hush(event)
            case ListenerLeft():
                self._cue(cues.Pause())
            case ListenerJoined():
                self._go_on()
            case _:
                pass

    @property
    def _turns(self) -> list[Turn]:
        return list(self.state.turns.values())

    # Being spoken to.

    def _begin(self, event: SpeechBegan) -> None:
        state, now = self.state, self.now
        utterance = f"{state.epoch}-{state.next_utterance}"
        number = state.speaking.get(event.speaker) if event.continues else None
        turn = None if number is None else state.turns.get(number)
        if turn is None:
            moments = Moments(began_at=event.voiced_at)
            turn = Turn(number=state.next_turn, speaker=event.speaker, moments=moments, utterances=(), waits_since=now)
        continues = turn.utterances[-1] if turn.utterances else None
        turn = replace(turn, utterances=(*turn.utterances, utterance))
        self.state = replace(
            state,
            next_turn=max(state.next_turn, turn.number + 1),
            next_utterance=state.next_utterance + 1,
            speaking={**state.speaking, event.speaker: turn.number},
        )
        self.state = replace(self.state, turns={**self.state.turns, turn.number: turn})
        speech = self._speech(turn)
        self._record(UtteranceStarted(**speech, continues=continues), f"{utterance}-started")
        life_s = state.rules.max_utterance_s + state.rules.fail_after_s
        self._record(TranscribeUtterance(**speech, life_s=life_s), f"{utterance}-work")
        self._tell(door.SpeechStarted(turn=turn.number, utterance=utterance))

    def _hear(self, event: SpeechPaused | SpeechEnded) -> None:
        number = self.state.speaking.get(event.speaker)
        turn = None if number is None else self.state.turns.get(number)
        if turn is None:
            return
        utterance = turn.utterances[-1]
        if isinstance(event, SpeechPaused):
            paused = SegmentEnded(**self._speech(turn), last_seq=event.last_seq)
            self._record(paused, f"{utterance}-paused-{event.last_seq}")
            return
        ended = UtteranceEnded(
            **self._speech(turn), last_seq=event.last_seq, voiced_seq=event.voiced_seq, reason=event.reason
        )
        self._record(ended, f"{utterance}-ended")
        self._note(turn.number, voiced_until=event.voiced_until)
        if event.reason != "max_length":
            self._change(turn.number, waits_since=self.now)
            self._note(turn.number, decided_at=self.now)
            others = {who: running for who, running in self.state.speaking.items() if who != event.speaker}
            self.state = replace(self.state, speaking=others)

    def _understand(self, message: FinalTranscript | PartialTranscript) -> None:
        turn = self.state.turns.get(message.turn)
        if (
            turn is None
            or message.epoch != self.state.epoch
            or message.utterance not in turn.utterances
            or message.utterance in turn.transcribed
        ):
            return
        if isinstance(message, PartialTranscript):
            self._tell(door.Partial(turn=message.turn, utterance=message.utterance, text=message.text))
            return
        self._change(turn.number, transcribed=turn.transcribed | {message.utterance})
        self._note(turn.number, transcribed_at=self.now)
        self._tell(
            door.Transcript(turn=message.turn, utterance=message.utterance, outcome=message.outcome, text=message.text)
        )
        self.effects.append(Forget(message.utterance))

    # Replying.

    def _is_replying(self, number: int) -> bool:
        """Whether a turn is open and its speaker has finished: nothing else may have a reply."""
        turn = self.state.turns.get(number)
        return turn is not None and turn.is_committed

    def _receive(self, message: TurnMessage) -> None:
        number, revision = message.turn, message.revision
        if not self._is_replying(number) or message.epoch != self.state.epoch:
            return
        if revision < self.state.turns[number].revision:
            return
        self._change(number, revision=revision)
        match message:
            case ReplyDelta():
                self._progress(number, "first_token_at")
                self._tell(door.Delta(turn=number, index=message.index, text=message.text))
            case PhraseReady():
                # Deltas are sent at most once: should the first be lost, the phrase made of it shows that it was.
                self._progress(number, "first_token_at", "first_phrase_at")
                announced = self.state.turns[number].announced
                if (revision, message.phrase) not in announced:
                    self._change(number, announced=announced | {(revision, message.phrase)})
                    self._tell(door.Phrase(turn=number, phrase=message.phrase, text=message.text))
                self._cue(cues.PhraseAnnounced(number, revision, message.phrase))
            case ReplyEnded():
                self._progress(number)
                self._change(number, reply=message)
                self._cue(cues.ReplyComplete(number, revision, message.phrases))
            case PhraseFailed():
                self._change(number, lost=message.reason)
                self._cue(cues.PhraseLost(number, revision, message.phrase))
            case TurnDismissed():
                self._conclude(number, Verdict(message.outcome, message.reason, message.detail))
            case TurnInterrupted():
                self._conclude(number, Verdict("interrupted", message.reason))
            case _:
                pass

    # Being heard.

    def _take_frame(self, event: cues.FrameArrived) -> None:
        frame = event.frame
        if not self._is_replying(event.turn) or frame.epoch != self.state.epoch & 0xFFFF:
            return
        if frame.revision >= self.state.turns[event.turn].revision & 0xFFFF:
            self._progress(event.turn, "first_frame_at")
            self._cue(event)

    def _go_on(self) -> None:
        for turn in self._turns:
            self._change(turn.number, waits_since=self.now)
        self._cue(cues.Resume(is_new_stream=True))

    def _cue(self, cue: cues.Cue) -> cues.ReplyOver | None:
        """Let playback take a cue and carry its actions on; return how a reply was left, if the cue was to stop it."""
        state, actions = playback.step(self.state.playback, cue, self.now, self.state.rules.playback)
        self.state = replace(self.state, playback=state)
        stopped: cues.ReplyOver | None = None
        for action in actions:
            match action:
                case cues.ReplyOver() if isinstance(cue, cues.Stop):
                    stopped = action
                case _:
                    self._carry_on(action)
        return stopped

    def _carry_on(self, action: cues.Action) -> None:
        match action:
            case cues.Send(pcm):
                self.effects.append(Play(pcm))
            case cues.PhraseBegan():
                self._phrase_began(action)
            case cues.PhraseOver():
                self._phrase_over(action)
            case cues.CannedBegan(turn, at_ms):
                kind: Literal["hold", "apology"] = "hold" if turn in self.state.turns else "apology"
                self._tell(door.Canned(turn=turn, kind=kind, text=self.state.canned[kind].text, at_ms=at_ms))
            case cues.Sounded(turn, at):
                self._note(turn, sounded_at=at)
            case cues.RanDry(turn):
                played = self.state.turns[turn].played
                self._change(turn, played=replace(played, underruns=played.underruns + 1))
            case cues.Cut(turn, at_ms, next_ms):
                self._tell(door.Cut(turn=turn, at_ms=at_ms, next_ms=next_ms))
            case cues.ReplyOver(turn, is_complete=True) if turn in self.state.turns:
                self._conclude(turn, verdict(self.state.turns[turn]))
            case cues.ReplyOver(turn) if turn in self.state.turns:
                self._interrupt(turn, "speech", action)

    def _phrase_began(self, began: cues.PhraseBegan) -> None:
        for turn in self._turns:
            # An older turn can only be waiting for a reply that would not be played any more.
            if turn.number < began.turn and turn.is_committed:
                self._interrupt(turn.number, "speech")
        self._progress(began.turn, "played_from")
        started = PlaybackStarted(**self._turn(began.turn, began.revision), phrase=began.phrase)
        self._record(started, f"{self.state.epoch}-{began.turn}-{began.revision}-{began.phrase}-began")
        self._tell(door.Mark(turn=began.turn, phrase=began.phrase, edge="begin", at_ms=began.at_ms))

    def _phrase_over(self, over: cues.PhraseOver) -> None:
        heard = PhrasePlayed(
            **self._turn(over.turn, over.revision), phrase=over.phrase, played_ms=over.played_ms, whole=over.whole
        )
        self._record(heard, f"{self.state.epoch}-{over.turn}-{over.revision}-{over.phrase}-played")
        self._tell(door.Mark(turn=over.turn, phrase=over.phrase, edge="end", at_ms=over.at_ms))
        if (turn := self.state.turns.get(over.turn)) is not None:
            played = replace(
                turn.played,
                played_ms=turn.played.played_ms + over.played_ms,
                phrases=turn.played.phrases + bool(over.played_ms),
            )
            waits_since = self.now if over.played_ms else turn.waits_since
            self._change(turn.number, played=played, waits_since=waits_since)

    # Ending.

    def _interrupt(
        self, number: int, reason: Literal["client", "speech", "closed"], heard: cues.ReplyOver | None = None
    ) -> None:
        """End a turn at once and tell the agent how far its reply was heard."""
        if number not in self.state.turns:
            return
        heard = heard or self._silence(number)
        turn = self.state.turns[number]
        if turn.is_committed:
            self.effects.append(
                Say(
                    InterruptTurn(
                        **self._turn(number, turn.revision),
                        reason=reason,
                        phrase=heard.phrase if heard else -1,
                        played_ms=heard.phrase_played_ms if heard else 0,
                        phrase_ms=heard.phrase_ms if heard else 0,
                    )
                )
            )
        self._conclude(number, Verdict("interrupted", reason))

    def _hush(self, event: ClientInterrupted | SessionClosed) -> None:
        """Be quiet at once: end all turns, those that are still being spoken only with the session, and all sound."""
        for turn in self._turns:
            if isinstance(event, SessionClosed):
                self._interrupt(turn.number, "closed")
            elif turn.is_committed:
                self._interrupt(turn.number, "client")
        if reply := self.state.playback.reply:
            self._cue(cues.Stop(reply.turn))

    def _watch(self) -> None:
        """Tell whoever waits too long that it takes a moment, and after that, that it went wrong."""
        if self.state.playback.is_paused:
            return
        for turn in self._turns:
            if not turn.is_committed:
                continue
            hold_at = holds_at(self.state, turn)
            if self.now >= fails_at(self.state, turn):
                self._conclude(turn.number, failure(turn))
            elif hold_at is not None and self.now >= hold_at:
                self._change(turn.number, is_held=True)
                if hold := self.state.canned.get("hold"):
                    self._cue(cues.SayBefore(turn.number, turn.revision, hold.frames))

    def _conclude(self, number: int, verdict: Verdict) -> None:
        """Give a turn its one outcome; who hears of a failure only by silence is told."""
        self._silence(number)
        state, turn = self.state, self.state.turns[number]
        self.state = replace(
            state,
            turns={other: open_turn for other, open_turn in state.turns.items() if other != number},
            speaking={who: running for who, running in state.speaking.items() if running != number},
        )
        if turn.moments.sounded_at is not None and turn.moments.sounded_at > self.now:
            # Its first audible sample was under way and has been cut: nobody heard it.
            turn = replace(turn, moments=replace(turn.moments, sounded_at=None))
        self.effects += [Forget(utterance) for utterance in turn.utterances if utterance not in turn.transcribed]
        identity = Identity(
            session=state.session, epoch=state.epoch, turn=number, revision=turn.revision, speaker=turn.speaker
        )
        self.effects.append(
            Conclude(
                report(identity, turn.moments, turn.played, verdict, unix_offset_s=state.unix_offset_s), turn.moments
            )
        )
        is_latest = all(other.number < number for other in self._turns)
        if verdict.outcome == "failed" and is_latest and (apology := self.state.canned.get("apology")):
            self._cue(cues.SayAfter(number, apology.frames))

    def _silence(self, number: int) -> cues.ReplyOver | None:
        """Stop the turn's reply if it is the one that plays; another turn's goes on."""
        reply = self.state.playback.reply
        return self._cue(cues.Stop(number)) if reply and reply.turn == number else None

    # Small things.

    def _change(self, number: int, **changes: object) -> None:
        turns = self.state.turns
        self.state = replace(self.state, turns={**turns, number: replace(turns[number], **changes)})

    def _note(self, number: int, **moments: float) -> None:
        """Note moments; those that are there are replaced."""
        self._change(number, moments=replace(self.state.turns[number].moments, **moments))

    def _progress(self, number: int, *firsts: str) -> None:
        """Note that the reply comes on, and moments that count only the first time."""
        moments = self.state.turns[number].moments
        self._note(number, **{name: self.now for name in firsts if getattr(moments, name) is None})
        if self.state.turns[number].moments.played_from is not None:
            self._change(number, waits_since=self.now)

    def _turn(self, number: int, revision: int) -> _TurnFields:
        return _TurnFields(session=self.state.session, epoch=self.state.epoch, turn=number, revision=revision)

    def _speech(self, turn: Turn) -> _SpeechFields:
        return _SpeechFields(
            **self._turn(turn.number, turn.revision), utterance=turn.utterances[-1], speaker=turn.speaker
        )

    def _record(self, message: TurnMessage, message_id: str) -> None:
        self.effects.append(Record(message, f"{self.state.session}-{message_id}"))

    def _tell(self, event: door.Event) -> None:
        self.effects.append(Tell(event))
