"""Which ports are free on this machine, and which of the usual ones another assistant has been given already.

A process listens only seconds after its port was chosen, and whoever looked in between would find that port free. So a
usual port is claimed by a lock for as long as its assistant runs; one that the kernel chose is hardly chosen twice.
Another user's assistant, or any other program, knows nothing of these locks: `probes` tells its answers from ours.
Used by `preparing` and `lone_asr`.
"""

import contextlib
import socket
from pathlib import Path

from parley_cli import locks
from parley_cli.launches import LOOPBACK
from parley_runtime.tools import cache_dir


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
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As uvicorn does: connections that linger from the run before are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
