"""Who owns a session, and what of it outlives a process: a lease and a record in the broker's buckets.

A lease lasts 3 s and is renewed each second; who finds none may take it. The record is written by compare-and-set,
so that an agent which lost its lease without noticing cannot overwrite its successor. Called by `worker` and `app`.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from parley_agent.history import History
from parley_agent.turn_state import Turn, Unaccounted
from parley_contract.errors import LeaseLostError, MalformedMessageError
from parley_contract.reading import read
from parley_runtime.bus import Bus, Store

RENEW_EVERY_S: Final = 1.0
LEASE_S: Final = 3.0
"""How long a lease lasts without renewal: the bucket's `ttl_s`."""
ABANDONED_AFTER_S: Final = 30.0
"""A session without a heartbeat for this long has ended (design section 2)."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What another process needs to go on with a session."""

    session: str
    door: Literal["web", "discord"]
    channel: str
    token_hash: str
    epoch: int = 1
    next_turn: int = 1
    over: int = 0
    """The highest turn whose end is in the history."""
    behind: frozenset[int] = frozenset()
    """Turns below it that are not over."""
    history: History = History()
    unaccounted: tuple[Unaccounted, ...] = ()
    """Turns up to `over` of which it was not known yet whether the gateway had accounted for them."""
    latest_replies: tuple[Turn, ...] = ()
    """Turns that went into the history last: how far their replies were heard may be told late."""


_RECORD: Final = msgspec.msgpack.Decoder(SessionRecord)


class Lease:
    """One agent's claim on one session."""

    def __init__(self, store: Store, session: str, owner: str, clock: Callable[[], float]) -> None:
        """Wrap a lease that is to be taken; `take` is the way in."""
        self._store = store
        self._session = session
        self._owner = owner.encode()
        self._clock = clock
        self._revision = 0
        self._until = float("-inf")

    @classmethod
    async def take(cls, store: Store, session: str, owner: str, clock: Callable[[], float]) -> "Lease | None":
        """Take the lease; None if somebody holds it. `clock` is monotonic seconds."""
        lease = cls(store, session, owner, clock)
        return lease if await lease._take_if_free() else None

    async def renew(self) -> None:
        """Hold it for another 3 s; one that expired while the broker was away is taken again if it is free.

        Raises:
            LeaseLostError: somebody else took it.
            BusUnavailableError: the broker is away; the lease may still be ours.
        """
        asked_at = self._clock()
        revision = await self._store.update(self._session, self._owner, revision=self._revision)
        if revision is not None:
            self._hold(revision, asked_at)
        elif not await self._take_if_free():
            raise LeaseLostError(f"another agent owns session {self._session}")

    async def assure(self) -> None:
        """Return while it is certainly ours: a process that was stopped for a while must not act on an old lease.

        Raises:
            LeaseLostError, BusUnavailableError: as `renew`.
        """
        if self._clock() >= self._until:
            await self.renew()

    async def _take_if_free(self) -> bool:
        asked_at = self._clock()
        revision = await self._store.create(self._session, self._owner)
        if revision is None:
            # An earlier call may have reached the broker although its answer did not reach us.
            entry = await self._store.get(self._session)
            revision = entry.revision if entry and entry.value == self._owner else None
        if revision is None:
            return False
        self._hold(revision, asked_at)
        return True

    def _hold(self, revision: int, asked_at: float) -> None:
        self._revision, self._until = revision, asked_at + LEASE_S

    async def release(self) -> None:
        """Give it up at once, so that nobody waits for it to expire; one that is another's by now stays theirs."""
        await self._store.delete(self._session, revision=self._revision)


class Records:
    """Session records in their bucket."""

    def __init__(self, store: Store, bus: Bus) -> None:
        """Read and write through `store`; what cannot be read is buried on `bus`."""
        self._store = store
        self._bus = bus

    async def load(self, session: str) -> tuple[SessionRecord, int] | None:
        """Return the record and its revision; None if there is none that can be read."""
        entry = await self._store.get(session)
        if entry is None:
            return None
        try:
            return read(entry.value, _RECORD), entry.revision
        except MalformedMessageError as error:
            await self._bus.bury(f"session record {session}", entry.value, error)
            return None

    async def create(self, record: SessionRecord) -> int | None:
        """Write a new session's record and return its revision; None if there is one."""
        return await self._store.create(record.session, msgspec.msgpack.encode(record))

    async def replace(self, record: SessionRecord, revision: int) -> int:
        """Write the record over the revision we know and return the new one.

        Raises:
            LeaseLostError: somebody else has written it.
        """
        value = msgspec.msgpack.encode(record)
        written = await self._store.update(record.session, value, revision=revision)
        if written is None:
            # As with the lease: it may be written already.
            entry = await self._store.get(record.session)
            written = entry.revision if entry and entry.value == value else None
        if written is None:
            raise LeaseLostError(f"another agent has written session {record.session}")
        return written

    async def forget(self, session: str) -> None:
        """Remove the record."""
        await self._store.delete(session)
