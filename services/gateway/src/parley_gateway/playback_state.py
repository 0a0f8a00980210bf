"""What is known of a reply that somebody hears, and what can be judged from that alone.

The state of the `playback` reducer, which with `sending` and `taking_back` makes new ones. Pure.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.frames import FRAME_MS
from parley_gateway.cues import PhraseOver, PlaybackRules
from parley_gateway.phrases import REORDER_S, Phrase
from parley_gateway.timeline import FRAME_S, Piece, Timeline

CANNED: Final = -1
"""Number of the phrase that what is canned stands as."""
_REMEMBERED: Final = 16
"""Turns that are over; what is still under way of one comes within seconds."""
_NOTHING: Final = Phrase()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply that is being played."""

    turn: int
    revision: int
    phrases: Mapping[int, Phrase] = {}
    """What is here of each phrase that was not heard to its end."""
    announced: int = 0
    """One more than the highest phrase known to exist."""
    total: int | None = None
    current: int = 0
    """The phrase that is being sent."""
    cursor: int = 0
    """Its next frame."""
    line: Timeline = Timeline()
    progress_at: float
    """When something last arrived."""
    audible_from: int | None = None
    """The frame of the line that has its first audible sample; None before that is sent."""

    def phrase(self, number: int) -> Phrase:
        """Return what is here of a phrase."""
        return self.phrases.get(number, _NOTHING)

    def sent_of(self, number: int) -> int:
        """Return how many frames of a phrase, the current one or later, were sent."""
        return self.cursor if number == self.current else 0

    @property
    def has_begun(self) -> bool:
        """Whether anything of it was sent or passed over, beside what is canned."""
        return (self.current, self.cursor) > (0, 0)

    @property
    def has_sounded(self) -> bool:
        """Whether anything audible of it was sent and not taken back."""
        return self.audible_from is not None

    @property
    def is_sent(self) -> bool:
        """Whether there is nothing more to send, now or later."""
        return self.total is not None and self.current >= self.total

    @property
    def is_owed(self) -> bool:
        """Whether the current phrase is known to exist."""
        return self.current < max(self.announced, self.total or 0)

    def lost_at(self) -> float:
        """Return when the next frame is to be played without, if it is missing and others are here."""
        return max(self.line.dry_at() - FRAME_S, self.phrase(self.current).began_at + REORDER_S)

    def sends_at(self, rules: PlaybackRules) -> float:
        """Return from when on the next frame may be sent: with it no more than `ahead_ms` are under way."""
        return self.line.dry_at() - max(0, rules.ahead_ms - FRAME_MS) / 1000

    def stalls_at(self, rules: PlaybackRules) -> float:
        """Return when waiting for the current phrase's next frame makes no sense any more."""
        return max(self.line.dry_at(), self.progress_at) + rules.stall_s


class Playback(msgspec.Struct, frozen=True, kw_only=True):
    """All sound that goes to one listener."""

    reply: Reply | None = None
    over: tuple[int, ...] = ()
    """The latest turns that were over: they are never played again."""
    streamed: int = 0
    """Frames ever sent on this connection."""
    lag_s: float = 0.0
    """How far the listener's own playback is behind, as it says."""
    is_paused: bool = False
    """Whether nobody is there to listen."""
    gives_way: bool = False
    """Whether somebody speaks."""

    @property
    def is_held(self) -> bool:
        """Whether nothing is sent."""
        return self.is_paused or self.gives_way

    def without(self, turn: int) -> "Playback":
        """Return what is left when a turn is over: nothing of it will be heard any more."""
        others = tuple(other for other in self.over if other != turn)
        reply = None if self.reply and self.reply.turn == turn else self.reply
        return msgspec.structs.replace(self, reply=reply, over=(*others, turn)[-_REMEMBERED:])


def due(state: Playback, rules: PlaybackRules) -> float | None:
    """Return when to send TimePassed unless something else comes first; None while there is nothing to wait for."""
    reply = state.reply
    if reply is None or state.is_held:
        return None
    times: list[float] = []
    if reply.line.pieces and reply.line.pieces[0].is_closed:
        times.append(reply.line.heard_at(reply.line.pieces[0].end, state.lag_s))
    if not reply.is_sent:
        phrase = reply.phrase(reply.current)
        if phrase.at(reply.cursor, is_due=False) is not None:
            times.append(reply.sends_at(rules))
        elif phrase.is_broken_off or phrase.at(reply.cursor, is_due=True) is not None:
            times.append(reply.lost_at())
        elif reply.is_owed:
            times.append(reply.stalls_at(rules))
    return min(times, default=None)


def phrase_over(state: Playback, reply: Reply, piece: Piece) -> PhraseOver:
    """Return what is told of a piece of which nothing more will be heard."""
    at_ms = (state.streamed - reply.line.sent + piece.end) * FRAME_MS
    return PhraseOver(reply.turn, reply.revision, piece.phrase, piece.played_ms, piece.is_whole, at_ms)
