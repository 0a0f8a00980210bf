"""How much a client may send: a token bucket, with time passed in. Pure; used by the doors, one for each thing sent.

Not for what comes from a speaker by itself, such as Discord's packets: those come at the pace of their sender's clock.
"""

from typing import Final


class Pace:
    """So many a second over time, and so many at once after a pause."""

    def __init__(self, *, rate_hz: float, burst: int, now: float) -> None:
        """Begin with the whole burst; `now` is monotonic seconds, here and below."""
        self._rate_hz: Final = rate_hz
        self._burst: Final = burst
        self._left = float(burst)
        self._at = now

    def allows(self, now: float) -> bool:
        """Take in one more; whether the client keeps to its pace with it."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate_hz)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def ahead_s(self) -> float:
        """How far the client was ahead of its pace at the latest."""
        return (self._burst - self._left) / self._rate_hz
