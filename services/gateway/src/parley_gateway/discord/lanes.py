"""What waits to be said, in two lanes of which one sounds at a time: a notice and a reply never collide.

Used by `mouths`. Pure; frames in, frames out. A notice goes on until its lane is empty, a reply until its talkspurt is
over; between the two a notice goes first, because it is short and says why the reply is late. There is no adding up of
sound: nobody understands either of two voices at once.
"""

from collections import deque
from typing import Final, Literal, NamedTuple

from parley_contract.frames import faded

Lane = Literal["reply", "notice"]

LIMIT: Final = 500
"""Frames of a lane: ten seconds, after which what waits is no answer any more."""


class Said(NamedTuple):
    """A frame whose turn it is."""

    pcm: bytes
    lane: Lane
    is_tail: bool = False
    """Whether it only lets what was cut die away; nobody counts it as said."""


class Lanes:
    """What waits."""

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[Said]] = {"reply": deque(), "notice": deque()}
        self._sounding: Lane | None = None
        self.is_held = False
        """Whether the reply stays where it is."""

    def put(self, pcm: bytes, lane: Lane) -> bool:
        """Add a frame; False if the lane is full and it is dropped."""
        if len(self._waiting[lane]) >= LIMIT:
            return False
        self._waiting[lane].append(Said(pcm, lane))
        return True

    def drop(self, lane: Lane) -> None:
        """Forget what waits in a lane."""
        self._waiting[lane].clear()
        if self._sounding == lane:
            self._sounding = None

    def cut(self, lane: Lane) -> None:
        """Forget what waits in a lane; what sounds just now dies away in one more frame."""
        waiting = self._waiting[lane]
        is_heard = self._sounding == lane and self._lane() == lane
        tails = [Said(faded(said.pcm), lane, is_tail=True) for said in [*waiting][:1] if is_heard]
        self.drop(lane)
        if tails:
            waiting.extend(tails)
            self._sounding = lane

    def peek(self) -> Said | None:
        """Return what `take` would, and leave it there."""
        lane = self._lane()
        return self._waiting[lane][0] if lane else None

    def take(self) -> Said | None:
        """Return the next frame; None if there is nothing to say in this moment."""
        lane = self._lane()
        if lane is None:
            return None
        said = self._waiting[lane].popleft()
        self._sounding = None if said.is_tail else lane
        return said

    def rest(self) -> None:
        """Nothing was said for a while: whoever comes next may begin, and what was cut has died away unheard."""
        self._sounding = None
        for waiting in self._waiting.values():
            if waiting and waiting[0].is_tail:
                waiting.popleft()

    def waiting(self, lane: Lane) -> int:
        """Return how many frames wait in a lane that are to be counted as said."""
        waiting = self._waiting[lane]
        return len(waiting) - bool(waiting and waiting[0].is_tail)

    @property
    def has_something(self) -> bool:
        """Whether anything could be said now or in a moment."""
        return bool(self._waiting["notice"] or (self._waiting["reply"] and not self.is_held))

    def _lane(self) -> Lane | None:
        if self._sounding == "reply" and not self.is_held:
            # Out of frames it may still be in the middle of a word.
            return "reply" if self._waiting["reply"] else None
        if self._waiting["notice"]:
            return "notice"
        return "reply" if self._waiting["reply"] and not self.is_held else None
