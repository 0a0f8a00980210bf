"""A key-value bucket with compare-and-set, on nats-py's."""

from collections.abc import Coroutine
from typing import Final

from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from parley_runtime.bus import Entry
from parley_runtime.nats_bus.vendor import translated

_WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""nats-server's codes for a compare-and-set that is lost (JSStreamWrongLastSequenceErrF and …ConstantErr)."""


class NatsStore:
    """A `Store`: a lost compare-and-set is None, a broker that is away is ours."""

    def __init__(self, bucket: KeyValue) -> None:
        """Wrap a bucket that exists."""
        self._bucket = bucket

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        with translated(f"cannot read {key}"):
            try:
                entry = await self._bucket.get(key)
            except KeyNotFoundError:
                return None
        return Entry(entry.value or b"", entry.revision or 0)

    async def create(self, key: str, value: bytes) -> int | None:
        """See Store."""
        return await self._write(self._bucket.create(key, value), key)

    async def update(self, key: str, value: bytes, *, revision: int) -> int | None:
        """See Store."""
        return await self._write(self._bucket.update(key, value, last=revision), key)

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """See Store."""
        with translated(f"cannot delete {key}"):
            try:
                await self._bucket.delete(key, last=revision)
            except APIError as error:
                # nats-py translates this for writes alone.
                if error.err_code not in _WRONG_LAST_SEQUENCE:
                    raise

    async def _write(self, write: Coroutine[None, None, int], key: str) -> int | None:
        with translated(f"cannot write {key}"):
            try:
                return await write
            except KeyWrongLastSequenceError:
                return None
