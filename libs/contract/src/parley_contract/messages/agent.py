"""What the agent says: sessions granted, the reply as it grows, and how a turn went."""

from typing import Literal

import msgspec

from parley_contract.messages.base import (
    Count,
    Message,
    Number,
    PhraseNumber,
    Sequence,
    SessionMessage,
    Token,
    TurnMessage,
)


class SessionOpened(SessionMessage, frozen=True, kw_only=True):
    """Grants a session to the gateway that asked."""

    next_turn: Count
    """The first turn number the gateway may mint."""


class FoundSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that lives, and where."""

    session: Token
    channel: str
    """As in OpenSession."""


class SessionsFound(Message, frozen=True, kw_only=True):
    """The sessions that were looked for and may be resumed."""

    sessions: tuple[FoundSession, ...] = ()


class SessionRefused(Message, frozen=True, kw_only=True):
    """Refuses a session, with a sentence for the person who asked."""

    code: Literal["unknown_session", "wrong_token", "not_ready"]
    sentence: str


class TurnDismissed(TurnMessage, frozen=True, kw_only=True):
    """The turn gets no reply: nobody said anything, it was not meant for the assistant, or hearing it failed."""

    outcome: Literal["empty", "not_addressed", "failed"]
    reason: str = ""
    """A code of `reasons`."""
    detail: str = ""
    """The same in the words of whoever failed; never what was said."""


class ReplyStarted(TurnMessage, frozen=True, kw_only=True):
    """The model was asked: what follows with this revision replies to all speech of the turn up to a frame.

    Said again, with the same revision, when what was said since changed nothing. Until its speaker has finished, and
    unless the reply covers all that they said, nobody is to see or hear anything of it.
    """

    utterance: Token
    """The turn's latest utterance that was taken into account."""
    covers_seq: Sequence
    """Sequence of that utterance's last frame that was."""
    early: bool = False
    """Whether it was begun before it was certain that the speaker had finished."""


class ReplyDelta(TurnMessage, frozen=True, kw_only=True):
    """Tokens as they arrive from the model; the first one (`index` 0) stops the E2FT clock."""

    index: Count
    text: str


class PhraseReady(TurnMessage, frozen=True, kw_only=True):
    """A piece of the reply that can be spoken, in order."""

    phrase: PhraseNumber
    text: str


class SynthesizePhrase(TurnMessage, frozen=True, kw_only=True):
    """Work for one tts worker."""

    phrase: PhraseNumber
    text: str
    language: str
    sent_at: Number
    """Unix seconds, so that its wait in the queue is known; nothing is decided by it."""
    life_s: Number = 60.0
    """How long it is of use: the broker forgets it then, by its own clock."""


class ReplyEnded(TurnMessage, frozen=True, kw_only=True):
    """The model has said all it will in this turn; `phrases` of them are to be played."""

    phrases: PhraseNumber
    outcome: Literal["complete", "cut", "failed"]
    """`cut`: stopped by `numPredict` and ended at the last complete sentence, or by the death of the agent."""
    reason: str = ""
    """A code of `reasons`."""
    detail: str = ""
    """The same in the words of whoever failed; never what was said."""
    model: str = ""
    input_tokens: Count = 0
    output_tokens: Count = 0
    wasted_tokens: Count = 0
    """Written by the model for this turn and dropped, because its speaker went on."""


class TurnInterrupted(TurnMessage, frozen=True, kw_only=True):
    """The reply is over. `revision` is the new one: every phrase and frame of an older one is dropped."""

    reason: str
    """A code of `reasons`."""
