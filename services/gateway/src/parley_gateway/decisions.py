"""One step in the making: state and effects so far, and what every part of the `turns` reducer does to them.

`listening` and `sounding` build on it, on that `replying` and `barge_in`, and `turns` on all. Pure.
"""

from msgspec.structs import replace

from parley_contract import door
from parley_contract.messages import SpeechFields, TurnFields, TurnMessage
from parley_gateway.turn_events import Effect, Record, Tell
from parley_gateway.turn_state import BargeIn, Turn, Turns


class Decision:
    """One step."""

    def __init__(self, state: Turns, now: float) -> None:
        """Begin with what is there; `now` is monotonic seconds."""
        self.state = state
        self.effects: list[Effect] = []
        self.now = now

    @property
    def open_turns(self) -> list[Turn]:
        """The turns that are not over, oldest first."""
        return list(self.state.turns.values())

    def change(self, number: int, **changes: object) -> None:
        """Replace fields of an open turn."""
        turns = self.state.turns
        self.state = replace(self.state, turns={**turns, number: replace(turns[number], **changes)})

    def note(self, number: int, **moments: float | None) -> None:
        """Note moments; those that are there are replaced."""
        self.change(number, moments=replace(self.state.turns[number].moments, **moments))

    def progress(self, number: int, *firsts: str) -> None:
        """Note that the reply comes on, and moments that count only the first time."""
        moments = self.state.turns[number].moments
        self.note(number, **{name: self.now for name in firsts if getattr(moments, name) is None})
        if self.state.turns[number].moments.played_from is not None:
            self.change(number, waits_since=self.now)

    def turn_fields(self, number: int, revision: int) -> TurnFields:
        """Return what a message about a turn has."""
        return TurnFields(session=self.state.session, epoch=self.state.epoch, turn=number, revision=revision)

    def change_barge_in(self, barge_in: BargeIn) -> None:
        """Replace what is known of somebody who speaks over what else there is to be heard."""
        self.state = replace(self.state, barge_ins={**self.state.barge_ins, barge_in.turn: barge_in})

    def speech_fields(self, turn: Turn) -> SpeechFields:
        """Return what a message about a turn's latest utterance has."""
        return SpeechFields(
            **self.turn_fields(turn.number, turn.revision), utterance=turn.utterances[-1], speaker=turn.speaker
        )

    def record(self, message: TurnMessage, message_id: str) -> None:
        """Have it said and kept."""
        self.effects.append(Record(message, f"{self.state.session}-{message_id}"))

    def tell(self, event: door.Event) -> None:
        """Have the client told."""
        self.effects.append(Tell(event))
