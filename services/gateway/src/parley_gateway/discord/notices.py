"""What the bot writes of its own accord, and how people are called: the door's small talk with Discord.

Used by `hosting`, `arrivals` and `commands`. Where it may not write it is silent, and the log says so.
"""

from collections.abc import Callable
from typing import Final

import discord
import structlog

from parley_gateway.discord.stays import Stay
from parley_gateway.discord.words import Word, say
from parley_gateway.settings import GatewaySettings

log: Final = structlog.get_logger()


def names_in(guild: discord.Guild) -> Callable[[int], str | None]:
    """Return a look-up of how somebody is called on a server; None for a bot, whom nobody listens to."""

    def name_of(user_id: int) -> str | None:
        member = guild.get_member(user_id)
        if member is None:
            return ""
        return None if member.bot else member.display_name

    return name_of


class Notices:
    """Writes."""

    def __init__(self, client: discord.Client, settings: GatewaySettings) -> None:
        """Write as this client, where the settings say."""
        self._client = client
        self._settings = settings

    def names(self, stay: Stay, people: frozenset[int]) -> str:
        """Return how people are called, in one line."""
        guild = self._client.get_guild(stay.guild)
        name_of = names_in(guild) if guild else str
        return ", ".join(sorted(name_of(person) or str(person) for person in people))

    async def write(self, stay: Stay, word: Word, **values: str) -> None:
        """Write a sentence into the assistant's text channel, or to where the bot was called."""
        channel = int(self._settings.discord_text_channel or stay.writes_to)
        try:
            await self._client.get_partial_messageable(channel).send(
                say(stay.language, word, **values), allowed_mentions=discord.AllowedMentions.none()
            )
        except (discord.HTTPException, OSError) as error:
            log.warning("could not write into a channel", channel=channel, word=word, error=type(error).__name__)
