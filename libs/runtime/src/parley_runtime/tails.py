"""What the record has of a session's latest turns, for whoever was not listening when it was said.

The agent reads a tail when it takes a session over. Gateway and agent read one whenever the broker is back: somebody
else's connection may have been made anew before theirs, and what was said in between reached the record alone. What is
in a tail may have been heard before, and plain publishes (partials, deltas) are in it too: its readers bear that.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from parley_contract.errors import BusUnavailableError
from parley_contract.streams import Stream
from parley_contract.subjects import session_events
from parley_runtime.bus import Bus, Received

_TAIL_S: Final = 600.0
"""How far back a turn may have begun that is still open: more than any utterance and any watchdog."""
_RETRY_S: Final = 0.25


async def read_tail(bus: Bus, events: Stream, session: str) -> list[Received]:
    """Return what `events` has of a session's last ten minutes, oldest first.

    Raises:
        BusUnavailableError: the broker is away.
    """
    return await bus.stored_messages(events, session_events(bus.subjects.assistant, session), within_s=_TAIL_S)


async def tails_after_reconnects(bus: Bus, events: Stream, session: str) -> AsyncIterator[list[Received]]:
    """Yield a tail whenever the broker is back, for ever; take it in without waiting, or the next one is missed."""
    while True:
        await bus.reconnected()
        yield await _until_read(bus, events, session)


async def _until_read(bus: Bus, events: Stream, session: str) -> list[Received]:
    while True:
        try:
            return await read_tail(bus, events, session)
        except BusUnavailableError:
            await asyncio.sleep(_RETRY_S)
