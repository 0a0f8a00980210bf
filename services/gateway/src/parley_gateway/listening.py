"""Speech becomes turns, and transcripts say what was said: the part of the `turns` reducer that listens. Pure."""

from msgspec.structs import replace

from parley_contract import door
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    PartialTranscript,
    SegmentEnded,
    SegmentStarted,
    TranscribeUtterance,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_gateway.decisions import Decision
from parley_gateway.reports import Moments
from parley_gateway.turn_events import Forget, Say, SpeechBegan, SpeechEnded, SpeechPaused, SpeechResumed
from parley_gateway.turn_state import BargeIn, Turn, heard_on


class Listening(Decision):
    """One step, as far as it is about speech."""

    def begin(self, event: SpeechBegan) -> None:
        """Somebody began to speak, or goes on in another utterance."""
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
        speech = self.speech_fields(turn)
        self.record(UtteranceStarted(**speech, continues=continues, name=event.name), f"{utterance}-started")
        life_s = state.rules.max_utterance_s + state.rules.fail_after_s
        self.record(TranscribeUtterance(**speech, life_s=life_s), f"{utterance}-work")
        self.tell(door.SpeechStarted(turn=turn.number, utterance=utterance))
        if not event.continues:
            barge_in = BargeIn(turn=turn.number, since=state.commits, voiced_from=event.voiced_at)
            self.state = replace(self.state, barge_ins={**state.barge_ins, turn.number: barge_in})

    def _running(self, speaker: str) -> Turn | None:
        """Return the turn that a speaker is in the middle of."""
        number = self.state.speaking.get(speaker)
        return None if number is None else self.state.turns.get(number)

    def _reopened(self, event: SpeechBegan) -> Turn | None:
        """Return the turn that was committed last, to go on with, if it is this speaker's and they had only paused."""
        turn = next((turn for turn in self.state.turns.values() if turn.place == self.state.commits), None)
        if not event.reopens or turn is None or turn.speaker != event.speaker or not turn.is_committed:
            return None
        before, let_out_at = turn.moments, turn.moments.first_token_at
        taken_back = before.taken_back if let_out_at is None else (*before.taken_back, (let_out_at, self.now))
        return replace(
            turn,
            moments=Moments(began_at=before.began_at, gave_way=before.gave_way, taken_back=taken_back),
            is_held=False,
            taken_back=turn.taken_back + (let_out_at is not None),
        )

    def hear(self, event: SpeechPaused | SpeechResumed | SpeechEnded) -> None:
        """They paused, went on, or have finished."""
        turn = self._running(event.speaker)
        if turn is None:
            return
        utterance, barge_in = turn.utterances[-1], self.state.barge_ins.get(turn.number)
        if barge_in is not None:
            self.change_barge_in(heard_on(barge_in, event, self.now))
        match event:
            case SpeechPaused(last_seq=last_seq):
                paused = SegmentEnded(**self.speech_fields(turn), last_seq=last_seq)
                self.record(paused, f"{utterance}-paused-{last_seq}")
            case SpeechResumed(latest_seq=latest_seq):
                # Not recorded: it only spares work that is of no use, and nobody may wait for what was said before.
                self.effects.append(Say(SegmentStarted(**self.speech_fields(turn), latest_seq=latest_seq)))
            case SpeechEnded():
                self._end_speech(turn, event)

    def _end_speech(self, turn: Turn, event: SpeechEnded) -> None:
        ended = UtteranceEnded(
            **self.speech_fields(turn), last_seq=event.last_seq, voiced_seq=event.voiced_seq, reason=event.reason
        )
        self.record(ended, f"{turn.utterances[-1]}-ended")
        self.note(turn.number, voiced_until=event.voiced_until)
        if event.reason == "max_length":
            return
        self.state = replace(self.state, commits=self.state.commits + 1)
        self.change(
            turn.number,
            place=self.state.commits,
            waits_since=self.now,
            voiced_seq=event.voiced_seq,
            endpoint=event.endpoint,
        )
        self.note(turn.number, decided_at=self.now)
        others = {who: running for who, running in self.state.speaking.items() if who != event.speaker}
        self.state = replace(self.state, speaking=others)
        self._take_candidate(turn.number)

    def understand(self, message: FinalTranscript | CandidateTranscript | PartialTranscript) -> None:
        """Something was understood of what they said."""
        turn = self.state.turns.get(message.turn)
        if turn is None or message.epoch != self.state.epoch or message.utterance not in turn.utterances:
            return
        if isinstance(message, FinalTranscript) and message.utterance not in turn.forgotten:
            self.change(turn.number, forgotten=turn.forgotten | {message.utterance})
            self.effects.append(Forget(message.utterance))
        if message.utterance in turn.transcribed:
            return
        barge_in = self.state.barge_ins.get(turn.number)
        if message.text and barge_in is not None:
            self.change_barge_in(replace(barge_in, has_words=True))
        match message:
            case PartialTranscript():
                self.tell(door.Partial(turn=message.turn, utterance=message.utterance, text=message.text))
            case CandidateTranscript():
                known = turn.candidate
                is_news = known is None or known.utterance != message.utterance or known.covers_seq < message.covers_seq
                if is_news and message.utterance == turn.utterances[-1]:
                    self.change(turn.number, candidate=message)
                    self._take_candidate(turn.number)
            case FinalTranscript():
                self._transcribe(turn.number, message)

    def _take_candidate(self, number: int) -> None:
        """Take the candidate for the final, if its speaker has finished and nothing voiced followed it."""
        turn = self.state.turns[number]
        candidate = turn.candidate
        if not turn.is_committed or candidate is None or candidate.utterance != turn.utterances[-1]:
            return
        if candidate.covers_seq >= turn.voiced_seq:
            self._transcribe(number, candidate)

    def _transcribe(self, number: int, message: FinalTranscript | CandidateTranscript) -> None:
        transcribed = self.state.turns[number].transcribed
        if message.utterance in transcribed:
            return
        self.change(number, transcribed=transcribed | {message.utterance})
        self.note(number, transcribed_at=self.now)
        outcome = message.outcome if isinstance(message, FinalTranscript) else "speech"
        self.tell(door.Transcript(turn=number, utterance=message.utterance, outcome=outcome, text=message.text))
