"""One connection to Discord: logs in, offers the commands, and passes on what happens on the servers.

Made anew by `bot` after each failure. Discord's own addresses can be replaced by `doors.discord.endpoint`; what a
certificate is checked against can be, too, whether it is checked cannot.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import aiohttp
import discord
import structlog
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from parley_contract.errors import PermanentError
from parley_gateway.admissions import Admissions
from parley_gateway.discord.arrivals import Arrivals, secret_of
from parley_gateway.discord.commands import Commands
from parley_gateway.discord.hosting import Hosting, LinkMaker
from parley_gateway.discord.listeners import Channel
from parley_gateway.discord.notices import Notices
from parley_gateway.settings import GatewaySettings

log: Final = structlog.get_logger()

Reason = Literal["TokenRefused", "IntentsRefused", "PermissionsMissing", "DiscordUnreachable"]
"""As the operator's conditions call it."""
_AUTHENTICATION_FAILED: Final = 4004
_INTENTS: Final = frozenset({4013, 4014})
_GUILDS_S: Final = 0.5
"""How long the first servers may keep each other waiting before the bot is ready; discord.py's own is 2 s."""


class Problem(NamedTuple):
    """Why the bot is not on Discord, or cannot do all it should there."""

    reason: Reason
    sentence: str


class CertificateError(PermanentError):
    """The certificate of the authority to trust cannot be read."""


def problem_of(error: BaseException) -> Problem:
    """Say what an error means and what to do; never what stood in it."""
    refused = Problem(
        "TokenRefused",
        "Discord refuses the bot's token: make a new one (discord.com/developers, Bot, Reset Token) and put it into "
        "the Secret, or into DISCORD_TOKEN",
    )
    match error:
        case discord.LoginFailure():
            return refused
        case discord.ConnectionClosed(code=code) if code == _AUTHENTICATION_FAILED:
            return refused
        case discord.PrivilegedIntentsRequired():
            return _intents()
        case discord.ConnectionClosed(code=code) if code in _INTENTS:
            return _intents()
        case CertificateError():
            return Problem("DiscordUnreachable", str(error))
        case AttributeError() if error.__context__ is not None:
            # discord.py stumbles over a first connection that fails, and hides why.
            return problem_of(error.__context__)
        case discord.ConnectionClosed(code=code):
            return Problem("DiscordUnreachable", f"Discord closed the connection with code {code}; trying again")
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            return Problem(
                "DiscordUnreachable",
                "the certificate that was shown for Discord is not to be trusted: is doors.discord.endpoint right, and "
                "does its caSecretRef hold the authority's certificate?",
            )
        case discord.HTTPException(status=status):
            return Problem("DiscordUnreachable", f"Discord's API answers with status {status}; trying again")
        case _:
            return Problem(
                "DiscordUnreachable",
                f"Discord cannot be reached ({type(error).__name__}); trying again. Does something keep this machine "
                "from discord.com, by HTTPS and UDP?",
            )


def _intents() -> Problem:
    return Problem(
        "IntentsRefused",
        "Discord refuses the intents that the bot asks for, servers and voice states, which need no leave: does a "
        "proxy stand in between?",
    )


def connector(settings: GatewaySettings) -> aiohttp.TCPConnector | None:
    """Point discord.py at the endpoint of the settings, and return how to connect; None for its own way.

    The library keeps both addresses for the whole process, which talks to one Discord alone.

    Raises:
        CertificateError: there is no certificate where the settings say.
    """
    if settings.discord_api_base:
        Route.BASE = settings.discord_api_base.rstrip("/")
    if settings.discord_gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
    if settings.discord_ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.discord_ca_file))
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"DISCORD_CA_FILE {settings.discord_ca_file}: no certificate can be read there: {type(error).__name__}"
        ) from error
    return aiohttp.TCPConnector(limit=0, ssl=context)


class Client(discord.Client):
    """The connection; `start` lasts as long as it does."""

    def __init__(
        self,
        settings: GatewaySettings,
        admissions: Admissions,
        make_link: LinkMaker,
        tell: Callable[[Problem | None], None],
        token: str,
    ) -> None:
        """Prepare.

        Args:
            settings: the door's.
            admissions: where sessions come from.
            make_link: makes voice links.
            tell: called when the connection is there (None) and when it is not.
            token: who the bot is; only what is derived from it is kept here.
        """
        intents = discord.Intents(guilds=True, voice_states=True)
        options: dict[str, Any] = {"intents": intents, "guild_ready_timeout": _GUILDS_S}
        if (made := connector(settings)) is not None:
            options["connector"] = made
        super().__init__(**options)
        notices = Notices(self, settings)
        idle_s = settings.discord_leave_after_idle_s
        self.hosting: Final = Hosting(admissions, make_link, notices, secret=secret_of(token), idle_s=idle_s)
        self._arrivals = Arrivals(self, self.hosting, notices, admissions, settings)
        self._guild_ids = [int(guild) for guild in settings.discord_guild_ids]
        self._tell = tell
        self._tree = app_commands.CommandTree(self)
        self._is_back = False
        self._lacking: Problem | None = None
        Commands(self, self.hosting, notices, settings).add_to(self._tree)

    def shown(self) -> Mapping[str, Any]:
        """Return what `/status` of the gateway shows of the stays."""
        return {
            "stays": [stay.status() for stay in self.hosting.stays.values()],
            "hindered": {str(channel): why for channel, why in self._arrivals.hindered.items()},
        }

    async def setup_hook(self) -> None:
        """Offer the commands, everywhere or on the servers of the settings."""
        if not self._guild_ids:
            await self._tree.sync()
            return
        for guild_id in self._guild_ids:
            guild = discord.Object(guild_id)
            self._tree.copy_global_to(guild=guild)
            try:
                await self._tree.sync(guild=guild)
            except discord.Forbidden:
                self._lacking = Problem(
                    "PermissionsMissing",
                    f"the bot may not offer commands on the server {guild_id}: invite it there with the scopes bot "
                    "and applications.commands, or take the server out of doors.discord.guildIds",
                )

    async def on_ready(self) -> None:
        """Take up what was left, once."""
        self._tell(self._lacking)
        log.info("on Discord", servers=len(self.guilds))
        if not self._is_back:
            self._is_back = True
            await self._arrivals.come_back()

    async def on_resumed(self) -> None:
        """The connection is there again, and nothing was missed."""
        self._tell(self._lacking)

    async def on_disconnect(self) -> None:
        """The connection is gone; the library makes it anew."""
        self._tell(Problem("DiscordUnreachable", "the connection to Discord was lost; it is being made anew"))

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A server can be seen: somebody may wait there."""
        self._look_at(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Somebody has invited the bot."""
        self._look_at(guild)

    def _look_at(self, guild: discord.Guild) -> None:
        if self._is_back:
            self._arrivals.look_around(guild)

    async def on_voice_state_update(
        self, member: discord.Member, before: discord.VoiceState, after: discord.VoiceState
    ) -> None:
        """Somebody came or went, or a moderator has deafened the bot."""
        if member == member.guild.me and before.channel is not None and before.deaf != after.deaf:
            self.hosting.deafened(member.guild, is_deaf=after.deaf)
        if member.bot or before.channel == after.channel or not self._is_back:
            return
        for channel in (before.channel, after.channel):
            if isinstance(channel, Channel):
                self._arrivals.look_at(channel)
