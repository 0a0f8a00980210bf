"""The parts of which one emulated Discord is made, joined together; none of them runs yet."""

from typing import Final

from parley_testkit.discord.call import Call
from parley_testkit.discord.gateway import Gateway
from parley_testkit.discord.rest import Rest
from parley_testkit.discord.settings import Settings
from parley_testkit.discord.switchboard import Switchboard
from parley_testkit.discord.violations import Violations
from parley_testkit.discord.voice_server import VoiceServer
from parley_testkit.discord.world import STAGE, Channel, World


class Parts:
    """Everything by its name; a test orders faults from the part whose fault it is."""

    def __init__(self, settings: Settings) -> None:
        """Make them."""
        self.settings: Final = settings
        self.violations: Final = Violations()
        """What clients did that real Discord would not have taken well."""
        self.world: Final = World()
        """What exists."""
        self.gateway: Final = Gateway(self.world, settings, self.violations)
        """The main gateway: reconnects, invalid sessions, close codes."""
        self.voice: Final = VoiceServer(settings, self.violations, self.call)
        """The voice server: its sessions, refusals and close codes."""
        self.switchboard: Final = Switchboard(self.world, self.gateway, self.voice)
        """Who is in which channel: moves, kicks, regions."""
        self.rest: Final = Rest(self.world, self.gateway)
        """The REST API: what was asked of it, and its faults."""
        self._calls: dict[int, Call] = {}

    def call(self, channel: Channel) -> Call:
        """Return a channel's call, with its group."""
        if channel.id not in self._calls:
            call = self._calls[channel.id] = Call(channel.id, self.violations)
            call.group.version = 0 if channel.kind == STAGE else 1  # a stage is not end-to-end encrypted
        return self._calls[channel.id]

    def tick(self, now_s: float) -> None:
        """Notice what does not come; called ten times a second."""
        self.gateway.tick(now_s)
        self.voice.tick(now_s)

    def stop(self) -> None:
        """Hang up everywhere, and wait for nothing any more."""
        for session in self.gateway.sessions:
            if session.socket:
                session.socket.close(1001)
        for link in self.voice.links:
            link.close(1001)
        for call in self._calls.values():
            call.group.close()
        for interaction in self.rest.callbacks.interactions:
            interaction.forget()
        self.voice.stop()
