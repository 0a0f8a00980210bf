"""Where a reply is in time: what was sent of it, what of that was heard, and when it runs dry.

Used by `playback` and its parts, which decide what to send. Pure. A line of 20 ms frames begins at `origin`: frame n
is heard from `origin + n * 20 ms` on. When the line runs dry, `origin` moves by the gap. What was sent and not yet
heard is under way and can be taken back.
"""

from typing import Final

import msgspec

from parley_contract.frames import FRAME_MS

FRAME_S: Final = FRAME_MS / 1000
EPSILON_S: Final = 1e-6
"""Below any meaningful time: a timer that fires at the computed moment has reached it despite rounding."""


class Piece(msgspec.Struct, frozen=True):
    """What was sent of one phrase: its first `frames` frames, from frame `begin` of the line on."""

    phrase: int
    begin: int
    frames: int = 0
    is_closed: bool = False
    """No more of this phrase will be sent."""
    is_whole: bool = False

    @property
    def end(self) -> int:
        """The frame of the line after its last."""
        return self.begin + self.frames

    @property
    def played_ms(self) -> int:
        """Its length."""
        return self.frames * FRAME_MS


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A reply's line. At most the last piece is open."""

    origin: float | None = None
    """Monotonic seconds at which frame 0 would have been heard if there had been no gap since; None before it."""
    sent: int = 0
    """Frames on the line."""
    pieces: tuple[Piece, ...] = ()
    """What is on the line and was not settled yet, oldest first."""
    played: int = 0
    """Frames of settled pieces."""
    latest: Piece | None = None
    """The piece that was settled last."""

    def dry_at(self) -> float:
        """Return when the next frame has to be heard; long ago before the first."""
        return float("-inf") if self.origin is None else self.origin + self.sent * FRAME_S

    def heard(self, now: float, lag_s: float) -> int:
        """Return how many frames of the line were heard by `now`, by somebody who is `lag_s` behind."""
        if self.origin is None:
            return 0
        return max(0, min(self.sent, int((now - lag_s - self.origin + EPSILON_S) / FRAME_S)))

    def heard_at(self, frame: int, lag_s: float) -> float:
        """Return when the first `frame` frames will have been heard."""
        return (self.origin or 0.0) + lag_s + frame * FRAME_S

    def with_open(self, phrase: int) -> "Timeline":
        """Open a piece for a phrase, unless it is open."""
        if self.pieces and not self.pieces[-1].is_closed:
            return self
        return msgspec.structs.replace(self, pieces=(*self.pieces, Piece(phrase, self.sent)))

    def with_frame(self, now: float) -> "Timeline":
        """Put one more frame of the open piece on the line."""
        late = now > self.dry_at() + EPSILON_S
        piece = msgspec.structs.replace(self.pieces[-1], frames=self.pieces[-1].frames + 1)
        return msgspec.structs.replace(
            self,
            origin=now - self.sent * FRAME_S if late else self.origin,
            sent=self.sent + 1,
            pieces=(*self.pieces[:-1], piece),
        )

    def with_closed(self, *, is_whole: bool) -> "Timeline":
        """Close the open piece."""
        piece = msgspec.structs.replace(self.pieces[-1], is_closed=True, is_whole=is_whole)
        return msgspec.structs.replace(self, pieces=(*self.pieces[:-1], piece))

    def settle(self, heard: int) -> tuple["Timeline", tuple[Piece, ...]]:
        """Take the closed pieces that were heard to their end off the front."""
        done = 0
        while done < len(self.pieces) and self.pieces[done].is_closed and self.pieces[done].end <= heard:
            done += 1
        if not done:
            return self, ()
        settled = self.pieces[:done]
        played = self.played + sum(piece.frames for piece in settled)
        after = msgspec.structs.replace(self, pieces=self.pieces[done:], played=played, latest=settled[-1])
        return after, settled

    def taken_back(self, heard: int) -> "Timeline":
        """Take off the line what was not heard; a piece that is cut is open again, one that is gone is not there."""
        kept = [piece for piece in self.pieces if piece.end <= heard or piece.begin < heard]
        if kept and kept[-1].end > heard:
            kept[-1] = Piece(kept[-1].phrase, kept[-1].begin, heard - kept[-1].begin)
        return msgspec.structs.replace(self, sent=heard, pieces=tuple(kept))

    def resumed(self, now: float) -> "Timeline":
        """Go on at `now` with the next frame."""
        return msgspec.structs.replace(self, origin=now - self.sent * FRAME_S) if self.origin is not None else self
