"""One call: everybody who is in a voice channel, what they are told of each other, and the sound between them.

Discord's voice server (an SFU) in as much as it knows who is there. Keys of the group are `group`'s matter; a bot's
connection is `link`'s.
"""

from typing import Final

from parley_testkit.discord.group import Group
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.parties import Party, Payload
from parley_testkit.discord.rtp import Packet
from parley_testkit.discord.violations import Violations


class Call:
    """The call of a channel; it exists as long as the emulator, also with nobody in it."""

    def __init__(self, channel: int, violations: Violations) -> None:
        """Begin with nobody."""
        self.parties: Final[dict[int, Party]] = {}
        self.group: Final = Group(channel, self.parties, violations)
        self._speaking: dict[int, int] = {}

    def join(self, party: Party) -> None:
        """Let somebody in, and let everybody know."""
        others = list(self.parties.values())
        self.parties[party.user] = party
        for other in others:
            _introduce([party], other)
        if others:
            _introduce(others, party)
        for user, ssrc in self._speaking.items():
            party.send(VoiceOp.SPEAKING, {"user_id": str(user), "ssrc": ssrc, "speaking": 1})
        self.group.enter(party)

    def leave(self, party: Party) -> None:
        """Let somebody go, unless another connection of his has taken his place."""
        if self.parties.get(party.user) is not party:
            return
        del self.parties[party.user]
        self._speaking.pop(party.user, None)
        for other in self.parties.values():
            other.send(VoiceOp.CLIENT_DISCONNECT, {"user_id": str(party.user)})
        self.group.leave(party.user)

    def receive(self, party: Party, op: VoiceOp, data: Payload) -> None:
        """Take what somebody says about the group; from who has just gone it is too late."""
        if self.parties.get(party.user) is party:
            self.group.receive(party.user, op, data)

    def speak(self, party: Party, ssrc: int, flags: int) -> None:
        """Tell the others that somebody begins or ends to speak."""
        if self.parties.get(party.user) is not party:
            return
        if flags:
            self._speaking[party.user] = ssrc
        else:
            self._speaking.pop(party.user, None)
        self.tell_others(party, VoiceOp.SPEAKING, {"user_id": str(party.user), "ssrc": ssrc, "speaking": flags})

    def tell_others(self, party: Party, op: VoiceOp, data: Payload) -> None:
        """Tell everybody but one."""
        for other in self.parties.values():
            if other is not party:
                other.send(op, data)

    def forward(self, party: Party, packet: Packet) -> None:
        """Bring a packet to everybody else; from who has gone it goes nowhere."""
        if self.parties.get(party.user) is not party:
            return
        for other in self.parties.values():
            if other is not party:
                other.hear(party.user, packet)


def _introduce(newcomers: list[Party], party: Party) -> None:
    party.send(VoiceOp.CLIENTS_CONNECT, {"user_ids": [str(newcomer.user) for newcomer in newcomers]})
    for newcomer in newcomers:
        party.send(VoiceOp.CLIENT_FLAGS, {"user_id": str(newcomer.user), "flags": 0})
        party.send(VoiceOp.CLIENT_PLATFORM, {"user_id": str(newcomer.user), "platform": 0})
