"""Coming without being called: where somebody waits in a channel of `autoJoin`, and back after a restart.

Used by `client`. What a process that is gone left behind is asked of the agent, by what this bot's token makes.
"""

import asyncio
import hashlib
import hmac
from typing import Final

import discord
import structlog

from parley_contract.messages import FoundSession
from parley_gateway.admissions import AdmissionError, Admissions, Entrance
from parley_gateway.discord.errors import VoiceRefusedError, VoiceUnavailableError
from parley_gateway.discord.hosting import JOIN_ERRORS, Hosting, wish_for
from parley_gateway.discord.listeners import Channel
from parley_gateway.discord.manners import hindrance
from parley_gateway.discord.notices import Notices
from parley_gateway.discord.words import say
from parley_gateway.settings import GatewaySettings

log: Final = structlog.get_logger()

_RESUME_TRIES: Final = 3
_FIND_TRIES: Final = 20
_FIND_PAUSE_S: Final = 0.5
_SECRET_FOR: Final = b"parley: resume the sessions of this bot"


def secret_of(token: str) -> str:
    """Return what resumes this bot's sessions: a process that comes back knows it, and nobody without the token."""
    return hmac.new(token.encode(), _SECRET_FOR, hashlib.sha256).hexdigest()


class Arrivals:
    """Looks where to come, and has `hosting` come."""

    def __init__(
        self,
        client: discord.Client,
        hosting: Hosting,
        notices: Notices,
        admissions: Admissions,
        settings: GatewaySettings,
    ) -> None:
        """Look at this client's servers."""
        self.hindered: Final[dict[int, str]] = {}
        """Channels that it wanted to join and could not, and why, for the owner."""
        self._client = client
        self._hosting = hosting
        self._notices = notices
        self._admissions = admissions
        self._auto_join = frozenset(map(int, settings.discord_auto_join))

    async def come_back(self) -> None:
        """Go on with the conversations of a process that is gone, then join where somebody waits."""
        for each in await self._left_behind():
            guild_id, _, channel_id = each.channel.partition("/")
            guild = self._client.get_guild(int(guild_id))
            here = guild.me.voice.channel if guild and guild.me.voice else None
            channel = here or (guild.get_channel(int(channel_id)) if guild else None)
            if isinstance(channel, Channel) and people_in(channel):
                self._hosting.expect(channel.guild.id, self._resume(channel, f"{each.session}.{self._hosting.secret}"))
        for server in self._client.guilds:
            self.look_around(server)

    async def _left_behind(self) -> tuple[FoundSession, ...]:
        """Return the conversations of a process that is gone; an agent that restarts with it takes a moment."""
        for _ in range(_FIND_TRIES):
            try:
                return await self._admissions.find(Entrance("discord", secret=self._hosting.secret))
            except AdmissionError:
                await asyncio.sleep(_FIND_PAUSE_S)
        log.warning("no agent could be asked for conversations to go on with")
        return ()

    async def _resume(self, channel: Channel, resume: str) -> None:
        language = str(channel.guild.preferred_locale)
        for is_last in (*[False] * (_RESUME_TRIES - 1), True):
            try:
                stay = await self._hosting.come(channel, language=language, writes_to=channel.id, resume=resume)
            except (AdmissionError, VoiceUnavailableError) as error:
                log.warning("could not come back", channel=channel.id, reason=str(error), gives_up=is_last)
            except VoiceRefusedError as error:
                log.error("could not come back", channel=channel.id, reason=str(error), gives_up=True)
                return
            else:
                if stay.is_resumed:
                    await self._notices.write(stay, "restarted")
                return

    def look_around(self, guild: discord.Guild) -> None:
        """Look at every voice channel of a server."""
        for channel in guild.channels:
            if isinstance(channel, Channel):
                self.look_at(channel)

    def look_at(self, channel: Channel) -> None:
        """Join a channel if it is one that the bot joins by itself, and somebody is there."""
        if channel.id not in self._auto_join:
            return
        if not people_in(channel):
            self._hosting.forgive(channel.guild.id)
        elif not self._hosting.is_unwelcome(channel.guild.id):
            self._hosting.expect(channel.guild.id, self._join(channel))

    async def _join(self, channel: Channel) -> None:
        self.hindered.pop(channel.id, None)
        if word := hindrance(wish_for(channel)):
            self.hindered[channel.id] = say("en", word, channel=f"#{channel.name}")
            log.warning("cannot join by itself", channel=channel.id, reason=word)
            return
        try:
            await self._hosting.come(channel, language=str(channel.guild.preferred_locale), writes_to=channel.id)
        except JOIN_ERRORS as error:
            log.warning("could not join by itself", channel=channel.id, reason=str(error))


def people_in(channel: Channel) -> list[discord.Member]:
    """Return who is there, without bots."""
    return [member for member in channel.members if not member.bot]
