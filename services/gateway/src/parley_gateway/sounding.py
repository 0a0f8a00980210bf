"""What is heard of a reply, and how a turn ends: the part of the `turns` reducer around `playback`. Pure."""

from typing import Literal

from msgspec.structs import replace

from parley_contract import door
from parley_contract.messages import InterruptTurn, PhrasePlayed, PlaybackStarted
from parley_gateway import cues, playback
from parley_gateway.decisions import Decision
from parley_gateway.reports import Identity, Verdict, report
from parley_gateway.turn_events import Conclude, Forget, Play, Say
from parley_gateway.turn_state import Turn, guessed, verdict


class Sounding(Decision):
    """One step, as far as it is about what is heard, and about ends."""

    def play(self, turn: Turn, cue: cues.Cue) -> None:
        """Let something of a turn's reply be heard, unless a reply to what was said after it is heard already."""
        reply = self.state.playback.reply
        other = self.state.turns.get(reply.turn) if reply is not None else None
        if other is not None and other.number != turn.number:
            if other.place > turn.place:
                return
            if not other.is_committed:
                # Its speaker goes on, and somebody else has finished meanwhile: theirs is the next reply.
                self.cue(cues.Withdraw(other.number))
        self.cue(cue)

    def cue(self, cue: cues.Cue) -> cues.ReplyOver | None:
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
                self.conclude(turn, verdict(self.state.turns[turn]))
            case cues.ReplyOver(turn) if turn in self.state.turns:
                self.interrupt(turn, "speech", action)

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
                self.interrupt(turn.number, "speech")
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

    def note_way_given(self, number: int) -> None:
        """Note how long a reply gave way that goes on now, or is over."""
        moments = self.state.turns[number].moments
        if moments.gives_way_from is not None:
            gave_way = (*moments.gave_way, (moments.gives_way_from, self.now))
            self.change(number, moments=replace(moments, gives_way_from=None, gave_way=gave_way))

    # Ending.

    def interrupt(
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
        self.conclude(number, Verdict("interrupted", reason))

    def conclude(self, number: int, verdict: Verdict) -> None:
        """Give a turn its one outcome; who hears of a failure only by silence is told."""
        self._silence(number)
        self.note_way_given(number)
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
            self.cue(cues.SayAfter(number, apology.frames))

    def _silence(self, number: int) -> cues.ReplyOver | None:
        """Stop the turn's reply if it is the one that plays; another turn's goes on."""
        reply = self.state.playback.reply
        return self.cue(cues.Stop(number)) if reply and reply.turn == number else None
