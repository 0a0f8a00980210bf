"""What is in Secrets, which the operator may get by name and never watch; and new seeds.

A Secret that was there is believed for a while, one that was not is looked for each time: whoever makes the one that an
assistant waits for is not kept waiting.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import nkeys

from parley_operator.cluster import Cluster
from parley_operator.plan import LOOK_AGAIN_S
from parley_operator.resources.objects import Object
from parley_operator.resources.secrets import NkeyPair
from parley_operator.world import Key

BELIEVED_S: Final = 0.8 * LOOK_AGAIN_S
"""Shorter than the time after which every assistant is looked at again, so that then it is read again."""


class Values(NamedTuple):
    """One Secret."""

    owners: frozenset[str]
    """Uids."""
    data: Mapping[str, bytes]


class Secrets:
    """Reads Secrets."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        """Read from this cluster; `clock` is monotonic, in seconds."""
        self._cluster = cluster
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Values]] = {}

    async def read(self, namespace: str, name: str) -> Values | None:
        """Return what is in a Secret; None if there is none.

        Raises:
            RetryableError, PermanentError: as `cluster` says.
        """
        known = self._known.get((namespace, name))
        if known is not None and self._clock() - known[0] < BELIEVED_S:
            return known[1]
        found = await self._cluster.secret(namespace, name)
        if found is None:
            self._known.pop((namespace, name), None)
            return None
        return self.learn(found)

    def learn(self, secret: Object) -> Values:
        """Take note of a Secret as it is now."""
        meta = secret["metadata"]
        owners = frozenset(str(each["uid"]) for each in meta.get("ownerReferences") or [])
        values = Values(owners, {key: _decoded(text) for key, text in (secret.get("data") or {}).items()})
        self._known[meta["namespace"], meta["name"]] = (self._clock(), values)
        return values

    def forget(self, key: Key) -> None:
        """Drop the seeds of an assistant that is gone."""
        for place in [place for place in self._known if place[0] == key[0] and place[1].startswith(f"{key[1]}-nats-")]:
            del self._known[place]

    def doubt(self, key: Key) -> None:
        """Read again whatever an assistant may read: its spec changed, or somebody else was at work."""
        for place in [place for place in self._known if place[0] == key[0]]:
            del self._known[place]


def new_pair() -> NkeyPair:
    """Make a new user of a broker."""
    seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return NkeyPair(seed=seed.decode(), public_key=bytes(nkeys.from_seed(seed).public_key).decode())


def public_key(seed: bytes) -> str | None:
    """Return the public key of a seed; None for what is no seed."""
    try:
        return bytes(nkeys.from_seed(bytes(seed.strip())).public_key).decode()
    except (nkeys.NkeysError, binascii.Error, ValueError):
        return None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)
