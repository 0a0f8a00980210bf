"""Who is at it already? Files that are locked as long as their holder lives, however it ends.

Used by `places` (one run per assistant) and `ports` (one assistant per usual port).
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


class HeldError(Exception):
    """Somebody else holds the lock; callers say what that means."""


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock while the block lasts; the file stays.

    Raises:
        HeldError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldError(str(path)) from error
        yield


def is_held(path: Path) -> bool:
    """Whether some process holds the lock; asking does not take it."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
