"""Who takes part in a call, human or bot: it is sent opcodes, and answers by what the call and its group receive."""

from typing import Any, Protocol

from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.rtp import Packet

Payload = dict[str, Any] | bytes
"""JSON's `d`, or the payload of a binary opcode without its sequence."""


class Party(Protocol):
    """One of them; `human` and `link` are the two kinds."""

    @property
    def user(self) -> int:
        """Whose it is."""
        ...

    @property
    def is_bot(self) -> bool:
        """Whether a bot's."""
        ...

    def send(self, op: VoiceOp, data: Payload) -> None:
        """Say something to it."""
        ...

    def hear(self, sender: int, packet: Packet) -> None:
        """Bring it a packet of somebody else, whose payload is still end-to-end encrypted."""
        ...
