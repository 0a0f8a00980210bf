"""Which ports are free on this machine, and which of the usual ones another assistant has been given already.

A process listens only seconds after its port was chosen, and whoever looked in between would find that port free. So a
usual port is claimed by a lock for as long as its assistant runs, and of the others each is given out once in ten
thousand times. The kernel's own choice would not do: before we listen there, it gives the same port to somebody's
outgoing connection. Another user's assistant, or any other program, knows nothing of this: `probes` tells its answers
from ours. Used by `preparing`, `lone_asr` and the testkit.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parley_cli import locks
from parley_cli.launches import LOOPBACK
from parley_runtime.tools import cache_dir

_OURS: Final = range(20_000, 30_000)
"""Below the ports of connections that go out (Linux: from 32,768) and of Kubernetes' services (from 30,000)."""


def lock_of(port: int) -> Path:
    """Return the lock that is held by the run that a usual port was given to."""
    return cache_dir() / "ports" / f"{port}.lock"


def claim(port: int, host: str, claims: contextlib.ExitStack) -> bool:
    """Take a usual port until `claims` is closed; false if it is another run's, or something listens there."""
    with contextlib.ExitStack() as claimed:
        try:
            claimed.enter_context(locks.held(lock_of(port)))
        except locks.HeldError:
            return False
        if not _is_free(port, host):
            return False
        claims.enter_context(claimed.pop_all())
    return True


def free_port() -> int:
    """Return a loopback port that was free a moment ago, and that no process of this user is given again soon.

    Raises:
        OSError: all of them are taken.
    """
    page = cache_dir() / "ports/last"
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        said = last.read()
        start = (int(said) + 1 if said.isdecimal() else os.getpid()) % len(_OURS)
        for place in (*range(start, len(_OURS)), *range(start)):
            port: int = _OURS[place]
            if _is_free(port, LOOPBACK):
                last.truncate(0)
                last.write(str(place))
                return port
    raise OSError(errno.EADDRNOTAVAIL, f"something listens on every port from {_OURS.start} to {_OURS.stop - 1}")


def why_not(host: str) -> str:
    """Say why nobody can listen at an address of whatever port; empty if somebody can."""
    try:
        with _bound(0, host):
            return ""
    except OSError as error:
        return str(error.strerror)


def _is_free(port: int, host: str) -> bool:
    try:
        with _bound(port, host):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _bound(port: int, host: str) -> Iterator[None]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As uvicorn does: connections that linger from the run before are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        yield
