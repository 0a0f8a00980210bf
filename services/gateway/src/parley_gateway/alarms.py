"""A session's timer: goes off when the earliest of all that its reducers wait for is due.

Used by `sessions`. It knows when, never what.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

_SHORTEST_WAIT_S: Final = 0.001
"""uvloop's timers count milliseconds: a shorter wait would come back at once and too early."""
_STOPPED_S: Final = 0.5
"""A timer that is so late was not late by itself: the process was stopped, or its machine slept."""
_CATCH_UP_S: Final = 0.1


class Alarm:
    """One timer, for one task that waits for it."""

    def __init__(self, due: Callable[[], float | None]) -> None:
        """Go off by `due`, which gives monotonic seconds, or None while there is nothing to wait for."""
        self._due = due
        self._awake = asyncio.Event()
        self._asleep_until = float("inf")

    def look(self) -> None:
        """Something may be due earlier than it was."""
        if self._moment() < self._asleep_until:
            self.ring()

    def ring(self) -> None:
        """Go off now."""
        self._awake.set()

    async def rung(self) -> None:
        """Wait until it goes off: because something is due, or because it was told to."""
        self._awake.clear()
        now = time.monotonic()
        self._asleep_until = self._moment()
        if self._asleep_until > now:
            wait_s = None if self._asleep_until == float("inf") else max(_SHORTEST_WAIT_S, self._asleep_until - now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._awake.wait()
        if time.monotonic() - self._asleep_until > _STOPPED_S:
            # This process did not run for a while; what was said meanwhile is still to be read, and is no silence.
            await asyncio.sleep(_CATCH_UP_S)

    def _moment(self) -> float:
        due = self._due()
        return float("inf") if due is None else due
