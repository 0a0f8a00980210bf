"""Every 20 ms, to the millisecond: one thread that does what is due for all sessions, away from the event loop.

Made once by whoever makes the links. The loop of a gateway may be busy for tens of milliseconds, with a voice detector
or with garbage, and a listener hears that as a stutter. The thread keeps deadlines that do not drift, and measures how
late each was met. What is done is `mouths`'; nothing here knows sound.
"""

import heapq
import itertools
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final, Protocol, Self

SWITCH_S: Final = 0.0005
"""How long Python lets another thread compute before it gives way to this one, in the whole process. On a busy machine
of two threads, beside ten people who are heard, a frame in ten was late by 4 ms with Python's own 5 ms, by 1.5 so."""
_KEPT: Final = 10_000
"""Latenesses kept until somebody reads them: 20 s of ten sessions."""


class Paced(Protocol):
    """Something with deadlines. Both are called on the pacing thread; if one raised, all sessions would fall silent."""

    def tick(self, due: float) -> float | None:
        """Do what is due; return the next deadline, in monotonic seconds, or None to be left alone."""
        ...

    def prepare(self) -> None:
        """Nothing is due in this moment: do what can be done for the next deadline. Meanwhile the others wait."""
        ...


class Pacer:
    """The thread. A context manager: leaving it ends the thread."""

    def __init__(self) -> None:
        """Nothing runs before it is entered."""
        self._deadlines: list[tuple[float, int, Paced]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._is_over = False
        self._late: deque[float] = deque(maxlen=_KEPT)
        self._switched_s = SWITCH_S
        self._thread = threading.Thread(target=self._run, name="pacing", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._switched_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what was due later never happens."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()
        sys.setswitchinterval(self._switched_s)

    def at(self, due: float, paced: Paced) -> None:
        """Call `paced.tick` at that monotonic second, from any thread."""
        with self._changed:
            heapq.heappush(self._deadlines, (due, next(self._numbers), paced))
            self._changed.notify()

    def drain_lateness(self) -> list[float]:
        """Return how late deadlines were met, in seconds, since this was last asked."""
        return [self._late.popleft() for _ in range(len(self._late))]

    def _run(self) -> None:
        unprepared: dict[Paced, None] = {}
        while (due := self._next(is_idle=not unprepared)) is not None:
            for deadline, paced in due:
                self._late.append(time.monotonic() - deadline)
                if (following := paced.tick(deadline)) is not None:
                    self.at(following, paced)
                unprepared[paced] = None
            if not due:
                # One, then the clock again: preparing ten takes longer than the tenth's neighbour may be late.
                paced = next(iter(unprepared))
                del unprepared[paced]
                paced.prepare()

    def _next(self, *, is_idle: bool) -> list[tuple[float, Paced]] | None:
        """Return what is due, waiting for it if there is nothing else to do; None when it is over."""
        with self._changed:
            while not self._is_over:
                now = time.monotonic()
                due = []
                while self._deadlines and self._deadlines[0][0] <= now:
                    deadline, _, paced = heapq.heappop(self._deadlines)
                    due.append((deadline, paced))
                if due or not is_idle:
                    return due
                self._changed.wait(self._deadlines[0][0] - now if self._deadlines else None)
            return None
