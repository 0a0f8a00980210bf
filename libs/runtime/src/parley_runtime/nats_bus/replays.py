"""Reading back what a stream has of a subject: batched direct gets (ADR-31), a round trip for a thousand messages.

A consumer would do it too, but making one needs a right that workers do not have.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from parley_contract.errors import BusUnavailableError
from parley_runtime.bus import Raw
from parley_runtime.nats_bus.vendor import ACK_TIMEOUT_S, VENDOR_ERRORS, raw_of, translated

BATCH: Final = 1024
"""Messages per request; the server caps a batch at 1024, and 20 s of speech fit in one."""
_END_OF_BATCH: Final = "204"
_NOTHING: Final = "404"


async def replay(client: Client, stream: str, subject: str, within_s: float | None = None) -> list[Raw]:
    """Return what `stream` has of `subject` (wildcards allowed), in the order of storing.

    Args:
        client: a connection.
        stream: its name.
        subject: which messages.
        within_s: only those stored so long before the newest one, by the broker's clock.

    Raises:
        BusUnavailableError: the stream or the broker is away.
    """
    found: list[Raw] = []
    with translated(f"cannot replay {stream}"):
        async with _inbox(client) as (inbox, arrived):

            async def ask(**what: str | int) -> None:
                await client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(what).encode(), reply=inbox)

            begin: dict[str, str | int] = {"seq": 1}
            if within_s is not None:
                await ask(last_by_subj=subject)
                begin = _before(await _next(arrived), within_s, stream)
            while begin:
                await ask(next_by_subj=subject, batch=BATCH, **begin)
                sequence = await _take_batch(arrived, found, stream)
                begin = {"seq": sequence} if sequence else {}
    return found


def _before(newest: Msg, within_s: float, stream: str) -> dict[str, str | int]:
    """Say where to begin: the broker's word for when is the only one, whatever our wall clock says meanwhile."""
    headers = newest.headers or {}
    match headers.get("Status"):
        case None:
            stored_at = datetime.fromisoformat(headers["Nats-Time-Stamp"])
            return {"start_time": (stored_at - timedelta(seconds=within_s)).isoformat()}
        case status if status == _NOTHING:
            return {}
        case status:
            raise BusUnavailableError(f"{stream} refused a replay with status {status}")


async def _next(arrived: asyncio.Queue[Msg]) -> Msg:
    async with asyncio.timeout(ACK_TIMEOUT_S):
        return await arrived.get()


async def _take_batch(arrived: asyncio.Queue[Msg], found: list[Raw], stream: str) -> int:
    """Add one batch to `found`; return the sequence to go on from, or 0 when there is no more."""
    sequence = 0
    while True:
        msg = await _next(arrived)
        headers = msg.headers or {}
        status = headers.get("Status")
        if status is None:
            sequence = int(headers["Nats-Sequence"]) + 1
            found.append(raw_of(msg)._replace(subject=headers["Nats-Subject"]))
        elif status == _END_OF_BATCH:
            return sequence if int(headers.get("Nats-Num-Pending", "0")) else 0
        elif status == _NOTHING:
            return 0
        else:
            raise BusUnavailableError(f"{stream} refused a replay with status {status}")


@contextlib.asynccontextmanager
async def _inbox(client: Client) -> AsyncIterator[tuple[str, asyncio.Queue[Msg]]]:
    inbox = client.new_inbox()
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(inbox, cb=arrived.put)
    try:
        yield inbox, arrived
    finally:
        with contextlib.suppress(*VENDOR_ERRORS):
            await subscription.unsubscribe()
