"""Waiting for what a controller will have done soon."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from parley_testkit.waiting import PATIENCE_S

T = TypeVar("T")

WAIT_S: Final = PATIENCE_S
"""Forty times what the controllers take when nothing else runs on two cores."""
_POLL_S: Final = 0.03


def until(look: Callable[[], T], holds: Callable[[T], object], *, within_s: float = WAIT_S) -> T:
    """Look again and again until what is seen holds, and return that.

    Raises:
        AssertionError: it never did; the message is what was seen last.
    """
    deadline = time.monotonic() + within_s
    while not holds(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s; what was seen last:\n{_legible(seen)}")
        time.sleep(_POLL_S)
    return seen


def _legible(seen: object) -> object:
    """Leave out of Kubernetes objects who wrote which field, which is most of them."""
    match seen:
        case {"metadata": {"managedFields": _, **metadata}, **rest}:
            return {"metadata": metadata, **rest}
        case [*each]:
            return [_legible(one) for one in each]
    return seen
