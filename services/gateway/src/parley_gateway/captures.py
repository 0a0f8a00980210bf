"""When was this sample spoken? Positions in samples become times on the monotonic clock.

`inbound` notes each frame's arrival and asks for the time of the last voiced sample. A frame cannot arrive before
it was captured, so each one proves "its last sample is no younger than this"; the least late of the last second is
the best proof. A network that stalls and then delivers in a burst therefore does not move the end of speech.
"""

from collections import deque
from typing import Final

from parley_contract.frames import RATE_HZ

MEMORY_S: Final = 1.0
"""Long enough for a burst after a stall to be seen whole, short enough to follow a door that was silent meanwhile."""


class CaptureClock:
    """Arrivals of one speaker's frames; monotonic seconds throughout."""

    def __init__(self) -> None:
        self._lags: deque[tuple[float, float]] = deque()

    def arrived(self, position: int, now: float) -> None:
        """Note that all samples before `position` are here at `now`."""
        self._lags.append((now, now - position / RATE_HZ))
        while self._lags[0][0] < now - MEMORY_S:
            self._lags.popleft()

    def captured_at(self, position: int) -> float:
        """Return when the sample before `position` was spoken.

        Raises:
            ValueError: nothing has arrived yet.
        """
        if not self._lags:
            raise ValueError("no frame has arrived yet, so no sample has a time")
        return position / RATE_HZ + min(lag for _, lag in self._lags)
