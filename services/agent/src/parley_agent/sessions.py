"""Who owns a session, and what of it outlives a process: a lease and a record in the broker's buckets.

A lease lasts 3 s and is renewed each second; who finds none may take it. The record is written by compare-and-set,
so that an agent which lost its lease without noticing cannot overwrite its successor. Called by `worker` and `app`.
"""

from typing import Final, Literal

import msgspec

from parley_agent.history import History
from parley_contract.errors import LeaseLostError, MalformedMessageError
from parley_contract.reading import read
from parley_runtime.bus import Bus, Store

RENEW_EVERY_S: Final = 1.0
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
    history: History = History()


_RECORD: Final = msgspec.msgpack.Decoder(SessionRecord)


class Lease:
    """One agent's claim on one session."""

    def __init__(self, store: Store, session: str, revision: int, owner: str) -> None:
        """Wrap a lease that was taken; `take` is the way in."""
        self._store = store
        self._session = session
        self._revision = revision
        self._owner = owner

    @classmethod
    async def take(cls, store: Store, session: str, owner: str) -> "Lease | None":
        """Take the lease; None if somebody holds it."""
        revision = await store.create(session, owner.encode())
        return None if revision is None else cls(store, session, revision, owner)

    async def renew(self) -> None:
        """Hold it for another 3 s; one that expired while the broker was away is taken again if it is free.

        Raises:
            LeaseLostError: somebody else took it.
            BusUnavailableError: the broker is away; the lease may still be ours.
        """
        revision = await self._store.update(self._session, self._owner.encode(), revision=self._revision)
        if revision is None:
            revision = await self._store.create(self._session, self._owner.encode())
        if revision is None:
            raise LeaseLostError(f"another agent owns session {self._session}")
        self._revision = revision

    async def release(self) -> None:
        """Give it up at once, so that nobody waits for it to expire."""
        await self._store.delete(self._session)


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
        written = await self._store.update(record.session, msgspec.msgpack.encode(record), revision=revision)
        if written is None:
            raise LeaseLostError(f"another agent has written session {record.session}")
        return written

    async def forget(self, session: str) -> None:
        """Remove the record."""
        await self._store.delete(session)
