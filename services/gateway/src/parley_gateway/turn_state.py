"""What the gateway knows of a session's turns, and what can be judged from that alone.

The state of the `turns` reducer, which alone makes new ones. Pure.
"""

from collections.abc import Mapping

import msgspec

from parley_contract.messages import ReplyEnded
from parley_gateway import cues, playback
from parley_gateway.playback import Playback
from parley_gateway.reports import Moments, Outcome, Played


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a turn may take."""

    playback: cues.PlaybackRules = cues.PlaybackRules()
    max_utterance_s: float = 30.0
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
    progress_at: float
    """When something of its reply last came."""
    reply: ReplyEnded | None = None
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
        times += [fails_at(state, turn) for turn in state.turns.values() if turn.is_committed]
    return min((time for time in times if time is not None), default=None)


def fails_at(state: Turns, turn: Turn) -> float:
    """Return when waiting for a committed turn ends: from the endpoint to the first sound, then between sounds."""
    latest = turn.progress_at
    reply = state.playback.reply
    if reply and reply.turn == turn.number and reply.line.sent:
        latest = max(latest, reply.line.dry_at() + state.playback.lag_s)
    return latest + state.rules.fail_after_s


def failure(turn: Turn) -> str:
    """Say what a turn that took too long was waiting for."""
    moments = turn.moments
    if not turn.transcribed.issuperset(turn.utterances):
        return "no transcript in time"
    if moments.first_token_at is None:
        return "no reply in time"
    return "no voice in time" if moments.first_frame_at is None else "the reply stopped"


def outcome(turn: Turn) -> tuple[Outcome, str]:
    """Judge a reply that was played to its end."""
    reply = turn.reply
    if reply is not None and reply.outcome == "failed":
        return "failed", reply.reason or "the model failed"
    if turn.played.played_ms:
        return "answered", ""
    return "failed", "no phrase could be spoken" if reply and reply.phrases else "the model said nothing"
