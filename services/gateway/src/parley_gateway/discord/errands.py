"""What the Discord door does without being waited for: each errand may fail without the others, and none outlives it.

Used by `hosting`. What fails is in the log, with no word of what somebody said or is called.
"""

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any, Final, Self

import structlog

from parley_contract.errors import ParleyError

log: Final = structlog.get_logger()

Work = Coroutine[Any, Any, object]


class Errands:
    """An async context manager: leaving it ends all that still goes on."""

    def __init__(self) -> None:
        """Begin nothing before the context is entered."""
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self.is_open = False
        """Whether anything new may begin."""

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
        # What ended the block is its own business; what was begun here never fails.
        await self._tasks.__aexit__(None, None, None)

    def cancel(self) -> None:
        """End all that goes on; nothing new begins."""
        self.is_open = False
        for task in self._running:
            task.cancel()

    def start(self, work: Work) -> None:
        """Have something done, unless all is about to end."""
        if self.is_open:
            self.begin(work)  # type: ignore[unused-awaitable]  # the group waits for it
        else:
            work.close()

    def begin(self, work: Work) -> asyncio.Task[None]:
        """Have something done that its owner may end sooner."""
        task = self._tasks.create_task(_alone(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _alone(work: Work) -> None:
    """Let one piece of work fail without the others."""
    try:
        await work
    except ParleyError as error:
        log.warning("something in the Discord door did not work", reason=str(error))
    except Exception as error:  # noqa: BLE001  # what a person is called may stand in its message
        log.error("something in the Discord door broke", error=type(error).__name__, where=raised_at(error))


def raised_at(error: BaseException) -> str:
    """Say where something was raised: what was raised may hold a name, or what somebody said."""
    return traceback.format_tb(error.__traceback__)[-1]
