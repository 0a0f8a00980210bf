"""Speech, replies and playback become turns, each with exactly one outcome: the gateway's state machine for a session.

One pure reducer, `step(state, event, now) -> (state, effects)`; `sessions` feeds it and carries out what it decides.
Delivery is at least once and in any order between services, so every message may be late, early or twice, and what
belongs to an older epoch, to a turn that is over or to an older revision is dropped here. The gateway mints turns and
utterances. The reducer knows no clock, no bus and no door; `listening` is its other half, and `playback` inside it
knows when which frame is heard.
"""

from typing import Literal

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
    TurnDismissed,
    TurnInterrupted,
    TurnMessage,
)
from parley_gateway import cues, playback
from parley_gateway.listening import Listening
from parley_gateway.reports import Identity, Verdict, report
from parley_gateway.turn_events import (
    ClientInterrupted,
    Conclude,
    Effect,
    Event,
    Forget,
    ListenerJoined,
    ListenerLeft,
    Play,
    Say,
    SessionClosed,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
)
from parley_gateway.turn_state import (
    Answer,
    BargeIn,
    Turn,
    Turns,
    fails_at,
    failure,
    guessed,
    held_tokens,
    holds_at,
    verdict,
    weighs_at,
)


def step(state: Turns, event: Event, now: float) -> tuple[Turns, list[Effect]]:
    """Decide what follows from an event; `now` is monotonic seconds and never goes back."""
    decision = _Turning(state, now)
    decision.take(event)
    return decision.state, decision.effects


class _Turning(Listening):
    """One step in the making."""

    def take(self, event: Event) -> None:
        """Take in the event of this step."""
        match event:
            case SpeechBegan() | SpeechPaused() | SpeechResumed() | SpeechEnded():
                self._listen(event)
            case FinalTranscript() | CandidateTranscript() | PartialTranscript():
                self.understand(event)
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

    def _listen(self, event: SpeechBegan | SpeechPaused | SpeechResumed | SpeechEnded) -> None:
        if isinstance(event, SpeechBegan):
            self.begin(event)
            if not event.continues:
                self._give_way()
            return
        self.hear(event)
        for turn in self.open_turns:
            self._release(turn.number)

    # Speaking over a reply.

    def _give_way(self) -> None:
        playing, was_held = self.state.playback.reply, self.state.playback.is_held
        self._cue(cues.GiveWay())
        if playing is not None and playing.has_begun and not was_held and playing.turn in self.state.turns:
            self.note(playing.turn, gives_way_from=self.now)

    def _note_way_given(self, number: int) -> None:
        """Note how long a reply gave way that goes on now, or is over."""
        moments = self.state.turns[number].moments
        if moments.gives_way_from is not None:
            gave_way = (*moments.gave_way, (moments.gives_way_from, self.now))
            self.change(number, moments=replace(moments, gives_way_from=None, gave_way=gave_way))

    def _take_floor(self, barge_in: BargeIn) -> None:
        """Somebody has said enough: whatever was asked before is over."""
        self.barge_in(replace(barge_in, has_floor=True))
        for turn in self.open_turns:
            if turn.is_committed and turn.place <= barge_in.since:
                self._interrupt(turn.number, "speech")
        reply = self.state.playback.reply
        if reply is not None and reply.turn not in self.state.turns:
            self._cue(cues.Stop(reply.turn))  # What is canned and was said after its turn.

    def _weigh(self) -> None:
        """Decide whether somebody who speaks has the floor, and whether a reply that gave way may go on."""
        before = self.state.barge_ins
        for barge_in in before.values():
            self._weigh_one(barge_in)
        if before and not self.state.barge_ins:
            for number in self.state.turns:
                self._note_way_given(number)
            self._cue(cues.TakeUp())

    def _weigh_one(self, barge_in: BargeIn) -> None:
        weighs_at_s = weighs_at(self.state, barge_in)
        is_due = weighs_at_s is not None and self.now >= weighs_at_s
        turn = self.state.turns.get(barge_in.turn)
        speaks = turn is not None and barge_in.ended_at is None
        if not barge_in.has_floor and (barge_in.has_words or (is_due and barge_in.ended_at is None)):
            self._take_floor(barge_in)
            if speaks:
                return  # Whoever finishes from now on waits for them.
        if turn is None or is_due or (not speaks and self._may_sound(turn)):
            others = {number: other for number, other in self.state.barge_ins.items() if number != barge_in.turn}
            self.state = replace(self.state, barge_ins=others)
            reply = self.state.playback.reply
            if turn is not None and reply is not None and reply.turn == turn.number and not turn.is_answered:
                self._cue(cues.Withdraw(turn.number))

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
            unreleased = turn.unreleased + held_tokens(turn)
            self.change(number, revision=revision, held=(), unreleased=unreleased, reply=None)
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
                self.change(turn.number, held=(*turn.held, message))
            case _:
                pass

    def _expect(self, turn: Turn, message: ReplyStarted) -> None:
        """Learn what the reply of this revision replies to."""
        playing = self.state.playback.reply
        if playing is not None and playing.turn == turn.number:
            # Now, and not with the first sound of the other reply: until then the older one would go on.
            self._cue(cues.Revise(turn.number, message.revision))
        before, covers = turn.answer, (message.revision, message.utterance, message.covers_seq)
        if before is None or (before.revision, before.utterance, before.covers_seq) != covers:
            is_early = message.early or (before is not None and before.revision == message.revision)
            answer = Answer(*covers, is_early)
            self.change(turn.number, answer=answer, has_guesses=turn.has_guesses or is_early)
        self._release(turn.number)

    def _release(self, number: int) -> None:
        """Let go of what was held of a reply, if its speaker has finished and it is a reply to all that they said."""
        turn = self.state.turns[number]
        if not turn.is_answered:
            return
        self.change(number, held=())
        playing = self.state.playback.reply
        is_resumed = playing is not None and playing.has_begun and turn.moments.first_token_at is None
        if playing is not None and is_resumed and (playing.turn, playing.revision) == (number, turn.revision):
            # Its speaker went on and added nothing.
            self.progress(number, "first_token_at", "first_phrase_at", "first_frame_at", "played_from")
            if playing.has_sounded:
                self.note(number, sounded_at=self.now)
        for thing in turn.held:
            if isinstance(thing, cues.FrameArrived):
                self._take_frame(thing)
            else:
                self._receive(thing)

    def _reply(self, message: ReplyDelta | PhraseReady | ReplyEnded | PhraseFailed) -> None:
        number, revision = message.turn, message.revision
        turn = self.state.turns[number]
        match message:
            case ReplyDelta():
                self.progress(number, "first_token_at")
                self.tell(door.Delta(turn=number, index=message.index, text=message.text))
            case PhraseReady():
                # Deltas are sent at most once: should the first be lost, the phrase made of it shows that it was.
                self.progress(number, "first_token_at", "first_phrase_at")
                announced = self.state.turns[number].announced
                if (revision, message.phrase) not in announced:
                    self.change(number, announced=announced | {(revision, message.phrase)})
                    self.tell(door.Phrase(turn=number, phrase=message.phrase, text=message.text))
                self._play(turn, cues.PhraseAnnounced(number, revision, message.phrase))
            case ReplyEnded():
                self.progress(number)
                self.change(number, reply=message)
                self._play(turn, cues.ReplyComplete(number, revision, message.phrases))
            case PhraseFailed():
                self.change(number, lost=message.reason)
                self._play(turn, cues.PhraseLost(number, revision, message.phrase))

    # Being heard.

    def _take_frame(self, event: cues.FrameArrived) -> None:
        frame = event.frame
        turn = self._raised(event.turn, frame.revision) if frame.epoch == self.state.epoch & 0xFFFF else None
        if turn is None:
            return
        if turn.is_answered:
            self.progress(event.turn, "first_frame_at")
            self._play(turn, event)
        else:
            self.change(turn.number, held=(*turn.held, event))

    def _play(self, turn: Turn, cue: cues.Cue) -> None:
        """Let something of a turn's reply be heard, unless a reply to what was said after it is heard already."""
        reply = self.state.playback.reply
        other = self.state.turns.get(reply.turn) if reply is not None else None
        if other is not None and other.number != turn.number:
            if other.place > turn.place:
                return
            if not other.is_committed:
                # Its speaker goes on, and somebody else has finished meanwhile: theirs is the next reply.
                self._cue(cues.Withdraw(other.number))
        self._cue(cue)

    def _go_on(self) -> None:
        for turn in self.open_turns:
            self.change(turn.number, waits_since=self.now)
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
                self.tell(door.Canned(turn=turn, kind=kind, text=self.state.canned[kind].text, at_ms=at_ms))
            case cues.Sounded(turn, at):
                self.note(turn, sounded_at=at)
            case cues.RanDry(turn):
                played = self.state.turns[turn].played
                self.change(turn, played=replace(played, underruns=played.underruns + 1))
            case cues.Cut(turn, at_ms, next_ms):
                self._forget_unheard(turn)
                self.tell(door.Cut(turn=turn, at_ms=at_ms, next_ms=next_ms))
            case cues.ReplyOver(turn, is_complete=True) if turn in self.state.turns:
                self._conclude(turn, verdict(self.state.turns[turn]))
            case cues.ReplyOver(turn) if turn in self.state.turns:
                self._interrupt(turn, "speech", action)

    def _forget_unheard(self, number: int) -> None:
        """What was under way has been cut; if its first audible sample was, nobody heard that."""
        turn = self.state.turns.get(number)
        sounded_at = None if turn is None else turn.moments.sounded_at
        if sounded_at is not None and sounded_at + self.state.playback.lag_s >= self.now:
            self.note(number, sounded_at=None)

    def _phrase_began(self, began: cues.PhraseBegan) -> None:
        place = self.state.turns[began.turn].place
        for turn in self.open_turns:
            # An older turn can only be waiting for a reply that would not be played any more.
            if turn.is_committed and turn.place < place:
                self._interrupt(turn.number, "speech")
        self.progress(began.turn, "played_from")
        started = PlaybackStarted(**self.turn_fields(began.turn, began.revision), phrase=began.phrase)
        self.record(started, f"{self.state.epoch}-{began.turn}-{began.revision}-{began.phrase}-began")
        self.tell(door.Mark(turn=began.turn, phrase=began.phrase, edge="begin", at_ms=began.at_ms))

    def _phrase_over(self, over: cues.PhraseOver) -> None:
        heard = PhrasePlayed(
            **self.turn_fields(over.turn, over.revision), phrase=over.phrase, played_ms=over.played_ms, whole=over.whole
        )
        self.record(heard, f"{self.state.epoch}-{over.turn}-{over.revision}-{over.phrase}-played")
        self.tell(door.Mark(turn=over.turn, phrase=over.phrase, edge="end", at_ms=over.at_ms))
        if (turn := self.state.turns.get(over.turn)) is not None:
            played = replace(
                turn.played,
                played_ms=turn.played.played_ms + over.played_ms,
                phrases=turn.played.phrases + bool(over.played_ms),
            )
            waits_since = self.now if over.played_ms else turn.waits_since
            self.change(turn.number, played=played, waits_since=waits_since)

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
                        **self.turn_fields(number, turn.revision),
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
        for turn in self.open_turns:
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
        for turn in self.open_turns:
            if not turn.is_committed:
                continue
            hold_at = holds_at(self.state, turn)
            if self.now >= fails_at(self.state, turn):
                self._conclude(turn.number, failure(turn))
            elif hold_at is not None and self.now >= hold_at:
                self.change(turn.number, is_held=True)
                if hold := self.state.canned.get("hold"):
                    self._cue(cues.SayBefore(turn.number, turn.revision, hold.frames))

    def _conclude(self, number: int, verdict: Verdict) -> None:
        """Give a turn its one outcome; who hears of a failure only by silence is told."""
        self._silence(number)
        self._note_way_given(number)
        state, turn = self.state, self.state.turns[number]
        self.state = replace(
            state,
            turns={other: open_turn for other, open_turn in state.turns.items() if other != number},
            speaking={who: running for who, running in state.speaking.items() if running != number},
        )
        self.effects += [Forget(utterance) for utterance in turn.utterances if utterance not in turn.forgotten]
        identity = Identity(
            session=state.session, epoch=state.epoch, turn=number, revision=turn.revision, speaker=turn.speaker
        )
        made = report(identity, turn.moments, turn.played, guessed(turn), verdict, unix_offset_s=state.unix_offset_s)
        self.effects.append(Conclude(replace(made, endpoint=turn.endpoint), turn.moments))
        is_latest = all(other.is_committed and other.place < turn.place for other in self.open_turns)
        if verdict.outcome == "failed" and is_latest and (apology := self.state.canned.get("apology")):
            self._cue(cues.SayAfter(number, apology.frames))

    def _silence(self, number: int) -> cues.ReplyOver | None:
        """Stop the turn's reply if it is the one that plays; another turn's goes on."""
        reply = self.state.playback.reply
        return self._cue(cues.Stop(number)) if reply and reply.turn == number else None
