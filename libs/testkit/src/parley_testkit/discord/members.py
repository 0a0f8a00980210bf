"""What an emulated human's client knows of DAVE, by two implementations that share no code.

`Davey` is the Rust library that most bots use; `Libdave` is Discord's own C++ library. So whoever passes with both is
no mirror of either. They differ as real clients do: davey sends with an epoch's new key once it knows it, libdave from
the transition on.
"""

import datetime as dt
import enum
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

import dave
import davey

from parley_testkit.discord.rtp import SILENCE

_VERSION: Final = 1
_EXPIRY: Final = dt.timedelta(seconds=10)
"""How long the keys of an epoch that went are kept (white paper, "Commit Handling")."""


class Member(Protocol):
    """One human's end-to-end encryption; all errors of a library become ValueError."""

    @property
    def privacy_code(self) -> str:
        """The 30 digits by which people compare their groups; empty without a group."""
        ...

    def begin(self, external_sender: bytes) -> bytes:
        """Forget every group, wait for a new one of this external sender, and return a key package."""
        ...

    def propose(self, payload: bytes, known: AbstractSet[int]) -> bytes | None:
        """Take opcode 27, and return what opcode 28 answers."""
        ...

    def commit(self, message: bytes) -> None:
        """Take opcode 29's commit."""
        ...

    def join(self, welcome: bytes, known: AbstractSet[int]) -> None:
        """Take opcode 30's welcome."""
        ...

    def execute(self, version: int) -> None:
        """Make the transition of opcode 22 to a protocol version; 0 is without end-to-end encryption."""
        ...

    def accept_plain(self) -> None:
        """Be ready to hear frames without encryption, before a transition to version 0."""
        ...

    def encrypt(self, frame: bytes) -> bytes | None:
        """Encrypt an Opus frame; None where nobody could read it."""
        ...

    def decrypt(self, sender: int, frame: bytes) -> bytes | None:
        """Decrypt a sender's frame; None where it cannot be read."""
        ...


class Davey:
    """A member by davey."""

    def __init__(self, user: int, channel: int) -> None:
        """Belong to nothing yet."""
        self._user = user
        self._channel = channel
        self._session = davey.DaveSession(_VERSION, user, channel)
        self._version = _VERSION

    @property
    def privacy_code(self) -> str:
        """See `Member`."""
        return self._session.voice_privacy_code or ""

    def begin(self, external_sender: bytes) -> bytes:
        """See `Member`."""
        self._session.reinit(_VERSION, self._user, self._channel)
        self._session.set_external_sender(external_sender)
        return self._session.get_serialized_key_package()

    def propose(self, payload: bytes, known: AbstractSet[int]) -> bytes | None:
        """See `Member`."""
        operation = davey.ProposalsOperationType.revoke if payload[0] else davey.ProposalsOperationType.append
        made = self._session.process_proposals(operation, payload[1:], sorted(known))
        return made.commit + (made.welcome or b"") if made else None

    def commit(self, message: bytes) -> None:
        """See `Member`."""
        self._session.process_commit(message)

    def join(self, welcome: bytes, known: AbstractSet[int]) -> None:  # noqa: ARG002 # davey has no use for them here
        """See `Member`."""
        self._session.process_welcome(welcome)

    def execute(self, version: int) -> None:
        """See `Member`."""
        self._version = version

    def accept_plain(self) -> None:
        """See `Member`."""
        self._session.set_passthrough_mode(True, int(_EXPIRY.total_seconds()))  # noqa: FBT003 # davey's signature

    def encrypt(self, frame: bytes) -> bytes | None:
        """See `Member`."""
        if self._version == 0:
            return frame
        return self._session.encrypt_opus(frame) if self._session.ready else None

    def decrypt(self, sender: int, frame: bytes) -> bytes | None:
        """See `Member`."""
        if self._version == 0 or frame == SILENCE:
            return frame
        try:
            return self._session.decrypt(sender, davey.MediaType.audio, frame)
        except ValueError:
            return None


class Libdave:
    """A member by dave.py, the bindings of Discord's own library."""

    def __init__(self, user: int, channel: int) -> None:
        """Belong to nothing yet."""
        self._user = user
        self._channel = channel
        self._session = dave.Session()
        self._encryptor = dave.Encryptor()
        self._decryptors: dict[int, dave.Decryptor] = {}
        self._roster: set[int] = set()
        self._version = _VERSION

    @property
    def privacy_code(self) -> str:
        """See `Member`."""
        authenticator = self._session.get_last_epoch_authenticator()
        return dave.generate_displayable_code(authenticator, 30, 5) if authenticator else ""

    def begin(self, external_sender: bytes) -> bytes:
        """See `Member`."""
        self._session.init(_VERSION, self._channel, str(self._user))
        self._session.set_external_sender(external_sender)
        self._encryptor.set_key_ratchet(None)
        self._decryptors.clear()
        package = self._session.get_marshalled_key_package()
        if package is None:
            raise ValueError("libdave made no key package")
        return package

    def propose(self, payload: bytes, known: AbstractSet[int]) -> bytes | None:
        """See `Member`."""
        return self._session.process_proposals(payload, {str(user) for user in known | {self._user}})

    def commit(self, message: bytes) -> None:
        """See `Member`."""
        changes = self._session.process_commit(message)
        if changes is dave.RejectType.failed:
            raise ValueError("libdave refuses the commit")
        if not isinstance(changes, dave.RejectType):
            self._listen(changes)

    def join(self, welcome: bytes, known: AbstractSet[int]) -> None:
        """See `Member`."""
        changes = self._session.process_welcome(welcome, {str(user) for user in known | {self._user}})
        if changes is None:
            raise ValueError("libdave refuses the welcome")
        self._listen(changes)

    def execute(self, version: int) -> None:
        """See `Member`."""
        self._version = version
        if version:
            self._encryptor.set_key_ratchet(self._session.get_key_ratchet(str(self._user)))

    def accept_plain(self) -> None:
        """See `Member`."""
        for decryptor in self._decryptors.values():
            decryptor.transition_to_passthrough_mode(True)  # noqa: FBT003 # dave.py's signature

    def encrypt(self, frame: bytes) -> bytes | None:
        """See `Member`."""
        if self._version == 0 or frame == SILENCE:
            return frame
        if not self._encryptor.has_key_ratchet():
            return None
        return self._encryptor.encrypt(dave.MediaType.audio, 0, frame)

    def decrypt(self, sender: int, frame: bytes) -> bytes | None:
        """See `Member`."""
        if self._version == 0 or frame == SILENCE:
            return frame
        decryptor = self._decryptors.get(sender)
        return decryptor.decrypt(dave.MediaType.audio, frame) if decryptor else None

    def _listen(self, changes: dict[int, list[int]]) -> None:
        """Be ready for what those who are in the group now will send, and still for what they sent.

        libdave tells the keys of who came since it last told, and an empty one for who went; it remembers whom it told
        of from one group to the next.
        """
        for user, key in changes.items():
            (self._roster.add if key else self._roster.discard)(user)
        for user in self._decryptors.keys() - self._roster:
            del self._decryptors[user]
        for user in self._roster - {self._user}:
            if ratchet := self._session.get_key_ratchet(str(user)):
                self._decryptors.setdefault(user, dave.Decryptor()).transition_to_key_ratchet(ratchet, _EXPIRY)


class Library(enum.Enum):
    """Who plays a human."""

    DAVEY = "davey"
    LIBDAVE = "libdave"

    def member(self, user: int, channel: int) -> Member:
        """Make a member of a channel's group."""
        return Davey(user, channel) if self is Library.DAVEY else Libdave(user, channel)
