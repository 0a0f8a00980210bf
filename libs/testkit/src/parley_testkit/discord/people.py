"""People on the emulated Discord, as a test meets them: they come and go, speak and hear, write and give commands."""

import asyncio
from pathlib import Path
from typing import Any, Final

from parley_runtime.sounds import read_pcm
from parley_testkit.discord.heard import Heard
from parley_testkit.discord.human import HumanClient
from parley_testkit.discord.interactions import Interaction, command_data
from parley_testkit.discord.members import Library
from parley_testkit.discord.messages import Message
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.parts import Parts
from parley_testkit.discord.users import Bot, User
from parley_testkit.discord.world import TEXT, Channel, Guild


class EmulatedHuman(HumanClient):
    """A person; `DiscordEmulator.human` makes one. Speaking, and what is wrong with his line, is inherited."""

    def __init__(self, account: User, guild: Guild, library: Library, parts: Parts) -> None:
        """Be a member of a server, in no voice channel."""
        super().__init__(account.id, library)
        self.account: Final = account
        self.guild: Final = guild
        self._parts = parts

    @property
    def channel(self) -> Channel | None:
        """The voice channel that he is in."""
        state = self.guild.voice_states.get(self.account.id)
        return state.channel if state else None

    async def join(self, channel: Channel) -> None:
        """Come into a voice channel, out of another one if he is in one."""
        self._parts.switchboard.put(self.account, channel, self.guild)
        self.enter(self._parts.call(channel), channel.id)

    async def leave(self) -> None:
        """Leave the voice channel."""
        self.exit()
        self._parts.switchboard.put(self.account, None, self.guild)

    def heard(self, speaker: "User | EmulatedHuman | None" = None) -> Heard:
        """Return what he heard of somebody, of the bot unless another is named; it goes on growing."""
        if isinstance(speaker, EmulatedHuman):
            return self.heard_of(speaker.user)
        return self.heard_of((speaker or self._parts.world.bots[0]).id)

    async def say_file(self, path: Path) -> None:
        """Speak a sound file of any kind.

        Raises:
            UnreadableSoundError: there is no such file, or no sound in it.
        """
        await self.say(await asyncio.to_thread(lambda: b"".join(read_pcm(path, str(path)))))

    def turn_camera_on(self) -> None:
        """Film himself from the next `say` on, and have it announced as opcode 12 announces it."""
        self.is_filming = True
        streams = [{"type": "video", "rid": "100", "ssrc": self.ssrc + 1, "active": True, "quality": 100}]
        data = {"audio_ssrc": self.ssrc, "video_ssrc": self.ssrc + 1, "rtx_ssrc": self.ssrc + 2, "streams": streams}
        if channel := self.channel:
            self._parts.call(channel).tell_others(self, VoiceOp.VIDEO, {"user_id": str(self.user)} | data)

    async def invoke(
        self,
        command: str,
        *,
        bot: Bot | None = None,
        channel: Channel | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Interaction:
        """Give a slash command, and return it; `Interaction.reply` waits for the answer.

        Args:
            command: its name, with group and subcommand behind it, such as "record start".
            bot: whose it is; the first one's unless named.
            channel: where he writes it; the server's first text channel unless named.
            options: their values by name: bool, int, float, str, `User` or `Channel`.

        Raises:
            LookupError: the bot registered no such command, or is not connected.
        """
        addressed = bot or self._parts.world.bots[0]
        data = command_data(addressed, self.guild, command, options)
        if not self._parts.gateway.sessions_of(addressed):
            raise LookupError(
                f"{addressed.name} is not connected: Discord would say that the application does not respond"
            )
        where = channel or next(channel for channel in self.guild.channels if channel.kind == TEXT)
        interaction = Interaction(self.account, addressed, where, command)
        self._parts.rest.callbacks.interactions.append(interaction)
        interaction.send(self._parts.settings.interaction_s, self._parts.violations)
        self._parts.gateway.tell(addressed, "INTERACTION_CREATE", interaction.json(data))
        return interaction

    async def write(self, content: str, channel: Channel) -> Message:
        """Write into a text channel."""
        message = Message(author=self.account, channel_id=channel.id, content=content)
        channel.messages.append(message)
        about = {"guild_id": str(self.guild.id), "member": self.guild.member(self.account)}
        self._parts.gateway.dispatch(self.guild, "MESSAGE_CREATE", message.json() | about)
        return message
