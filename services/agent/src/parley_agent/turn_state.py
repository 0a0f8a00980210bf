"""All that the agent knows of a session's conversation. Plain values; `turns` makes the next ones."""

import msgspec
from msgspec.structs import replace

from parley_agent.history import History, heard_part
from parley_agent.phrasing import Phrase
from parley_contract.messages import FinalTranscript, UtteranceEnded


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the reducer decides by."""

    language: str
    system_prompt: str
    num_predict: int
    max_context_turns: int
    num_ctx: int


class Heard(msgspec.Struct, frozen=True):
    """One utterance of a turn: how it ended and what it said, as far as known."""

    ended: UtteranceEnded | None = None
    final: FinalTranscript | None = None
    has_begun: bool = False
    """Whether it has its place in the turn: a transcript may come before the utterances that were spoken before it."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as it grows and is played."""

    user: str
    rest: str = ""
    """Text that is no phrase yet."""
    deltas: int = 0
    phrases: tuple[Phrase, ...] = ()
    sent: int = 0
    """How many phrases the tts workers were given."""
    durations_s: tuple[tuple[int, float], ...] = ()
    playing: int = -1
    """The highest phrase that began to play or was skipped."""
    playing_since: float = 0.0
    shares: tuple[tuple[int, float], ...] = ()
    """Which share (0 to 1) of each phrase was played, as `(phrase, share)`."""
    guess: float = 0.0
    """Which share of the phrase that plays may have been played, as long as nobody has said."""
    is_generated: bool = False

    @property
    def heard(self) -> str:
        """The reply as far as it was played."""
        shares = {self.playing: self.guess, **dict(self.shares)}
        return "".join(heard_part(phrase.text, shares.get(n, 0.0)) for n, phrase in enumerate(self.phrases)).strip()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn: listening while `reply` is None."""

    number: int
    speaker: str = ""
    began_at: float
    """When it was first heard of, on the agent's monotonic clock."""
    revision: int = 0
    utterances: tuple[tuple[str, Heard], ...] = ()
    reply: Reply | None = None


class Unaccounted(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is over and whose report has not come: should the gateway die now, nobody else can account for it."""

    turn: int
    revision: int
    speaker: str
    began_at: float


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """All that the agent knows of a session."""

    rules: Rules
    epoch: int
    history: History = History()
    turns: tuple[Turn, ...] = ()
    """Turns that are not over, oldest first."""
    over: int = 0
    """The highest turn that is over; a turn up to it that is not in `turns` is over too."""
    unaccounted: tuple[Unaccounted, ...] = ()
    latest_replies: tuple[Turn, ...] = ()
    """The turns that went into history last: how far their replies were heard may be told late."""

    @property
    def latest(self) -> int:
        """The highest turn number seen."""
        return max((self.over, *(turn.number for turn in self.turns)))

    def find(self, number: int) -> Turn | None:
        """Return a turn that is not over."""
        return next((turn for turn in self.turns if turn.number == number), None)

    def is_over(self, number: int) -> bool:
        """Whether a turn, known or not, is over."""
        return number <= self.over and self.find(number) is None

    def having(self, turn: Turn) -> "Conversation":
        """Return the conversation with this turn, in place of what it was."""
        others = [other for other in self.turns if other.number != turn.number]
        return replace(self, turns=tuple(sorted((*others, turn), key=lambda each: each.number)))

    def without(self, turn: Turn) -> "Conversation":
        """Return the conversation with this turn over, and not accounted for yet."""
        others = tuple(other for other in self.turns if other.number != turn.number)
        waits = Unaccounted(turn=turn.number, revision=turn.revision, speaker=turn.speaker, began_at=turn.began_at)
        unaccounted = (*self.unaccounted, waits)
        return replace(self, turns=others, over=max(self.over, turn.number), unaccounted=unaccounted)

    def accounted(self, number: int) -> "Conversation":
        """Return the conversation with this turn, which is over, accounted for."""
        waiting = tuple(each for each in self.unaccounted if each.turn != number)
        return replace(self, unaccounted=waiting)
