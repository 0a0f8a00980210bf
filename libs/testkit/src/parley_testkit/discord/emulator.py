"""Discord on this machine, for tests and by hand: REST, gateway, voice server and people, end-to-end encrypted.

    async with DiscordEmulator() as discord:
        guild = discord.guild("Home")
        lounge = discord.voice_channel(guild, "Lounge")
        mina = await discord.human("Mina", lounge)
        ...  # start a bot with discord.api_base, discord.gateway_url, discord.ca_file and discord.bot.token
        interaction = await mina.invoke("join")
        assert (await interaction.reply()).content == "I am here."
        await discord.connected()
        await mina.say(pcm)
        assert mina.heard().voiced
        assert not discord.violations.but()

The bot is whatever client a test starts, in this process or in another: nothing here knows whose it is. Everything
listens on loopback, on free ports, with a certificate made for the run. docs/decisions/0019 says what of this is real.

Faults are ordered from the part whose fault it is:

| fault                               | how                                                                          |
|-------------------------------------|------------------------------------------------------------------------------|
| REST says 401, 403, 404, 429, 5xx   | `rest.faults.append(Fault("POST", "/callback", 500))`, once each             |
| identification refused with a code  | `gateway.refusals.append(4004)`, `voice.refusals.append(4017)`, once each    |
| gateway hangs up, or breaks         | `gateway.hang_up(bot, 4000)`, `gateway.hang_up(bot)`                         |
| opcode 7, opcode 9                  | `gateway.ask_to_reconnect(bot)`, `gateway.invalidate(bot)`                   |
| no heartbeat is acknowledged        | `.acknowledges = False` of `gateway.sessions_of(bot)[0]` or of `link()`      |
| no datagram reaches the bot         | `link().delivers = False`                                                    |
| voice server hangs up, or breaks    | `link().close(4015)`, also 4006, 4014, 4021, 4022; `link().close(1006)`      |
| region moves; no server for now     | `switchboard.move_region(bot)`; `switchboard.give_server(bot, endpoint=False)` |
| no voice server is ever given       | `switchboard.gives_server = False`                                           |
| bot kicked or moved; muted, deafened | `switchboard.move(bot, None)`, `switchboard.silence(bot, deaf=True)`        |
| opcode 5 late, or never             | `human.announces_speaking_s = 0.5`, or `None`                                |
| loss, reordering, padding, CSRCs, … | `human.line = Line(loss=0.05, padded=1.0, extension_words=2)`                |
| camera; old packets again           | `human.turn_camera_on()`; `human.resend(human.sent[:10])`                    |
| RTCP; anything else in a datagram   | `link().transmit_report(human.ssrc)`; `link().transmit(bytes)`               |
| DAVE goes, and comes back           | `call(channel).group.downgrade()`, `call(channel).group.upgrade()`           |
| an unreadable commit or welcome     | `call(channel).group.spoil_commit(bot.id)`                                   |
| whose commit wins                   | `call(channel).group.winner = "bot"`, `"human"` or `"first"`                 |
"""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from parley_testkit.control_plane.certificates import Authority
from parley_testkit.discord.link import Link
from parley_testkit.discord.members import Library
from parley_testkit.discord.ops import Permission
from parley_testkit.discord.parts import Parts
from parley_testkit.discord.people import EmulatedHuman
from parley_testkit.discord.rest import PREFIX
from parley_testkit.discord.settings import Settings
from parley_testkit.discord.users import Bot, User
from parley_testkit.discord.voice_server import LOOPBACK
from parley_testkit.discord.world import STAGE, TEXT, VOICE, Channel, Guild
from parley_testkit.waiting import PATIENCE_S, until

_TICK_S: Final = 0.1
_CLOSE_S: Final = 1.0


class DiscordEmulator(Parts):
    """One Discord, which runs while the block lasts."""

    def __init__(self, settings: Settings = Settings()) -> None:  # noqa: B008 # a value
        """Have one bot, and nothing else."""
        super().__init__(settings)
        self.bot: Final = self.add_bot("Libra")
        """The first bot, which everything means that names none."""
        self.api_base = ""
        """`http://…/api/v10`: what stands before every path of the REST API."""
        self.gateway_url = ""
        """`ws://…`: what GET /gateway/bot says too."""
        self.ca_file = Path()
        """The authority that signed the voice server's certificate, as PEM."""
        self._exits = contextlib.AsyncExitStack()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as exits:
            folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="parley-discord-")))
            authority = Authority(folder / "tls")
            self.ca_file = authority.certificate
            identity = authority.server("voice", "localhost")
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(identity.certificate, identity.key)
            runner = web.AppRunner(self.rest.application(), access_log=None, shutdown_timeout=_CLOSE_S)
            exits.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, 0).start()
            host, port = runner.addresses[0][:2]
            self.api_base = f"http://{host}:{port}{PREFIX}"
            self.gateway_url = self.gateway.url = f"ws://{host}:{port}/gateway"
            exits.push_async_callback((await self.voice.start(tls)).cleanup)
            exits.callback(self.stop)
            self._tick()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        await self._exits.aclose()

    def _tick(self) -> None:
        self.tick(time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    # --- What exists --------------------------------------------------------------------------------------------------

    def add_bot(self, name: str) -> Bot:
        """Make a bot; it is a member of servers that are made later."""
        bot = Bot(name=name)
        self.world.bots.append(bot)
        return bot

    def guild(self, name: str, *, locale: str = "en-US") -> Guild:
        """Make a server with all bots and a text channel, and tell those of them that are connected."""
        guild = Guild(name=name, locale=locale)
        guild.users.update({bot.id: bot for bot in self.world.bots})
        self.world.guilds[guild.id] = guild
        self._channel(guild, "general", TEXT, 0, Permission.NOTHING)
        self.gateway.dispatch(guild, "GUILD_CREATE", guild.json())
        return guild

    def text_channel(self, guild: Guild, name: str, *, denied: Permission = Permission.NOTHING) -> Channel:
        """Make a text channel in which nobody may do what is denied."""
        return self._announced(self._channel(guild, name, TEXT, 0, denied))

    def voice_channel(
        self,
        guild: Guild,
        name: str,
        *,
        user_limit: int = 0,
        denied: Permission = Permission.NOTHING,
        is_stage: bool = False,
    ) -> Channel:
        """Make a voice channel for so many (0 for all), in which nobody may do what is denied."""
        return self._announced(self._channel(guild, name, STAGE if is_stage else VOICE, user_limit, denied))

    def _channel(self, guild: Guild, name: str, kind: int, user_limit: int, denied: Permission) -> Channel:
        channel = Channel(name=name, guild=guild, kind=kind, user_limit=user_limit, denied=denied)
        guild.channels.append(channel)
        return channel

    def _announced(self, channel: Channel) -> Channel:
        self.gateway.dispatch(channel.guild, "CHANNEL_CREATE", channel.json())
        return channel

    async def human(self, name: str, where: Channel | Guild, *, library: Library = Library.LIBDAVE) -> EmulatedHuman:
        """Let a person come to a server, and into a voice channel if one is named.

        Args:
            name: what people call him.
            where: a voice channel, or a server.
            library: whose DAVE his client has.
        """
        guild = where.guild if isinstance(where, Channel) else where
        account = User(name=name)
        guild.users[account.id] = account
        human = EmulatedHuman(account, guild, library, self)
        if isinstance(where, Channel):
            await human.join(where)
        return human

    # --- What happens -------------------------------------------------------------------------------------------------

    def link(self, bot: Bot | None = None) -> Link:
        """Return a bot's newest voice session, the first bot's unless another is named.

        Raises:
            LookupError: it never connected to the voice server.
        """
        wanted = bot or self.bot
        if (link := self.voice.link_of(wanted.id)) is None:
            raise LookupError(f"{wanted.name} never connected to the voice server")
        return link

    async def until(self, what: str, condition: Callable[[], object], *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until something is so.

        Args:
            what: how a test report names it.
            condition: looked at again and again.
            timeout_s: how long to wait.

        Raises:
            TimeoutError: it did not become so.
        """
        await until(what, condition, timeout_s=timeout_s)

    async def connected(self, bot: Bot | None = None, *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a bot is in a voice channel, and can speak and hear as far as the server knows.

        With others in the call that is: one group with everybody in it, whose transition was executed; or none, after a
        downgrade.

        Raises:
            TimeoutError: it is not.
        """
        wanted = bot or self.bot
        await self.until(f"{wanted.name} is connected", lambda: self.is_connected(wanted), timeout_s=timeout_s)

    def is_connected(self, bot: Bot) -> bool:
        """Say whether a bot can speak and hear now."""
        link = self.voice.link_of(bot.id)
        if link is None or not link.is_open or link.call.parties.get(bot.id) is not link:
            return False
        group, parties = link.call.group, link.call.parties
        return len(parties) == 1 or group.version == 0 or group.stands_for >= parties.keys()
