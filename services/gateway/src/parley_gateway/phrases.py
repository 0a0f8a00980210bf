"""Frames of one phrase, collected as they come from a tts worker: in any order, twice, or from two attempts.

Used by `playback` and its parts. Pure. It says what can be played and whether more will come, not when to play it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.frames import FRAME_BYTES, Frame

MAX_FRAMES: Final = 3000
"""One minute. No sentence is that long; what comes after it is not kept."""
CONCEAL_FRAMES: Final = 5
"""Longest loss, 100 ms, that is bridged by silence; at a longer one the phrase ends."""
REORDER_S: Final = 0.06
"""So long after a phrase's first frame a missing one may still be on its way; later, order has settled."""
SILENCE: Final = bytes(FRAME_BYTES)


class Phrase(msgspec.Struct, frozen=True, kw_only=True):
    """What is here of a phrase."""

    attempt: int = 0
    """The delivery of the work item whose frames these are; 0 before the first."""
    began_at: float = 0.0
    """When the first frame of this attempt came, monotonic seconds."""
    frames: Mapping[int, bytes] = {}
    """PCM of 20 ms by sequence."""
    end: int | None = None
    """How many frames it has; None while more may come."""
    is_whole: bool = True
    """False once it is known that a part of it will never come."""
    is_superseded: bool = False
    """A newer attempt makes it again, too late: some of this one was played. It ends where it runs dry."""

    def at(self, sequence: int, *, is_due: bool) -> bytes | None:
        """Return the frame to play at `sequence`; silence for a lost one, but only once it `is_due`."""
        if sequence in self.frames or not is_due:
            return self.frames.get(sequence)
        following = range(sequence + 1, sequence + 1 + CONCEAL_FRAMES)
        return SILENCE if any(other in self.frames for other in following) else None

    @property
    def is_broken_off(self) -> bool:
        """Whether a frame that is not here will not come any more."""
        return self.end is not None or self.is_superseded


def collect(phrase: Phrase, frame: Frame, *, played: int, now: float) -> Phrase:
    """Add a frame.

    The newest attempt replaces older ones, unless `played` frames of it were already sent to the listener: two
    renderings of one sentence are never glued together.
    """
    if frame.attempt < phrase.attempt or not phrase.is_whole:
        return phrase
    if frame.attempt > phrase.attempt:
        if played:
            return msgspec.structs.replace(phrase, is_superseded=True)
        phrase = Phrase(attempt=frame.attempt, began_at=now)
    limit = MAX_FRAMES if phrase.end is None else phrase.end
    if frame.is_end:
        return msgspec.structs.replace(phrase, end=min(limit, frame.sequence))
    if frame.sequence >= limit or frame.sequence in phrase.frames:
        return phrase
    # Only a phrase's last frame may be short: doors take whole frames.
    pcm = frame.pcm.ljust(FRAME_BYTES, b"\0")
    return msgspec.structs.replace(phrase, frames={**phrase.frames, frame.sequence: pcm})


def give_up(phrase: Phrase, *, played: int) -> Phrase:
    """Say that no more will come: the phrase ends with the unbroken part that is here, from `played` on."""
    end = played
    while end in phrase.frames:
        end += 1
    return msgspec.structs.replace(phrase, end=end, is_whole=False)
