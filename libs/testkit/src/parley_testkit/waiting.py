"""Waiting for what others do, however busy the machine is: looked at again and again, with one generous bound.

For what tells nobody: a page, a log, a list that another task fills. Nothing here passes or fails by how long something
took; the bound only ends a test in which it never comes. Whoever can be told waits for that, as `Talker.until` does.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

PATIENCE_S: Final = 60.0
"""Nothing that works takes so long, on two cores with several times their work; what has not come by then will not."""
_LOOK_S: Final = 0.02

T = TypeVar("T")


@overload
async def until(what: str, look: Callable[[], Awaitable[T]], *, timeout_s: float = PATIENCE_S) -> T: ...
@overload
async def until(what: str, look: Callable[[], T], *, timeout_s: float = PATIENCE_S) -> T: ...
async def until(what: str, look: Callable[[], Awaitable[object] | object], *, timeout_s: float = PATIENCE_S) -> object:
    """Wait until a look finds something, and return that: the first that is true.

    Args:
        what: how a report names it.
        look: called fifty times a second; it may have to be awaited.
        timeout_s: how long to wait.

    Raises:
        TimeoutError: it found nothing, and this is what it found last.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s, found {found!r}")
        await asyncio.sleep(_LOOK_S)


def wait_until(what: str, look: Callable[[], T], *, timeout_s: float = PATIENCE_S) -> T:
    """Do as `until` does, where there is no event loop."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s, found {found!r}")
        time.sleep(_LOOK_S)
    return found
