"""What happens to a turn and what the reducer wants done about it. Plain values; `turns` decides, `worker` does."""

from typing import Literal

import msgspec

from parley_agent.history import History
from parley_contract.messages import Message
from parley_contract.reasons import Reason

# Events beside the messages of the bus.


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Text arrived from the model."""

    turn: int
    revision: int
    text: str


class GenerationEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The model has stopped: by itself, at `numPredict` (`length`), by failing, or as a guess that had no place."""

    turn: int
    revision: int
    outcome: Literal["stop", "length", "failed", "refused"]
    reason: Reason = ""
    detail: str = ""


class SessionEnded(msgspec.Struct, frozen=True):
    """The listener has gone, and the gateway has accounted for it."""


class GatewayLost(msgspec.Struct, frozen=True):
    """The gateway that knew the open turns is gone."""


Event = Message | Tokens | GenerationEnded | SessionEnded | GatewayLost


# Effects.


class Generate(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the model; answers come back as Tokens and GenerationEnded of this turn and revision."""

    turn: int
    revision: int
    user: str
    history: History
    is_speculative: bool = False
    """Whether it is asked only if nobody else needs the model; it may be refused or broken off at any time."""


class Commit(msgspec.Struct, frozen=True):
    """The speculation of this turn is its reply: it is not to be broken off for others any more."""

    turn: int


class Warm(msgspec.Struct, frozen=True, kw_only=True):
    """Fill the model's prefix cache with a question's beginning, if the model has nothing else to do."""

    history: History
    user: str


class DropPhrases(msgspec.Struct, frozen=True):
    """Take the turn's phrases away from the tts workers."""

    turn: int


class CancelGeneration(msgspec.Struct, frozen=True):
    """Stop asking."""

    turn: int


class SayReplyStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a ReplyStarted."""

    turn: int
    revision: int
    utterance: str
    covers_seq: int
    is_early: bool


class SayDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a ReplyDelta."""

    turn: int
    revision: int
    index: int
    text: str


class SayPhrase(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a PhraseReady."""

    turn: int
    revision: int
    phrase: int
    text: str


class Synthesize(msgspec.Struct, frozen=True, kw_only=True):
    """Give a phrase to the tts workers."""

    turn: int
    revision: int
    phrase: int
    text: str


class SayReplyEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a ReplyEnded."""

    turn: int
    revision: int
    phrases: int
    outcome: Literal["complete", "cut", "failed"]
    reason: Reason
    detail: str = ""
    wasted_tokens: int = 0


class Dismiss(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a TurnDismissed."""

    turn: int
    revision: int
    outcome: Literal["empty", "failed"]
    reason: Reason
    detail: str = ""


class SayInterrupted(msgspec.Struct, frozen=True, kw_only=True):
    """Purge the turn's work and publish a TurnInterrupted with the new revision."""

    turn: int
    revision: int
    reason: Reason


class AccountFor(msgspec.Struct, frozen=True, kw_only=True):
    """Publish the TurnReport of a failed turn, which its gateway cannot any more."""

    turn: int
    revision: int
    speaker: str
    reason: Reason
    age_s: float
    """How long ago it began."""


class KeepHistory(msgspec.Struct, frozen=True):
    """Save the history, and refill the model's prefix cache with it while nobody waits."""

    history: History


Said = SayReplyStarted | SayDelta | SayPhrase | Synthesize | SayReplyEnded | Dismiss | SayInterrupted | AccountFor
"""What becomes a message of the bus."""

Effect = Generate | Commit | Warm | CancelGeneration | DropPhrases | KeepHistory | Said
