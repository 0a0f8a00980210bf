"""Transitions that a call has been told of: who is ready for them, and when they are executed.

Numbers, readiness and the time limit are the DAVE white paper's ("Protocol Version Changes", opcodes 21 to 23).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from parley_testkit.discord.violations import Violations

TRANSITION_S: Final = 2.0
"""How long everybody has to be ready ("Member Remove": up to roughly two seconds)."""


class Transition:
    """One that was announced and not executed."""

    def __init__(self, number: int, version: int, users: Iterable[int]) -> None:
        """Wait for everybody whom it concerns."""
        self.number: Final = number
        self.version: Final = version
        """The protocol version that it leads to."""
        self.users: Final = set(users)
        """Whom it concerns."""
        self.waits_for: Final = set(self.users)
        self.timer: asyncio.TimerHandle | None = None


class Transitions:
    """Those of one call."""

    def __init__(self, execute: Callable[[Transition], None], violations: Violations) -> None:
        """Give each to `execute` when everybody is ready, or the time is up."""
        self._execute = execute
        self._violations = violations
        self._announced: dict[int, Transition] = {}
        self._last = 0

    def announce(self, version: int, users: Iterable[int]) -> int:
        """Wait for these people's readiness, and return the transition's number; 0 is never one."""
        self._last = self._last % 0xFFFF + 1
        transition = self._announced[self._last] = Transition(self._last, version, users)
        transition.timer = asyncio.get_running_loop().call_later(TRANSITION_S, self._late, transition)
        return self._last

    def ready(self, user: int, number: int) -> None:
        """Take somebody's readiness."""
        if (transition := self._announced.get(number)) and user in transition.waits_for:
            transition.waits_for.discard(user)
            if not transition.waits_for:
                self._end(transition)

    def forget(self, user: int) -> None:
        """Let no transition concern who has gone, or could not follow."""
        for number, transition in list(self._announced.items()):
            transition.users.discard(user)
            self.ready(user, number)

    def clear(self) -> None:
        """Wait for nothing any more."""
        for transition in self._announced.values():
            if transition.timer:
                transition.timer.cancel()
        self._announced.clear()

    def _late(self, transition: Transition) -> None:
        names = ", ".join(map(str, sorted(transition.waits_for)))
        what = f"user {names} not ready for transition {transition.number} after {TRANSITION_S:.0f} s"
        self._violations.add("transition", what)
        self._end(transition)

    def _end(self, transition: Transition) -> None:
        if transition.timer:
            transition.timer.cancel()
        del self._announced[transition.number]
        self._execute(transition)
