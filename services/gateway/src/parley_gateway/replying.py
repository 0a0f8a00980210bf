"""Replies come in, from the agent and from tts, and wait for the end of their turn: a part of the `turns` reducer.

Nothing of one is let out before its speaker has finished, nor of one that takes less than all they said into account.
Pure.
"""

from parley_contract import door
from parley_contract.messages import (
    PhraseFailed,
    PhraseReady,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    TurnDismissed,
    TurnInterrupted,
    TurnMessage,
)
from parley_gateway import cues
from parley_gateway.reports import Verdict
from parley_gateway.sounding import Sounding
from parley_gateway.turn_state import Answer, Turn, held_tokens


class Replying(Sounding):
    """One step, as far as it is about replies."""

    def receive(self, message: TurnMessage) -> None:
        """Take in what is said of a reply; what is of an older one, or of a turn that is over, makes no difference."""
        turn = self._raised(message.turn, message.revision) if message.epoch == self.state.epoch else None
        if turn is None:
            return
        match message:
            case ReplyStarted():
                self._expect(turn, message)
            case TurnDismissed() if turn.is_committed:
                self.conclude(turn.number, Verdict(message.outcome, message.reason, message.detail))
            case TurnInterrupted() if turn.is_committed:
                self.conclude(turn.number, Verdict("interrupted", message.reason))
            case ReplyDelta() | PhraseReady() | ReplyEnded() | PhraseFailed() if turn.is_answered:
                self._reply(message)
            case ReplyDelta() | PhraseReady() | ReplyEnded() | PhraseFailed():
                self.change(turn.number, held=(*turn.held, message))
            case _:
                pass

    def take_frame(self, event: cues.FrameArrived) -> None:
        """Take in a frame of a reply, likewise."""
        frame = event.frame
        turn = self._raised(event.turn, frame.revision) if frame.epoch == self.state.epoch & 0xFFFF else None
        if turn is None:
            return
        if turn.is_answered:
            self.progress(event.turn, "first_frame_at")
            self.play(turn, event)
        else:
            self.change(turn.number, held=(*turn.held, event))

    def _raised(self, number: int, revision: int) -> Turn | None:
        """Return an open turn, at this revision at least; None if it is over, or beyond this revision."""
        turn = self.state.turns.get(number)
        if turn is None or revision < turn.revision:
            return None
        if revision > turn.revision:
            unreleased = turn.unreleased + held_tokens(turn)
            self.change(number, revision=revision, held=(), unreleased=unreleased, reply=None)
        return self.state.turns[number]

    def _expect(self, turn: Turn, message: ReplyStarted) -> None:
        """Learn what the reply of this revision replies to."""
        playing = self.state.playback.reply
        if playing is not None and playing.turn == turn.number:
            # Now, and not with the first sound of the other reply: until then the older one would go on.
            self.cue(cues.Revise(turn.number, message.revision))
        before, covers = turn.answer, (message.revision, message.utterance, message.covers_seq)
        if before is None or (before.revision, before.utterance, before.covers_seq) != covers:
            is_early = message.early or (before is not None and before.revision == message.revision)
            answer = Answer(*covers, is_early)
            self.change(turn.number, answer=answer, has_guesses=turn.has_guesses or is_early)
        self.release(turn.number)

    def release(self, number: int) -> None:
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
                self.take_frame(thing)
            else:
                self.receive(thing)

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
                self.play(turn, cues.PhraseAnnounced(number, revision, message.phrase))
            case ReplyEnded():
                self.progress(number)
                self.change(number, reply=message)
                self.play(turn, cues.ReplyComplete(number, revision, message.phrases))
            case PhraseFailed():
                self.change(number, lost=message.reason)
                self.play(turn, cues.PhraseLost(number, revision, message.phrase))
