"""Packets of one source come out in order, each once, and as soon as they can: what is missing is waited for briefly.

Used by `sources`, for packets that are decrypted, or may still be. Pure; time is passed in. It is no playout buffer:
whoever listens here wants words, not an even stream, so a packet that is next in line does not wait at all, and only
behind a hole does anything wait: `WAIT_S` for a packet that may come late, and no longer than `LIMIT` packets are here.
A packet whose key is not there yet is no hole: it holds its place for `UNREADABLE_S`.
"""

from typing import Final, NamedTuple

from parley_gateway.discord.rtp import unwrap

WAIT_S: Final = 0.06
"""Three packets: 5 % of reordered packets of a home network come within two."""
LIMIT: Final = 10
"""Packets behind a hole: 200 ms."""
UNREADABLE_S: Final = 0.3
"""From a member's first frame under a new key until ours is there: a commit's way through the voice server."""
MAX_HOLE: Final = 50
"""A second: more is a new beginning, in which nothing is missing."""
_LONG_AGO: Final = float("-inf")
_MISORDER: Final = 100
"""RFC 3550, A.1: a packet further back than this is no late one."""


class Ready(NamedTuple):
    """A packet whose turn it is."""

    payload: bytes
    arrived_at: float


class Hole(NamedTuple):
    """So many packets in a row are missing."""

    packets: int
    was_there: bool = False
    """Whether it came, and could not be read."""


class _Held(NamedTuple):
    payload: bytes | None
    """None while it cannot be read."""
    arrived_at: float


class JitterBuffer:
    """The packets of one source; monotonic seconds throughout."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._held: dict[int, _Held] = {}
        self._stray: int | None = None
        """What would follow a packet from far away: two in a row are a new beginning."""

    def put(self, sequence: int, now: float) -> int | None:
        """Give a packet its place; `settle` brings its payload.

        Returns:
            The number under which `settle` knows it; None if it is of no use: a duplicate, too late, or from far away.
        """
        if self._next is None:
            self._next = sequence
        number = unwrap(sequence, self._next)
        if not self._next - _MISORDER <= number <= self._next + MAX_HOLE:
            if sequence != self._stray:
                self._stray = (sequence + 1) & 0xFFFF
                return None
            self._held.clear()
            self._next = number
        self._stray = None
        if number < self._next or number in self._held:
            return None
        self._held[number] = _Held(None, now)
        return number

    def settle(self, number: int, payload: bytes | None) -> None:
        """This is what the packet says, now or a little later; or it will never be known, for None."""
        held = self._held.get(number)
        if held is not None:
            arrived_at = held.arrived_at if payload is not None else _LONG_AGO
            self._held[number] = _Held(payload, arrived_at)

    def take(self, now: float) -> list[Ready | Hole]:
        """Return all that need not wait any more."""
        ready: list[Ready | Hole] = []
        while self._held and self._next is not None:
            number = self._next if self._next in self._held else min(self._held)
            held = self._held[number]
            if number > self._next:
                if now < held.arrived_at + WAIT_S and len(self._held) < LIMIT:
                    break
                ready.append(Hole(number - self._next))
                self._next = number
            if held.payload is not None:
                ready.append(Ready(held.payload, held.arrived_at))
            elif now < held.arrived_at + UNREADABLE_S:
                break
            else:
                ready.append(Hole(1, was_there=True))
            del self._held[number]
            self._next += 1
        return ready

    @property
    def due(self) -> float | None:
        """When `take` may return something although nothing came."""
        if not self._held or self._next is None:
            return None
        number = min(self._held)
        held = self._held[number]
        return held.arrived_at + (WAIT_S if number > self._next else UNREADABLE_S)

    def __len__(self) -> int:
        """Return how many packets wait."""
        return len(self._held)
