"""Joining a voice channel and leaving it, both within a time and without anything left over.

Used by `links`. discord.py's own `connect` may say that it is done although every attempt was closed, and what it
leaves behind of a failed one stands in the way of the next.
"""

import asyncio
import contextlib
from typing import Final, Protocol

import aiohttp
import discord

from parley_gateway.discord.errors import VoiceUnavailableError
from parley_gateway.discord.library.events import Events
from parley_gateway.discord.library.link_clients import LinkClient
from parley_gateway.discord.listeners import Channel
from parley_gateway.discord.translations import error_of, translated

CONNECT_S: Final = 20.0
"""For a handshake, those that discord.py repeats included; a good one takes half a second."""
LEAVE_S: Final = 5.0
"""For Discord to confirm that we have left; after that we have, whether it does or not."""


class Joiner(Events, Protocol):
    """Who joins, and wants to know what comes of it."""

    def attached(self, client: LinkClient) -> None:
        """A connection is being made: it is this that will be told of."""
        ...


async def join(channel: Channel, joiner: Joiner) -> None:
    """Join a channel; what it brings about is told to whoever joins, the connection itself first.

    Raises:
        VoiceRefusedError: Discord does not let us in.
        VoiceUnavailableError: not now. Either way, also when cancelled, nothing of the attempt is left over.
    """
    made: list[LinkClient] = []

    def make(client: discord.Client, where: discord.abc.Connectable) -> LinkClient:
        made.append(LinkClient(client, where, events=joiner))
        joiner.attached(made[-1])
        return made[-1]

    try:
        async with asyncio.timeout(CONNECT_S + LEAVE_S):
            _check(await channel.connect(timeout=CONNECT_S, reconnect=True, cls=make))
    except BaseException as error:
        # One of before is in the way, too, and then none was made.
        left_over = channel.guild.voice_client or (made[-1] if made else None)
        if isinstance(left_over, LinkClient):
            await leave(left_over)
        if isinstance(error, Exception):
            raise translated(error) from error
        raise


async def leave(client: LinkClient) -> None:
    """Leave the channel, by force where Discord does not answer."""
    with contextlib.suppress(TimeoutError, discord.DiscordException, aiohttp.ClientError, OSError):
        async with asyncio.timeout(LEAVE_S):
            await client.leave()
    client.cleanup()


def _check(client: LinkClient) -> None:
    """Look whether we are there."""
    if client.is_connected():
        return
    if client.verdict is not None:
        raise error_of(client.verdict)
    raise VoiceUnavailableError("server", "The voice server closed every attempt. Try again in a minute.")
