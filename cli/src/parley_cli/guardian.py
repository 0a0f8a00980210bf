"""Ends what `parley up` started if `parley up` itself dies without being able to: kill -9, a crash, out of memory.

Runs as a process of its own, `python -m parley_cli.guardian`, in its own session. `children` writes `+<group>` and
`-<group>` into its standard input as process groups come and go; when that pipe breaks its writer is dead, and the
groups that are left are asked to end, then killed. After an orderly stop none are left and it just ends.

A signal on the parent's death (PR_SET_PDEATHSIG) would reach a process, not what it started: Ollama's model runner
would survive. It would also need code between fork and exec. Standard library only, so that it stays small (9 MiB).
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Final

PATIENCE_S: Final = 14.0
"""As long as the slowest service may drain."""
_POLL_S: Final = 0.1


def watch(lines: Iterable[str]) -> list[int]:
    """Follow groups coming and going until the lines end, and return those that are left, the latest first."""
    groups: dict[int, None] = {}
    for line in lines:
        sign, number = line[:1], int(line[1:])
        if sign == "+":
            groups[number] = None
        else:
            groups.pop(number, None)
    return list(reversed(groups))


def end(groups: list[int], *, patience_s: float = PATIENCE_S) -> None:
    """Ask process groups to end, and kill those that still live after `patience_s`."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while groups and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        groups = [group for group in groups if _lives(group)]
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    # Whoever ends a whole session or service by SIGTERM means `parley up`, which needs this process to its last.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(watch(sys.stdin))
