"""How a worker takes work: claims that tell readiness whether the queue is bound, held while they are worked on.

Used by the asr and tts workers. What is done with an item, and how its claim ends, is theirs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

from parley_contract.errors import BusUnavailableError
from parley_contract.messages import Message
from parley_contract.streams import Durable
from parley_runtime.bus import Bus, Work
from parley_runtime.http import Health

M = TypeVar("M", bound=Message)

CONSUMER: Final = "consumer"
"""What readiness calls the bound work queue."""
BROKER_PAUSE_S: Final = 0.5
"""Before a broker that is away is asked again."""
_CLAIM_S: Final = 1.0
"""How long one claim waits: stopping is noticed that late."""
_IN_PROGRESS_S: Final = 0.4
"""A third of `ack_wait` (1.5 s), less a little: two renewals may be lost."""


class Claims(Generic[M]):
    """One worker's claims of one durable."""

    def __init__(self, bus: Bus, durable: Durable, kind: type[M], health: Health) -> None:
        """Wire up; nothing is claimed before `next`. `health` learns of `CONSUMER` with each claim."""
        self._bus = bus
        self._durable = durable
        self._kind = kind
        self._health = health

    async def next(self) -> Work[M] | None:
        """Return an item; None if none came within a second, or, after a pause, while the broker is away."""
        try:
            work = await self._bus.claim(self._durable, self._kind, timeout_s=_CLAIM_S)
        except BusUnavailableError as error:
            self._health.lacking(CONSUMER, str(error))
            await asyncio.sleep(BROKER_PAUSE_S)
            return None
        self._health.ready(CONSUMER)
        return work


@contextlib.asynccontextmanager
async def held(work: Work[M]) -> AsyncIterator[None]:
    """Renew a claim while the block lasts, so that it comes to another worker only when this one is dead."""
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(_renew(work))
        try:
            yield
        finally:
            renewing.cancel()


async def _renew(work: Work[M]) -> None:
    while True:
        await asyncio.sleep(_IN_PROGRESS_S)
        with contextlib.suppress(BusUnavailableError):
            await work.in_progress()


async def hand_back(work: Work[M], *, delay_s: float) -> None:
    """Give a claim back; with the broker away it comes back by itself."""
    with contextlib.suppress(BusUnavailableError):
        await work.retry(delay_s)
