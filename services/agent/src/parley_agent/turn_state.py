"""All that the agent knows of a session's conversation. Plain values; `turns` makes the next ones."""

import msgspec
from msgspec.structs import replace

from parley_agent.history import History, heard_part
from parley_agent.phrasing import Phrase
from parley_contract.messages import CandidateTranscript, FinalTranscript, UtteranceEnded
from parley_contract.resource import Speculation


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the reducer decides by."""

    language: str
    system_prompt: str
    num_predict: int
    max_context_turns: int
    num_ctx: int
    speculation: Speculation = "off"


class Heard(msgspec.Struct, frozen=True):
    """One utterance of a turn: how it ended and what it said, as far as known."""

    ended: UtteranceEnded | None = None
    candidate: CandidateTranscript | None = None
    """The latest one: what was said up to a pause."""
    resumed_seq: int = -1
    """The frame by which it was certain that they spoke on after a pause."""
    final: FinalTranscript | None = None

    @property
    def is_stale(self) -> bool:
        """Whether they have spoken on since the candidate."""
        return self.candidate is not None and self.candidate.covers_seq <= self.resumed_seq

    @property
    def transcript(self) -> CandidateTranscript | FinalTranscript | None:
        """What it amounts to, once that is known: the candidate is as good as the final where nothing voiced followed.

        Whichever came first stands, or a reply that began with one would be taken back for the other.
        """
        voiced_seq = self.ended.voiced_seq if self.ended else None
        if self.candidate and voiced_seq is not None and voiced_seq <= self.candidate.covers_seq:
            return self.candidate
        return self.final


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as it grows and is played; begun on a guess, perhaps."""

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
    """One turn: listening until it is committed."""

    number: int
    speaker: str = ""
    name: str = ""
    """How its speaker is called, where there are others."""
    place: int = 0
    """The how-manieth turn it was whose speaker had finished: who began first may finish last. 0 before."""
    began_at: float
    """When it was first heard of, on the agent's monotonic clock."""
    revision: int = 0
    utterances: tuple[tuple[str, Heard], ...] = ()
    """By their ids, in the order in which they were spoken, whichever was heard of first."""
    reply: Reply | None = None
    """Before the commit a speculation, which nobody hears anything of."""
    is_committed: bool = False
    """Whether its speaker has finished, as far as is known: it may be reopened."""
    partial: str = ""
    """What was understood so far of the utterance that runs."""
    warmed: str = ""
    """Which words of it the model's prefix cache was filled with."""
    wasted: int = 0
    """Tokens of replies that were begun and dropped."""

    @property
    def is_replied_to(self) -> bool:
        """Whether its reply is being made or heard."""
        return self.is_committed and self.reply is not None


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
    """The highest turn that is over; a turn up to it that is not in `turns` is over too, but for those `behind`."""
    behind: frozenset[int] = frozenset()
    """Turns up to `over` that were not over when another process died, and were not heard of here yet."""
    finished: int = 0
    """How often somebody had finished: the place of the latest such turn."""
    replied: int = 0
    """The place of the latest turn that is over and had a reply."""
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
        return number <= self.over and self.find(number) is None and number not in self.behind

    @property
    def still_open(self) -> frozenset[int]:
        """The turns up to `over` that are not over: somebody else began later and had finished earlier."""
        return self.behind | {turn.number for turn in self.turns if turn.number < self.over}

    def having(self, turn: Turn) -> "Conversation":
        """Return the conversation with this turn, in place of what it was."""
        others = [other for other in self.turns if other.number != turn.number]
        return replace(self, turns=tuple(sorted((*others, turn), key=lambda each: each.number)))

    def without(self, turn: Turn) -> "Conversation":
        """Return the conversation with this turn over, and not accounted for yet."""
        others = tuple(other for other in self.turns if other.number != turn.number)
        waits = Unaccounted(turn=turn.number, revision=turn.revision, speaker=turn.speaker, began_at=turn.began_at)
        unaccounted = (*self.unaccounted, waits)
        return replace(
            self,
            turns=others,
            over=max(self.over, turn.number),
            behind=self.behind - {turn.number},
            unaccounted=unaccounted,
        )

    def accounted(self, number: int) -> "Conversation":
        """Return the conversation with this turn, which is over, accounted for."""
        waiting = tuple(each for each in self.unaccounted if each.turn != number)
        return replace(self, unaccounted=waiting)
