"""What a game begins with: who speaks, what may go wrong; and what is written down of it. Plain values."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from parley_contract.messages import Message

TurnKey = tuple[int, int]
"""Epoch and number."""


class Misfortune(NamedTuple):
    """How much of what must not be counted on can still happen."""

    crashes: int = 0
    losses: int = 0
    """Of what is not recorded."""
    repetitions: int = 0
    """Of what waits for its receiver."""
    echoes: int = 0
    """Of anything ever recorded, however long ago."""
    delays: int = 0
    """How often a timer goes off although something else could happen first."""
    refusals: int = 0
    """Of asr, model and tts: they fail, find nothing, or stay silent for ever."""


class Person(NamedTuple):
    """What somebody will do, beside being silent."""

    questions: int = 1
    breaths: int = 0
    """How often a question is so long that it becomes two utterances."""
    pauses: int = 0
    """How often they pause before they have finished, and may go on."""
    interrupts: int = 0
    absences: int = 0
    """How often the connection goes and comes back."""
    says_goodbye: bool = False


NONE: Final = Misfortune()


class Record(NamedTuple):
    """What `promises` has to know of what happened."""

    decided: Mapping[TurnKey, float] = {}
    """When each turn's speaker had finished and was there to listen."""
    concluded: Mapping[TurnKey, float] = {}
    """When the gateway gave it its outcome."""
    overtaken: tuple[TurnKey, ...] = ()
    """Turns of which a frame was sent although a newer reply to them was begun."""
    concealed: int = 0
    """How many lost frames were played as silence."""
    events: tuple[Message, ...] = ()
    """All that the stream has kept, in that order."""
