"""The ear at the other end: plays the frames it is sent, one after the other, and throws away what it is told to.

Used by `gateways`. What a client of the web door does, on virtual time; it has no jitter and no delay. Pure. A frame of
a game says in its sound what it is of: `pcm_of` writes that, `sound_of` reads it.
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from parley_contract.frames import FRAME_MS, FRAME_SAMPLES
from parley_testkit.conversation.circumstances import TurnKey

_FRAME_S: Final = FRAME_MS / 1000
_EPSILON_S: Final = 1e-6
_IDENTITY: Final = struct.Struct("<6h")
_LOUD: Final = 9999


class Sound(NamedTuple):
    """A frame of a reply that is being heard from `at` on."""

    at: float
    epoch: int
    turn: int
    revision: int
    phrase: int
    attempt: int
    sequence: int
    place: int = 0
    """Of its turn, in the order in which speakers had finished."""

    @property
    def until(self) -> float:
        """When it has been heard."""
        return self.at + _FRAME_S


class Listener(NamedTuple):
    """What was sent to it and not cut; the last frames may be still to come."""

    before: tuple[Sound, ...] = ()
    """Heard on earlier connections."""
    stream: tuple[tuple[int, Sound], ...] = ()
    """Of this connection, with their numbers in it."""
    streamed: int = 0
    """Frames ever sent on this connection."""
    dry_at: float = 0.0

    @property
    def sounds(self) -> tuple[Sound, ...]:
        """All frames that are heard, oldest first."""
        return (*self.before, *(sound for _, sound in self.stream))

    def take(self, sound: Sound | None, now: float) -> "Listener":
        """Play a frame after those that are here; None for one that says nothing of a reply."""
        at = max(now, self.dry_at)
        played = () if sound is None else ((self.streamed, sound._replace(at=at)),)
        return self._replace(stream=(*self.stream, *played), streamed=self.streamed + 1, dry_at=at + _FRAME_S)

    def cut(self, at_ms: int, now: float) -> "Listener":
        """Throw away what stands from `at_ms` on and was not heard to its end."""
        kept = (
            (number, sound)
            for number, sound in self.stream
            if number * FRAME_MS < at_ms or sound.until <= now + _EPSILON_S
        )
        return self._replace(stream=tuple(kept), dry_at=now)

    def leave(self, now: float) -> "Listener":
        """Hang up: what was not heard never will be, and the next connection's stream begins anew."""
        return Listener(before=self.cut(0, now).sounds, dry_at=now)


def pcm_of(turn: int, revision: int, phrase: int, attempt: int, sequence: int) -> bytes:
    """Return an audible frame of a reply."""
    return _IDENTITY.pack(turn, revision, phrase, attempt, sequence, _LOUD).ljust(2 * FRAME_SAMPLES, b"\0")


CANNED: Final = pcm_of(-1, 0, 0, 0, 0)
"""A frame of no reply."""


def sound_of(pcm: bytes, epoch: int, places: Mapping[TurnKey, int]) -> Sound | None:
    """Return what a frame is of; None if that is no reply. `places` are those of turns, in the order of their ends."""
    turn, revision, phrase, attempt, sequence, _ = _IDENTITY.unpack_from(pcm)
    place = places.get((epoch, turn), 0)
    return Sound(0.0, epoch, turn, revision, phrase, attempt, sequence, place) if turn > 0 else None
