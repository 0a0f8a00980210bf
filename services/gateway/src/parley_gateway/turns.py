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
    CandidateTranscript,
    FinalTranscript,
    InterruptTurn,
    PartialTranscript,
    PhraseFailed,
    PhrasePlayed,
    PhraseReady,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
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
    SpeechResumed,
    Tell,
)
from parley_gateway.turn_state import (
    Answer,
    BargeIn,
    Turn,
    Turns,
    fails_at,
    failure,
    guessed,
    heard_on,
    holds_at,
    verdict,
    weighs_at,
)


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
            case SpeechPaused() | SpeechResumed() | SpeechEnded():
                self._hear(event)
            case FinalTranscript() | CandidateTranscript() | PartialTranscript():
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
        self._weigh()

    @property
    def _turns(self) -> list[Turn]:
        return list(self.state.turns.values())

    # Being spoken to.

    def _begin(self, event: SpeechBegan) -> None:
        state, now = self.state, self.now
        utterance = f"{state.epoch}-{state.next_utterance}"
        turn = self._running(event.speaker) if event.continues else self._reopened(event)
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
        if not event.continues:
            self.state = replace(self.state, barge_in=BargeIn(turn=turn.number, voiced_from=event.voiced_at))
            self._cue(cues.GiveWay())

    def _running(self, speaker: str) -> Turn | None:
        """Return the turn that a speaker is in the middle of."""
        number = self.state.speaking.get(speaker)
        return None if number is None else self.state.turns.get(number)

    def _reopened(self, event: SpeechBegan) -> Turn | None:
        """Return the newest turn, to go on with, if it is this speaker's and they had not really finished."""
        turn = next(reversed(self._turns), None)
        if turn is None or turn.speaker != event.speaker or turn.moments.decided_at is None:
            return None
        if event.voiced_at - turn.moments.decided_at > self.state.rules.reopen_s:
            return None
        return replace(
            turn,
            moments=Moments(began_at=turn.moments.began_at),
            is_held=False,
            taken_back=turn.taken_back + (turn.moments.first_token_at is not None),
        )

    def _hear(self, event: SpeechPaused | SpeechResumed | SpeechEnded) -> None:
        turn = self._running(event.speaker)
        if turn is None:
            return
        utterance, barge_in = turn.utterances[-1], self.state.barge_in
        if barge_in is not None and barge_in.turn == turn.number:
            self.state = replace(self.state, barge_in=heard_on(barge_in, event, self.now))
        match event:
            case SpeechPaused(last_seq=last_seq):
                paused = SegmentEnded(**self._speech(turn), last_seq=last_seq)
                self._record(paused, f"{utterance}-paused-{last_seq}")
            case SpeechEnded():
                self._end_speech(turn, event)
            case _:
                pass

    def _end_speech(self, turn: Turn, event: SpeechEnded) -> None:
        ended = UtteranceEnded(
            **self._speech(turn), last_seq=event.last_seq, voiced_seq=event.voiced_seq, reason=event.reason
        )
        self._record(ended, f"{turn.utterances[-1]}-ended")
        self._note(turn.number, voiced_until=event.voiced_until)
        if event.reason == "max_length":
            return
        self._change(turn.number, waits_since=self.now, voiced_seq=event.voiced_seq, endpoint=event.endpoint)
        self._note(turn.number, decided_at=self.now)
        others = {who: running for who, running in self.state.speaking.items() if who != event.speaker}
        self.state = replace(self.state, speaking=others)
        self._take_candidate(turn.number)
        self._release(turn.number)

    def _understand(self, message: FinalTranscript | CandidateTranscript | PartialTranscript) -> None:
        turn = self.state.turns.get(message.turn)
        if turn is None or message.epoch != self.state.epoch or message.utterance not in turn.utterances:
            return
        if isinstance(message, FinalTranscript) and message.utterance not in turn.forgotten:
            self._change(turn.number, forgotten=turn.forgotten | {message.utterance})
            self.effects.append(Forget(message.utterance))
        if message.utterance in turn.transcribed:
            return
        if message.text and self.state.barge_in and self.state.barge_in.turn == turn.number:
            self._take_floor(self.state.barge_in)
        match message:
            case PartialTranscript():
                self._tell(door.Partial(turn=message.turn, utterance=message.utterance, text=message.text))
            case CandidateTranscript():
                known = turn.candidates.get(message.utterance)
                if known is None or known.covers_seq < message.covers_seq:
                    self._change(turn.number, candidates={**turn.candidates, message.utterance: message})
                    self._take_candidate(turn.number)
            case FinalTranscript():
                self._transcribe(turn.number, message)

    def _take_candidate(self, number: int) -> None:
        """Take the candidate for the final, if its speaker has finished and nothing voiced followed it."""
        turn = self.state.turns[number]
        candidate = turn.candidates.get(turn.utterances[-1])
        if turn.is_committed and candidate is not None and candidate.covers_seq >= turn.voiced_seq:
            self._transcribe(number, candidate)

    def _transcribe(self, number: int, message: FinalTranscript | CandidateTranscript) -> None:
        transcribed = self.state.turns[number].transcribed
        if message.utterance in transcribed:
            return
        self._change(number, transcribed=transcribed | {message.utterance})
        self._note(number, transcribed_at=self.now)
        outcome = message.outcome if isinstance(message, FinalTranscript) else "speech"
        self._tell(door.Transcript(turn=number, utterance=message.utterance, outcome=outcome, text=message.text))

    # Speaking over a reply.

    def _take_floor(self, barge_in: BargeIn) -> None:
        """Somebody has said enough: whatever was asked before is over."""
        self.state = replace(self.state, barge_in=replace(barge_in, has_floor=True))
        for turn in self._turns:
            if turn.number < barge_in.turn and turn.is_committed:
                self._interrupt(turn.number, "speech")
        reply = self.state.playback.reply
        if reply is not None and reply.turn < barge_in.turn and reply.turn not in self.state.turns:
            self._cue(cues.Stop(reply.turn))  # What is canned and was said after its turn.

    def _weigh(self) -> None:
        """Decide whether somebody who speaks has the floor, and whether a reply that gave way may go on."""
        barge_in = self.state.barge_in
        if barge_in is None:
            return
        weighs_at_s = weighs_at(self.state)
        is_due = weighs_at_s is not None and self.now >= weighs_at_s
        turn = self.state.turns.get(barge_in.turn)
        if turn is not None and barge_in.ended_at is None:
            if is_due:
                self._take_floor(barge_in)
            return
        if turn is None or is_due or self._may_sound(turn):
            self.state = replace(self.state, barge_in=None)
            reply = self.state.playback.reply
            if turn is not None and reply is not None and reply.turn == turn.number and not turn.is_answered:
                self._cue(cues.Withdraw(turn.number))
            self._cue(cues.TakeUp())

    def _may_sound(self, turn: Turn) -> bool:
        """Whether nothing would sound of a reply of which it is not known whether it is over."""
        reply = self.state.playback.reply
        return reply is None or (reply.turn == turn.number and (turn.is_answered or turn.revision > reply.revision))

    # Replying.

    def _raised(self, number: int, revision: int) -> Turn | None:
        """Return an open turn, at this revision at least; None if it is over, or beyond this revision."""
        turn = self.state.turns.get(number)
        if turn is None or revision < turn.revision:
            return None
        if revision > turn.revision:
            self._change(number, revision=revision, held=(), reply=None)
        return self.state.turns[number]

    def _receive(self, message: TurnMessage) -> None:
        turn = self._raised(message.turn, message.revision) if message.epoch == self.state.epoch else None
        if turn is None:
            return
        match message:
            case ReplyStarted():
                self._expect(turn, message)
            case TurnDismissed() if turn.is_committed:
                self._conclude(turn.number, Verdict(message.outcome, message.reason, message.detail))
            case TurnInterrupted() if turn.is_committed:
                self._conclude(turn.number, Verdict("interrupted", message.reason))
            case ReplyDelta() | PhraseReady() | ReplyEnded() | PhraseFailed() if turn.is_answered:
                self._reply(message)
            case ReplyDelta() | PhraseReady() | ReplyEnded() | PhraseFailed():
                self._change(turn.number, held=(*turn.held, message))
            case _:
                pass

    def _expect(self, turn: Turn, message: ReplyStarted) -> None:
        """Learn what the reply of this revision replies to."""
        before, covers = turn.answer, (message.revision, message.utterance, message.covers_seq)
        if before is None or (before.revision, before.utterance, before.covers_seq) != covers:
            is_early = message.early or (before is not None and before.revision == message.revision)
            answer = Answer(*covers, is_early)
            self._change(turn.number, answer=answer, has_guesses=turn.has_guesses or is_early)
        self._release(turn.number)

    def _release(self, number: int) -> None:
        """Let go of what was held of a reply, if its speaker has finished and it is a reply to all that they said."""
        turn = self.state.turns[number]
        if not turn.is_answered:
            return
        self._change(number, held=())
        playing = self.state.playback.reply
        if playing is not None and playing.has_begun and (playing.turn, playing.revision) == (number, turn.revision):
            # Its speaker went on and added nothing.
            self._progress(number, "first_token_at", "first_phrase_at", "first_frame_at", "played_from")
            if playing.has_sounded:
                self._note(number, sounded_at=self.now)
        for thing in turn.held:
            if isinstance(thing, cues.FrameArrived):
                self._take_frame(thing)
            else:
                self._receive(thing)

    def _reply(self, message: ReplyDelta | PhraseReady | ReplyEnded | PhraseFailed) -> None:
        number, revision = message.turn, message.revision
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

    # Being heard.

    def _take_frame(self, event: cues.FrameArrived) -> None:
        frame = event.frame
        turn = self._raised(event.turn, frame.revision) if frame.epoch == self.state.epoch & 0xFFFF else None
        if turn is None:
            return
        if turn.is_answered:
            self._progress(event.turn, "first_frame_at")
            self._cue(event)
        else:
            self._change(turn.number, held=(*turn.held, event))

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
            # A turn that goes on may have another reply.
            self._cue(cues.Withdraw(reply.turn) if reply.turn in self.state.turns else cues.Stop(reply.turn))

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
        self.effects += [Forget(utterance) for utterance in turn.utterances if utterance not in turn.forgotten]
        identity = Identity(
            session=state.session, epoch=state.epoch, turn=number, revision=turn.revision, speaker=turn.speaker
        )
        made = report(identity, turn.moments, turn.played, guessed(turn), verdict, unix_offset_s=state.unix_offset_s)
        self.effects.append(Conclude(replace(made, endpoint=turn.endpoint), turn.moments))
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
