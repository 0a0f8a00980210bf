"""The delivery service of one call's MLS group: it proposes, picks the commit that wins, and times transitions.

What Discord's voice gateway does by the DAVE white paper (sections "Delivery Service" to "Recovery from Invalid Commit
or Welcome"). It holds no secret of the group and hears nothing.
"""

import asyncio
import struct
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from parley_testkit.discord.mls import (
    Commit,
    ExternalSender,
    Proposal,
    appended,
    read_commit,
    read_key_package,
    revoked,
)
from parley_testkit.discord.ops import VoiceOp
from parley_testkit.discord.parties import Party, Payload
from parley_testkit.discord.transitions import Transition, Transitions
from parley_testkit.discord.violations import Violations

Winner = Literal["first", "bot", "human"]
_WINNER_S: Final = 1.0
"""How long a commit of those who should not win is kept back."""


class _Proposed(NamedTuple):
    user: int
    leaf: int | None
    """Of whom to remove; None adds."""
    proposal: Proposal


class Group:
    """The group of one call."""

    def __init__(self, channel: int, parties: Mapping[int, Party], violations: Violations) -> None:
        """Have no group yet, among these parties, who may change."""
        self.version = 1
        """The protocol version; 0 on a stage, and after a downgrade."""
        self.epoch = 0
        """0 while there is no group."""
        self.winner: Winner = "first"
        """Whose commit is taken where several may send one."""
        self.stands_for: Final[set[int]] = set()
        """Who is in the group after a transition was executed: what they say has to be encrypted."""
        self.reported: Final[list[tuple[int, int]]] = []
        """User and transition of every opcode 31."""
        self.committers: Final[list[int]] = []
        """Whose commit won, for each epoch since the beginning."""
        self._id = struct.pack(">Q", channel)
        self._sender = ExternalSender()
        self._parties = parties
        self._violations = violations
        self._leaves: list[int | None] = []
        self._key_packages: dict[int, bytes] = {}
        self._proposed: list[_Proposed] = []
        self._held: tuple[int, Commit, list[_Proposed]] | None = None
        self._transitions = Transitions(self._execute, violations)
        self._introduced: set[int] = set()
        self._spoiled: set[int] = set()

    @property
    def members(self) -> set[int]:
        """Who is in the group, as far as the service knows."""
        return {user for user in self._leaves if user is not None}

    def spoil_commit(self, user: int) -> None:
        """Let the next commit or welcome that a party is sent be one that it cannot process."""
        self._spoiled.add(user)

    # --- Who comes and goes -------------------------------------------------------------------------------------------

    def enter(self, party: Party) -> None:
        """Tell somebody who just connected what is needed to take part."""
        if self.version == 0:
            return
        self._introduce(party)
        if self.epoch == 0 and (adds := [p.proposal for p in self._proposed if p.user != party.user]):
            party.send(VoiceOp.PROPOSALS, appended(adds))

    def leave(self, user: int) -> None:
        """Put out of the group who is no longer among the parties."""
        self._key_packages.pop(user, None)
        self._introduced.discard(user)
        self.stands_for.discard(user)
        self._transitions.forget(user)
        self._revoke(user)
        if len(self._parties) < 2:  # noqa: PLR2004
            self._reset()
        elif user in self.members:
            self._propose_removal(user)

    def downgrade(self) -> None:
        """Go on without end-to-end encryption, as if somebody came who has none."""
        number = self._transitions.announce(0, self._parties)
        for party in self._parties.values():
            party.send(VoiceOp.PREPARE_TRANSITION, {"transition_id": number, "protocol_version": 0})

    def upgrade(self) -> None:
        """Make a new group after a downgrade."""
        self._forget()
        self.version = 1
        for party in self._parties.values():
            party.send(VoiceOp.PREPARE_EPOCH, {"protocol_version": 1, "epoch": 1})
            self._introduce(party)

    def _introduce(self, party: Party) -> None:
        """Say once who may propose: davey takes it for an error in who has a group."""
        if party.user not in self._introduced:
            self._introduced.add(party.user)
            party.send(VoiceOp.EXTERNAL_SENDER, self._sender.package)

    # --- What parties say ---------------------------------------------------------------------------------------------

    def receive(self, user: int, op: VoiceOp, data: Payload) -> None:
        """Take opcode 23, 26, 28 or 31."""
        try:
            match op, data:
                case VoiceOp.KEY_PACKAGE, bytes():
                    self._key_package(user, data)
                case VoiceOp.COMMIT_WELCOME, bytes():
                    self._commit(user, read_commit(data))
                case VoiceOp.TRANSITION_READY, {"transition_id": int(transition)}:
                    self._transitions.ready(user, transition)
                case VoiceOp.INVALID_COMMIT, {"transition_id": int(transition)}:
                    self._invalid(user, transition)
                case _:
                    self._violations.add("protocol", f"user {user} sent opcode {op} in a form that it has not")
        except ValueError as error:
            self._violations.add("commit", f"user {user} sent with opcode {int(op)} {error}")

    def _key_package(self, user: int, package: bytes) -> None:
        if (owner := read_key_package(package)) != user:
            raise ValueError(f"a key package of user {owner}")
        if self.version == 0:
            return
        self._revoke(user)
        self._key_packages[user] = package
        if user in self.members and not any(p.user == user for p in self._proposed):
            self._propose_removal(user)
        self._propose(_Proposed(user, None, self._sender.add(self._id, self.epoch, package)))

    def _commit(self, user: int, commit: Commit) -> None:
        # In the first epoch everybody has a group of his own, to which all the others come.
        wanted = {p.proposal.reference: p for p in self._proposed if self.epoch or p.user != user}
        is_of_now = commit.group_id == self._id and commit.epoch == self.epoch
        if not is_of_now or not commit.references or set(commit.references) != wanted.keys():
            return  # another one won, or proposals are on their way that it could not know
        proposed = [wanted[reference] for reference in commit.references]
        is_wanted = self.winner == "first" or self._parties[user].is_bot == (self.winner == "bot")
        if is_wanted or not any(self._could_win(other) for other in self._parties.values()):
            self._accept(user, commit, proposed)
        elif self._held is None:
            self._held = (user, commit, proposed)
            asyncio.get_running_loop().call_later(_WINNER_S, self._accept_held, self.epoch)

    def _could_win(self, party: Party) -> bool:
        concerned = {p.user for p in self._proposed}
        is_asked = self.epoch == 0 or party.user in self.members - concerned
        return is_asked and party.is_bot == (self.winner == "bot")

    def _accept_held(self, epoch: int) -> None:
        if self._held is not None and self.epoch == epoch:
            self._accept(*self._held)

    def _accept(self, user: int, commit: Commit, proposed: list[_Proposed]) -> None:
        before = self.members or {user}
        leaves: list[int | None] = self._leaves if self.epoch else [user]
        for removal in (p for p in proposed if p.leaf is not None):
            leaves[removal.leaf or 0] = None
        added = [p.user for p in proposed if p.leaf is None]
        for newcomer in added:
            self._key_packages.pop(newcomer, None)
            if None in leaves:
                leaves[leaves.index(None)] = newcomer
            else:
                leaves.append(newcomer)
        while leaves and leaves[-1] is None:
            leaves.pop()
        self._key_packages.pop(user, None)
        self._leaves, self._proposed, self._held = leaves, [], None
        self.epoch += 1
        self.committers.append(user)
        transition = struct.pack(">H", self._transitions.announce(self.version, self.members))
        for party in [self._parties[member] for member in self.members if member in self._parties]:
            if party.user in added:
                party.send(VoiceOp.WELCOME, transition + self._spoil(party.user, commit.welcome))
            elif party.user in before:
                party.send(VoiceOp.ANNOUNCE_COMMIT, transition + self._spoil(party.user, commit.message))

    def _spoil(self, user: int, message: bytes) -> bytes:
        if user not in self._spoiled:
            return message
        self._spoiled.discard(user)
        return message[:-1] + bytes([message[-1] ^ 1])

    def _invalid(self, user: int, transition: int) -> None:
        self.reported.append((user, transition))
        self.stands_for.discard(user)
        self._transitions.forget(user)
        if user in self.members and not any(p.user == user for p in self._proposed):
            self._propose_removal(user)

    # --- What is proposed ---------------------------------------------------------------------------------------------

    def _propose_removal(self, user: int) -> None:
        leaf = self._leaves.index(user)
        self._propose(_Proposed(user, leaf, self._sender.remove(self._id, self.epoch, leaf)))

    def _propose(self, proposed: _Proposed) -> None:
        self._proposed.append(proposed)
        self._held = None
        for user in (self.members if self.epoch else self._parties.keys()) - {proposed.user}:
            if user in self._parties:
                self._parties[user].send(VoiceOp.PROPOSALS, appended([proposed.proposal]))

    def _revoke(self, user: int) -> None:
        """Take back that somebody is added, who went or comes with another key package."""
        adds = [p for p in self._proposed if p.user == user and p.leaf is None]
        if adds:
            self._held = None
            self._proposed = [p for p in self._proposed if p not in adds]
            for party in self._parties.values():
                if party.user != user:
                    party.send(VoiceOp.PROPOSALS, revoked([p.proposal for p in adds]))

    # --- Transitions --------------------------------------------------------------------------------------------------

    def _execute(self, transition: Transition) -> None:
        if transition.version == 0:
            self._forget()
            self.version = 0
        for party in self._parties.values():
            party.send(VoiceOp.EXECUTE_TRANSITION, {"transition_id": transition.number})
        if transition.version:
            self.stands_for.update(transition.users & self.members & self._parties.keys())

    def _reset(self) -> None:
        """Let who is alone wait for a new group (white paper, "Sole member reset")."""
        if self.epoch and self.version:
            self._forget()
            for party in self._parties.values():
                party.send(VoiceOp.PREPARE_EPOCH, {"protocol_version": self.version, "epoch": 1})
                party.send(VoiceOp.PREPARE_TRANSITION, {"transition_id": 0, "protocol_version": self.version})

    def _forget(self) -> None:
        self.epoch = 0
        self._leaves, self._proposed, self._held = [], [], None
        self._key_packages.clear()
        self.stands_for.clear()
        self._transitions.clear()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._transitions.clear()
