"""Discord on this machine: what a bot connects to, and people who talk to it. `emulator` is the way in.

It speaks Discord's protocols as they are on the wire, and holds clients to them; docs/decisions/0019 says what of it is
real. From outside to inside: `emulator` and `people` are what tests speak to; `rest`, `gateway` and `voice_server` what
a client speaks to; `switchboard` knows who is where, `call` and `group` what goes on in a channel; `link` and `human`
are the two kinds of party in it. The rest is what they are made of.
"""

from parley_testkit.discord.emulator import DiscordEmulator
from parley_testkit.discord.interactions import Interaction, Reply
from parley_testkit.discord.line import Line
from parley_testkit.discord.members import Library
from parley_testkit.discord.people import EmulatedHuman
from parley_testkit.discord.rest import Fault
from parley_testkit.discord.rtp import Packet
from parley_testkit.discord.settings import BUSY, Settings

__all__ = [
    "BUSY",
    "DiscordEmulator",
    "EmulatedHuman",
    "Fault",
    "Interaction",
    "Library",
    "Line",
    "Packet",
    "Reply",
    "Settings",
]
