"""Somebody speaks while a reply is heard, or is about to be: the part of the `turns` reducer by which it dies young.

Whatever sounds gives way at once. Whoever has spoken for long enough, or said words, has the floor, and what was asked
before is over; if it was neither, the reply goes on where it was. Pure.
"""

from msgspec.structs import replace

from parley_gateway import cues
from parley_gateway.sounding import Sounding
from parley_gateway.turn_state import BargeIn, Turn, weighs_at


class BargingIn(Sounding):
    """One step, as far as it is about speech over a reply."""

    def give_way(self) -> None:
        """Hold what sounds: somebody begins to speak."""
        playing, was_held = self.state.playback.reply, self.state.playback.is_held
        self.cue(cues.GiveWay())
        if playing is not None and playing.has_begun and not was_held and playing.turn in self.state.turns:
            self.note(playing.turn, gives_way_from=self.now)

    def weigh(self) -> None:
        """Decide whether somebody who speaks has the floor, and whether a reply that gave way may go on."""
        before = self.state.barge_ins
        for barge_in in before.values():
            self._weigh_one(barge_in)
        if before and not self.state.barge_ins:
            for number in self.state.turns:
                self.note_way_given(number)
            self.cue(cues.TakeUp())

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
                self.cue(cues.Withdraw(turn.number))

    def _take_floor(self, barge_in: BargeIn) -> None:
        """Somebody has said enough: whatever was asked before is over."""
        self.change_barge_in(replace(barge_in, has_floor=True))
        for turn in self.open_turns:
            if turn.is_committed and turn.place <= barge_in.since:
                self.interrupt(turn.number, "speech")
        reply = self.state.playback.reply
        if reply is not None and reply.turn not in self.state.turns:
            self.cue(cues.Stop(reply.turn))  # What is canned and was said after its turn.

    def _may_sound(self, turn: Turn) -> bool:
        """Whether nothing would sound of a reply of which it is not known whether it is over."""
        reply = self.state.playback.reply
        return reply is None or (reply.turn == turn.number and (turn.is_answered or turn.revision > reply.revision))
