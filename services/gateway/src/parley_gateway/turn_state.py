"""What the gateway knows of a session's turns, and what can be judged from that alone.

The state of the `turns` reducer, which alone makes new ones. Pure.
"""

from collections.abc import Mapping

import msgspec

from parley_contract.messages import ReplyEnded
from parley_gateway import cues, playback
from parley_gateway.canned import Canned, Kind
from parley_gateway.playback import Playback
from parley_gateway.reports import Moments, Played, Verdict


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a turn may take."""

    playback: cues.PlaybackRules = cues.PlaybackRules()
    max_utterance_s: float = 30.0
    hold_after_s: float = 4.0
    """After so long without a sound somebody is told that it takes a moment."""
    fail_after_s: float = 12.0
    """A turn without a sound for so long after its endpoint, or without progress later on, has failed."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is not over."""

    number: int
    speaker: str
    moments: Moments
    utterances: tuple[str, ...]
    transcribed: frozenset[str] = frozenset()
    revision: int = 0
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
    playback: Playback = Playback()
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
    times = [playback.due(state.playback, state.rules.playback)]
    if not state.playback.is_paused:
        committed = [turn for turn in state.turns.values() if turn.is_committed]
        times += [at(state, turn) for turn in committed for at in (holds_at, fails_at)]
    return min((time for time in times if time is not None), default=None)


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
