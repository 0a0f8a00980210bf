"""As much of MLS (RFC 9420) as a delivery service knows: external proposals are signed, commits and key packages read.

No group state and no secrets: members have those (`members`). What Discord fixes, and the payloads of opcodes 25 to 30,
are the DAVE white paper's sections "MLS Parameters", "Voice Gateway Commit Validity" and "Voice Gateway Opcodes".
"""

import hashlib
import struct
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CIPHERSUITE: Final = 2
"""DHKEMP256_AES128GCM_SHA256_P256."""
_MLS_10: Final = struct.pack(">H", 1)
_PUBLIC_MESSAGE: Final = struct.pack(">H", 1)
_BASIC: Final = 1
_FROM_MEMBER, _FROM_EXTERNAL = 1, 2
_PROPOSAL, _COMMIT = 2, 3
_ADD, _REMOVE = 1, 3
_REFERENCE: Final = 2
_BY_KEY_PACKAGE, _BY_COMMIT = 1, 3
_FOREVER: Final = (0, 2**64 - 1)


class Proposal(NamedTuple):
    """What the service proposes."""

    message: bytes
    """An MLSMessage."""
    reference: bytes
    """By which a commit names it (RFC 9420, 5.2)."""


class Commit(NamedTuple):
    """What a member sent with opcode 28."""

    group_id: bytes
    epoch: int
    leaf: int
    references: tuple[bytes, ...]
    """The proposals, in the order in which they are applied."""
    message: bytes
    """The MLSMessage with the commit."""
    welcome: bytes
    """Empty where nobody is added."""


def vector(content: bytes) -> bytes:
    """Write bytes behind their length (RFC 9420, 2.1.2)."""
    size = len(content)
    if size < 1 << 6:
        return bytes([size]) + content
    return (
        struct.pack(">H", size | 1 << 14) + content if size < 1 << 14 else struct.pack(">I", size | 1 << 31) + content
    )


class ExternalSender:
    """Discord's voice gateway in the eyes of a group: nobody else may propose."""

    def __init__(self) -> None:
        """Make a key that nobody has seen before."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.package: Final = vector(point) + struct.pack(">H", _BASIC) + vector(b"parley-testkit")
        """The payload of opcode 25."""

    def add(self, group_id: bytes, epoch: int, key_package: bytes) -> Proposal:
        """Propose that somebody comes in."""
        return self._propose(group_id, epoch, struct.pack(">H", _ADD) + key_package)

    def remove(self, group_id: bytes, epoch: int, leaf: int) -> Proposal:
        """Propose that somebody goes."""
        return self._propose(group_id, epoch, struct.pack(">HI", _REMOVE, leaf))

    def _propose(self, group_id: bytes, epoch: int, proposal: bytes) -> Proposal:
        sender = struct.pack(">BI", _FROM_EXTERNAL, 0)
        content = vector(group_id) + struct.pack(">Q", epoch) + sender + vector(b"") + bytes([_PROPOSAL]) + proposal
        # FramedContentTBS: no GroupContext, as who is no member does not know it (RFC 9420, 6.1).
        signed = vector(b"MLS 1.0 FramedContentTBS") + vector(_MLS_10 + _PUBLIC_MESSAGE + content)
        authenticated = _PUBLIC_MESSAGE + content + vector(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        labelled = vector(b"MLS 1.0 Proposal Reference") + vector(authenticated)
        return Proposal(_MLS_10 + authenticated, hashlib.sha256(labelled).digest())


def appended(proposals: list[Proposal]) -> bytes:
    """Write the payload of opcode 27 that proposes."""
    return b"\x00" + vector(b"".join(proposal.message for proposal in proposals))


def revoked(proposals: list[Proposal]) -> bytes:
    """Write the payload of opcode 27 that takes proposals back."""
    return b"\x01" + vector(b"".join(vector(proposal.reference) for proposal in proposals))


def read_commit(payload: bytes) -> Commit:
    """Take opcode 28's payload apart.

    Raises:
        ValueError: it is no commit that refers to proposals, sent by a member in the clear.
    """
    reader = _Reader(payload)
    reader.expect(_MLS_10 + _PUBLIC_MESSAGE, "a public message of MLS 1.0")
    group_id = reader.vector()
    epoch = reader.number(8)
    reader.expect(bytes([_FROM_MEMBER]), "a member as sender")
    leaf = reader.number(4)
    reader.vector()
    reader.expect(bytes([_COMMIT]), "a commit")
    references = _Reader(reader.vector())
    referred = []
    while references.is_left():
        references.expect(bytes([_REFERENCE]), "proposals by reference")
        referred.append(references.vector())
    if reader.number(1):
        _skip_leaf_node(reader, _BY_COMMIT)
        reader.vector()
    for _ in ("signature", "confirmation tag", "membership tag"):
        reader.vector()
    return Commit(group_id, epoch, leaf, tuple(referred), payload[: reader.at], payload[reader.at :])


def read_key_package(payload: bytes) -> int:
    """Read whose key package this is.

    The payload is bare (a KeyPackage, no MLSMessage), as davey and Discord's library send it.

    Raises:
        ValueError: it is none that Discord would propose.
    """
    reader = _Reader(payload)
    reader.expect(_MLS_10 + struct.pack(">H", CIPHERSUITE), "a key package of MLS 1.0 with ciphersuite 2")
    reader.vector()
    identity = _skip_leaf_node(reader, _BY_KEY_PACKAGE)
    if len(identity) != 8:  # noqa: PLR2004
        raise ValueError(f"a credential of {len(identity)} bytes, where a user id has 8")
    return int.from_bytes(identity, "big")


def _skip_leaf_node(reader: "_Reader", source: int) -> bytes:
    """Read past a LeafNode, and return the identity of its credential."""
    reader.vector()
    reader.vector()
    reader.expect(struct.pack(">H", _BASIC), "a basic credential")
    identity = reader.vector()
    for _ in ("versions", "ciphersuites", "extensions", "proposals", "credentials"):
        reader.vector()
    reader.expect(bytes([source]), f"a leaf node of source {source}")
    if source == _BY_KEY_PACKAGE:
        if (lifetime := (reader.number(8), reader.number(8))) != _FOREVER:
            raise ValueError(f"a key package for {lifetime}, where Discord wants one for ever")
    else:
        reader.vector()
    reader.vector()
    reader.vector()
    return identity


class _Reader:
    """Goes through bytes from the left."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def is_left(self) -> bool:
        return self.at < len(self.content)

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.content):
            raise ValueError(f"an MLS message of {len(self.content)} bytes that ends too early")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self) -> bytes:
        first = self.number(1)
        size = first & 0x3F
        for _ in range((1 << (first >> 6)) - 1):
            size = size << 8 | self.number(1)
        return self.take(size)

    def expect(self, wanted: bytes, what: str) -> None:
        if (found := self.take(len(wanted))) != wanted:
            raise ValueError(f"{found.hex()} in an MLS message, where {what} was expected")
