"""What agents say of their assistants: each is asked `/status` now and then, whichever of its replicas answers.

An agent that does not answer says nothing: that it is not ready is for its probe to find.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from parley_contract.services import PORTS
from parley_operator.queues import Workers
from parley_operator.world import Key

ADDRESS: Final = f"http://{{name}}-agent.{{namespace}}.svc:{PORTS['agent']}/status"
"""Of the agent's Service, from within the cluster."""
EVERY_S: Final = 30.0
"""So often at most do figures change in a status: each change is a write to etcd, and nobody reads faster."""
TIMEOUT_S: Final = 2.0
_MOST_BYTES: Final = 64 * 1024
_AT_ONCE: Final = 16


class Agents:
    """Follows the agents that are ready."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        tell: Callable[[Key], None],
        clock: Callable[[], float],
        *,
        address: str = ADDRESS,
    ) -> None:
        """Ask by this client.

        Args:
            http: closed by whoever made it.
            tell: called with the assistant whose agent says something new.
            clock: monotonic seconds.
            address: of `/status`, with `{namespace}` and `{name}`.
        """
        self.workers: Final = Workers(self._poll, at_once=_AT_ONCE, clock=clock)
        """To be run by whoever made this."""
        self._http = http
        self._tell = tell
        self._address = address
        self._said: dict[Key, Mapping[str, Any] | None] = {}

    def follow(self, key: Key) -> None:
        """Ask this assistant's agent from now on."""
        if key not in self._said:
            self._said[key] = None
            self.workers.add(key)

    def leave(self, key: Key) -> None:
        """Ask it no more, and forget what it said."""
        self._said.pop(key, None)
        self.workers.queue.forget(key)

    def said(self, key: Key) -> Mapping[str, Any] | None:
        """Return what it said last; None where it did not answer."""
        return self._said.get(key)

    async def _poll(self, key: Key) -> float | None:
        if key not in self._said:
            return None
        said = await self._ask(key)
        if key in self._said and said != self._said[key]:
            self._said[key] = said
            self._tell(key)
        return EVERY_S

    async def _ask(self, key: Key) -> Mapping[str, Any] | None:
        url = self._address.format(namespace=key[0], name=key[1])
        try:
            async with asyncio.timeout(TIMEOUT_S), self._http.get(url, allow_redirects=False) as answer:
                if answer.status != 200:  # noqa: PLR2004  # HTTP
                    return None
                found = msgspec.json.decode(await answer.content.read(_MOST_BYTES))
        except (TimeoutError, OSError, aiohttp.ClientError, msgspec.DecodeError):
            return None
        return _relevant(found) if isinstance(found, dict) else None


def _relevant(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts that a status is made of: what else changes with each turn is no reason to write one."""
    return {key: found[key] for key in ("sessions", "e2ft", "model", "streams", "doors") if key in found}
