"""What the gateway knows of a session's turns, and what can be judged from that alone.

The state of the `turns` reducer, which alone makes new ones. Pure.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from parley_contract.messages import CandidateTranscript, Endpoint, ReplyDelta, ReplyEnded, TurnMessage
from parley_gateway import cues, playback_state
from parley_gateway.canned import Canned, Kind
from parley_gateway.playback_state import Playback
from parley_gateway.reports import Guessed, Moments, Played, Verdict
from parley_gateway.turn_events import SpeechEnded, SpeechPaused, SpeechResumed


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a turn may take."""

    playback: cues.PlaybackRules = cues.PlaybackRules()
    max_utterance_s: float = 30.0
    hold_after_s: float = 4.0
    """After so long without a sound somebody is told that it takes a moment."""
    barge_in_s: float = 0.5
    """Speech over a reply that lasts so long ends it."""
    take_up_after_s: float = 2.0
    """A reply that gave way to what turned out to be no words goes on so long after it, at the latest."""
    fail_after_s: float = 12.0
    """A turn without a sound for so long after its endpoint, or without progress later on, has failed."""


class Answer(msgspec.Struct, frozen=True):
    """What the latest reply replies to."""

    revision: int
    utterance: str
    covers_seq: int
    is_early: bool
    """Whether it was begun before the speaker had finished."""


class BargeIn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody speaks, so nothing else does until it is known what to make of it."""

    turn: int
    since: int = 0
    """How many turns had been committed when they began: it is those that they speak over."""
    voiced_s: float = 0.0
    """How long they have spoken, without what they say now."""
    voiced_from: float | None
    """Since when they speak; None in a pause."""
    ended_at: float | None = None
    """When they had finished."""
    has_words: bool = False
    has_floor: bool = False
    """Whether they said enough for all else to be over."""

    def lasts_at(self, long_s: float) -> float | None:
        """Return when it will have lasted so long; None in a pause."""
        return None if self.voiced_from is None else self.voiced_from + long_s - self.voiced_s


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is not over."""

    number: int
    speaker: str
    moments: Moments
    utterances: tuple[str, ...]
    place: int = 0
    """The how-manieth turn it was that was committed, counted anew when it is reopened; 0 before.

    Whoever began first may finish last, and who finishes last is replied to: the order of turns is this one.
    """
    voiced_seq: int = -1
    """The last voiced frame of the last utterance, once that has ended."""
    candidate: CandidateTranscript | None = None
    """The latest of the last utterance that had one."""
    transcribed: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    """The utterances whose frames nobody will ask for any more."""
    revision: int = 0
    answer: Answer | None = None
    held: tuple[TurnMessage | cues.FrameArrived, ...] = ()
    """What came of a reply that nobody is to notice yet, all of one revision."""
    unreleased: int = 0
    """How many tokens were dropped of what was held."""
    taken_back: int = 0
    has_guesses: bool = False
    """Whether some reply was begun early."""
    endpoint: Endpoint | None = None
    """By what it was decided that its speaker had finished."""
    waits_since: float
    """When the wait began that the watchdog measures: the endpoint, or once the reply sounds what last came of it."""
    is_held: bool = False
    """Whether its listener was told that it takes a moment."""
    announced: frozenset[tuple[int, int]] = frozenset()
    """Revision and number of each phrase whose text the client has: a message may come twice."""
    reply: ReplyEnded | None = None
    lost: str = ""
    """What tts said of the latest phrase that it could not speak."""
    played: Played = Played()

    @property
    def is_committed(self) -> bool:
        """Whether its speaker has finished."""
        return self.moments.decided_at is not None

    @property
    def is_answered(self) -> bool:
        """Whether its speaker has finished, and the latest reply takes all that they said into account."""
        answer = self.answer
        return (
            self.is_committed
            and answer is not None
            and (answer.revision, answer.utterance) == (self.revision, self.utterances[-1])
            and answer.covers_seq >= self.voiced_seq
        )


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """All that the gateway knows of a session's turns."""

    rules: TurnRules
    session: str
    epoch: int
    unix_offset_s: float
    """Unix seconds less monotonic seconds."""
    next_turn: int
    next_utterance: int = 0
    turns: Mapping[int, Turn] = {}
    """Those that are not over, oldest first."""
    speaking: Mapping[str, int] = {}
    """The turn of each speaker whose utterance is running; its last utterance is the one."""
    commits: int = 0
    """How often somebody has finished: the place of the latest turn that was committed."""
    playback: Playback = Playback()
    barge_ins: Mapping[int, BargeIn] = {}
    """By turn. While there is one, playback gives way."""
    canned: Mapping[Kind, Canned] = {}
    """What can be said without anybody's help."""

    def utterance_of(self, speaker: str) -> str:
        """Return the running utterance of a speaker.

        Raises:
            KeyError: the speaker has none.
        """
        return self.turns[self.speaking[speaker]].utterances[-1]


def due(state: Turns) -> float | None:
    """Return when to send TimePassed unless something else comes first; None while there is nothing to wait for."""
    times = [playback_state.due(state.playback, state.rules.playback)]
    if not state.playback.is_paused:
        committed = [turn for turn in state.turns.values() if turn.is_committed]
        times += [at(state, turn) for turn in committed for at in (holds_at, fails_at)]
        times += [weighs_at(state, barge_in) for barge_in in state.barge_ins.values()]
    return min((time for time in times if time is not None), default=None)


def weighs_at(state: Turns, barge_in: BargeIn) -> float | None:
    """Return when a barge-in is to be weighed again.

    That is when it has lasted long enough; when its words stay away; or, for who goes on and on, when somebody else who
    finished meanwhile has waited long enough for the reply.
    """
    rules = state.rules
    if barge_in.ended_at is not None:
        return barge_in.ended_at + rules.take_up_after_s
    if not barge_in.has_floor:
        return barge_in.lasts_at(rules.barge_in_s)
    waiting = [turn.waits_since for turn in state.turns.values() if turn.is_committed and turn.place > barge_in.since]
    return min(waiting) + rules.take_up_after_s if waiting else None


def holds_at(state: Turns, turn: Turn) -> float | None:
    """Return when a committed turn's listener is to be told that it takes a moment; None if that is not to be."""
    if turn.is_held or turn.moments.played_from is not None:
        return None
    return turn.waits_since + state.rules.hold_after_s


def fails_at(state: Turns, turn: Turn) -> float:
    """Return when waiting for a committed turn ends: from the endpoint to the first sound, then between sounds."""
    latest = turn.waits_since
    reply = state.playback.reply
    if reply and reply.turn == turn.number and turn.moments.played_from is not None:
        latest = max(latest, reply.line.dry_at() + state.playback.lag_s)
    return latest + state.rules.fail_after_s


def failure(turn: Turn) -> Verdict:
    """Say what a turn that took too long was waiting for."""
    moments = turn.moments
    reason = "reply_stopped"
    if not turn.transcribed.issuperset(turn.utterances):
        reason = "no_transcript"
    elif moments.first_token_at is None:
        reason = "no_reply"
    elif moments.first_frame_at is None:
        reason = "no_voice"
    return Verdict("failed", reason, turn.lost)


def verdict(turn: Turn) -> Verdict:
    """Judge a reply that was played to its end."""
    reply = turn.reply
    if reply is not None and reply.outcome == "failed":
        return Verdict("failed", reply.reason or "model_failed", reply.detail)
    if turn.played.played_ms:
        return Verdict("answered", reply.reason if reply else "")
    return Verdict("failed", "voice_failed" if reply and reply.phrases else "empty_reply", turn.lost)


def guessed(turn: Turn) -> Guessed:
    """Say what was begun early in a turn, and what it was good for."""
    unreleased = turn.unreleased + held_tokens(turn)
    speculation: Literal["", "hit", "miss"] = ""
    if turn.has_guesses and turn.is_committed:
        speculation = "hit" if turn.is_answered and turn.answer and turn.answer.is_early else "miss"
    return Guessed(
        speculation=speculation,
        taken_back=turn.taken_back,
        output_tokens=turn.reply.output_tokens if turn.reply else 0,
        # Of a turn that is over before its reply is, the agent does not say it any more.
        wasted_tokens=max(turn.reply.wasted_tokens if turn.reply else 0, unreleased),
        unreleased_tokens=unreleased,
    )


def held_tokens(turn: Turn) -> int:
    """Return how many of the model's tokens wait for the end of the turn: a delta is one, but for odd characters."""
    return sum(isinstance(thing, ReplyDelta) for thing in turn.held)


def heard_on(barge_in: BargeIn, event: SpeechPaused | SpeechResumed | SpeechEnded, now: float) -> BargeIn:
    """Take in that somebody who speaks over a reply pauses, goes on, or has finished."""
    match event:
        case SpeechResumed(voiced_at=voiced_at):
            return replace(barge_in, voiced_from=voiced_at)
        case SpeechEnded(reason="max_length"):
            return barge_in
        case SpeechPaused(voiced_until=voiced_until) | SpeechEnded(voiced_until=voiced_until):
            voiced_s = 0.0 if barge_in.voiced_from is None else max(0.0, voiced_until - barge_in.voiced_from)
            ended_at = now if isinstance(event, SpeechEnded) else None
            return replace(barge_in, voiced_s=barge_in.voiced_s + voiced_s, voiced_from=None, ended_at=ended_at)
