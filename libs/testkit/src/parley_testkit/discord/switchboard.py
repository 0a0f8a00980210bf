"""Who is in which voice channel, by whose wish: joins, moves, kicks, mutes, and the tickets to the voice server.

Bots ask by opcode 4, people are put where a test wants them; everybody who may know is told by VOICE_STATE_UPDATE.
"""

import asyncio
import secrets
from typing import Final

from parley_testkit.discord.gateway import Gateway
from parley_testkit.discord.ops import Permission, VoiceClose
from parley_testkit.discord.users import Bot, Json, User
from parley_testkit.discord.voice_server import Ticket, VoiceServer
from parley_testkit.discord.world import STAGE, Channel, Guild, VoiceState, World

ALLOCATION_S: Final = 0.1
"""How long after a move the new voice server is known: clients see the old one hang up before."""


class Switchboard:
    """One emulator's."""

    def __init__(self, world: World, gateway: Gateway, voice: VoiceServer) -> None:
        """Take the gateway's opcode 4."""
        self.gives_server = True
        """Whether VOICE_SERVER_UPDATE follows a bot's join; without it a join never ends."""
        self._world = world
        self._gateway = gateway
        self._voice = voice
        self._region = 0
        gateway.voice_request = self._request

    def put(self, user: User, channel: Channel | None, guild: Guild) -> VoiceState:
        """Have somebody be in a channel, or in none, and tell everybody."""
        state = guild.voice_states.get(user.id)
        if state is None:
            state = VoiceState(user=user, guild=guild, channel=None, session_id=secrets.token_hex(16))
            guild.voice_states[user.id] = state
        if channel is not state.channel:
            state.is_suppressed = channel is not None and channel.kind == STAGE
        state.channel = channel
        self.tell(state)
        if channel is None:
            del guild.voice_states[user.id]
        return state

    def tell(self, state: VoiceState) -> None:
        """Tell everybody where somebody is."""
        self._gateway.dispatch(state.guild, "VOICE_STATE_UPDATE", state.json())

    def state_of(self, user: User) -> VoiceState | None:
        """Find where somebody is."""
        return next((g.voice_states[user.id] for g in self._world.guilds.values() if user.id in g.voice_states), None)

    # --- Bots ---------------------------------------------------------------------------------------------------------

    def _request(self, bot: Bot, data: Json) -> None:
        guild = self._world.guilds.get(int(data["guild_id"]))
        if guild is None or bot.id not in guild.users:
            return
        wanted = data.get("channel_id")
        channel = self._world.channel(int(wanted)) if wanted else None
        if wanted and (channel is None or not self._may_join(bot, channel)):
            return  # Discord says nothing at all
        before = guild.voice_states.get(bot.id)
        was = before.channel if before else None
        flags = (bool(data.get("self_mute")), bool(data.get("self_deaf")))
        link = self._voice.link_of(bot.id)
        is_up = link is not None and link.is_open
        has_only_flags = before is not None and flags != (before.mutes_self, before.deafens_self)
        is_new = channel is not None and (was is not channel or not (is_up or has_only_flags))
        if before:
            before.mutes_self, before.deafens_self = flags
            if is_new and was is channel:
                before.session_id = secrets.token_hex(16)  # a process that came back, or a connection that broke
        state = self.put(bot, channel, guild)
        state.mutes_self, state.deafens_self = flags
        if link and was is not channel:
            link.close(VoiceClose.DISCONNECTED)
        if is_new and self.gives_server:
            self.give_server(bot)

    def _may_join(self, bot: Bot, channel: Channel) -> bool:
        needed = Permission.VIEW_CHANNEL | Permission.CONNECT
        inside = [s for s in channel.guild.voice_states.values() if s.channel is channel and s.user is not bot]
        is_full = 0 < channel.user_limit <= len(inside)
        return channel.everyone & needed == needed and not is_full

    def give_server(self, bot: Bot, *, endpoint: bool = True) -> None:
        """Tell a bot where its voice server is, with a new ticket; without an endpoint, that there is none for now."""
        state = self.state_of(bot)
        if state is None:
            raise LookupError(f"{bot.name} is in no voice channel")
        token = secrets.token_hex(8)
        self._voice.tickets.append(Ticket(token, state))
        where = self._voice.endpoints[self._region] if endpoint else None
        update = {"token": token, "guild_id": str(state.guild.id), "endpoint": where}
        self._gateway.tell(bot, "VOICE_SERVER_UPDATE", update)

    def move_region(self, bot: Bot) -> None:
        """Send a bot to the voice server's other endpoint, as when a channel's region changes."""
        self._region = 1 - self._region
        self.give_server(bot)

    def move(self, bot: Bot, channel: Channel | None) -> None:
        """Move a bot to another channel, or put it out of its channel, as a moderator does."""
        state = self.state_of(bot)
        if state is None:
            raise LookupError(f"{bot.name} is in no voice channel")
        link: Final = self._voice.link_of(bot.id)
        self.put(bot, channel, state.guild)
        if link:
            link.close(VoiceClose.DISCONNECTED)
        if channel:
            asyncio.get_running_loop().call_later(ALLOCATION_S, self._give_server_in, bot, channel)

    def _give_server_in(self, bot: Bot, channel: Channel) -> None:
        state = self.state_of(bot)
        if state and state.channel is channel:
            self.give_server(bot)

    def silence(self, bot: Bot, *, mute: bool = False, deaf: bool = False) -> None:
        """Mute or deafen a bot for the whole server, as a moderator does; with neither, end both."""
        state = self.state_of(bot)
        if state is None:
            raise LookupError(f"{bot.name} is in no voice channel")
        state.is_muted, state.is_deafened = mute, deaf
        self.tell(state)
