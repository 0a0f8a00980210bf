"""A mouth and the voice server, which wants to be told before sound comes and when it has ended (op 5).

Made by `calls`, one per call. What is said, and when, is `mouths`' alone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp

from parley_gateway.discord.counters import LinkCounters
from parley_gateway.discord.library.link_clients import LinkClient
from parley_gateway.discord.mouths import Gate, Mouth
from parley_gateway.discord.pacing import Pacer
from parley_gateway.discord.roster import Roster


class _Wire:
    """The way out of a mouth: a connection, and whether anybody is there to hear."""

    def __init__(self, client: LinkClient, roster: Roster) -> None:
        self._client = client
        self._roster = roster
        self.send = client.send

    @property
    def own_ssrc(self) -> int | None:
        return self._client.own_ssrc

    @property
    def gate(self) -> Gate:
        client = self._client
        if not client.is_connected():
            return Gate.SHUT
        if not self._roster.is_anybody_here:
            return Gate.ALONE
        return Gate.OPEN if client.can_encrypt or not client.is_end_to_end else Gate.SHUT


class Speaking:
    """All that is said on one link."""

    def __init__(self, pacer: Pacer, counters: LinkCounters, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Say nothing yet; made on the event loop.

        Args:
            pacer: the thread that sends.
            counters: of the link.
            run: lets something go on, on the event loop, until it is over or the link is.
        """
        self.mouth: Final = Mouth(pacer, counters, ask=self._ask, rest=self._rest)
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._client: LinkClient | None = None
        self._is_announced = False
        self._is_over = False

    def attach(self, client: LinkClient, roster: Roster) -> None:
        """There is a connection to speak through."""
        self._client = client
        self.mouth.wire = _Wire(client, roster)

    def detach(self) -> None:
        """There is none any more: what is played waits."""
        self._client = self.mouth.wire = None

    def close(self) -> None:
        """Say nothing any more."""
        self._is_over = True
        self.detach()
        self.mouth.close()

    def _ask(self) -> None:
        self._run(self._speak())

    async def _speak(self) -> None:
        await self._announce(is_speaking=True)
        self.mouth.speak()

    def _rest(self) -> None:
        """Called on the pacing thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._rested)

    def _rested(self) -> None:
        if self.mouth.is_silent and not self._is_over:
            if self._is_announced:
                self._run(self._announce(is_speaking=False))
            self.mouth.wake()

    async def _announce(self, *, is_speaking: bool) -> None:
        self._is_announced = is_speaking
        if self._client is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):  # it is about to be connected anew
                await self._client.announce(is_speaking=is_speaking)
