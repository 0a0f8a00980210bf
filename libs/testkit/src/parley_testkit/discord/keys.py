"""A human's client as far as keys go: it answers the voice gateway's DAVE opcodes as Discord's own clients do.

The order of things is the white paper's; the cryptography is a library's (`members`).
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

from parley_testkit.discord.members import Library, Member
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.parties import Payload


class Keys:
    """One stay in one call."""

    def __init__(
        self, user: int, channel: int, library: Library, version: int, answer: Callable[[VoiceOp, Payload], None]
    ) -> None:
        """Be in no group yet, in a call of this protocol version; what the client says is given to `answer`."""
        self.member: Final[Member] = library.member(user, channel)
        self._answer = answer
        self._known = {user}
        self._external_sender = b""
        self._transitions: dict[int, int] = {}
        self._version = version
        if version == 0:
            self.member.execute(version)

    def receive(self, op: VoiceOp, data: Payload) -> None:
        """Act upon an opcode in the loop's next round, as if it had come by a network."""
        asyncio.get_running_loop().call_soon(self._act, op, data)

    def _act(self, op: VoiceOp, data: Payload) -> None:  # noqa: C901 # an arm for each opcode
        match op, data:
            case VoiceOp.CLIENTS_CONNECT, {"user_ids": list(users)}:
                self._known.update(map(int, users))
            case VoiceOp.CLIENT_DISCONNECT, {"user_id": user}:
                self._known.discard(int(user))
            case VoiceOp.EXTERNAL_SENDER, bytes():
                self._external_sender = data
                self._begin()
            case VoiceOp.PREPARE_EPOCH, {"epoch": 1, "protocol_version": int(version)}:
                self._version = version
                if self._external_sender:
                    self._begin()
            case VoiceOp.PROPOSALS, bytes():
                if answer := self.member.propose(data, self._known):
                    self._answer(VoiceOp.COMMIT_WELCOME, answer)
            case VoiceOp.ANNOUNCE_COMMIT | VoiceOp.WELCOME, bytes():
                self._move_on(op, data)
            case VoiceOp.PREPARE_TRANSITION, {"transition_id": int(transition), "protocol_version": int(version)}:
                if transition:  # 0 is for who is alone, and has begun anew already
                    self._prepare(transition, version)
            case VoiceOp.EXECUTE_TRANSITION, {"transition_id": int(transition)}:
                if transition in self._transitions:
                    self.member.execute(self._transitions.pop(transition))

    def _begin(self) -> None:
        self._answer(VoiceOp.KEY_PACKAGE, self.member.begin(self._external_sender))

    def _move_on(self, op: VoiceOp, data: bytes) -> None:
        [transition] = struct.unpack_from(">H", data)
        try:
            if op is VoiceOp.WELCOME:
                self.member.join(data[2:], self._known)
            else:
                self.member.commit(data[2:])
        except ValueError:
            self._answer(VoiceOp.INVALID_COMMIT, {"transition_id": transition})
            self._begin()
        else:
            self._prepare(transition, self._version)

    def _prepare(self, transition: int, version: int) -> None:
        if version == 0:
            self.member.accept_plain()
        self._transitions[transition] = version
        self._answer(VoiceOp.TRANSITION_READY, {"transition_id": transition})
