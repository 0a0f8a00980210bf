"""RTP as Discord speaks it: which datagrams are sound, where their parts lie, and how our own begin (RFC 3550, 8285).

Pure. Used by `reception` on the way in and by `talkspurts` on the way out. What is encrypted here is still encrypted:
that is `transport`'s and `library`'s.

A datagram: header of 12 bytes, contributing sources, extension header (in clear) | extension body, payload, padding
(encrypted) | tag of 16 bytes | nonce of 4 bytes.
"""

import struct
from typing import Final, NamedTuple

CLOCK_HZ: Final = 48_000
"""Of Opus in RTP, whatever its sample rate (RFC 7587)."""
FRAME_TICKS: Final = CLOCK_HZ // 50
"""Of 20 ms."""
SOUND: Final = 0x78
"""Payload type of Opus. Video, its retransmissions and RTCP (whose types end up in 72 to 76) have others."""
SILENCE: Final = b"\xf8\xff\xfe"
"""Opus for 20 ms of nothing. It ends what somebody says, and is in clear even under DAVE."""
TRAILING: Final = 5
"""So many of them do (Discord's documentation, Voice Data Interpolation)."""
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 4
SEQUENCE_BITS: Final = 16
_FIXED: Final = struct.Struct(">BBHII")
_WORD: Final = 4
_EXTENSION: Final = struct.Struct(">HH")
_VERSION: Final = 2
_SHORTEST: Final = _FIXED.size + TAG_BYTES + NONCE_BYTES + 1
_PADDED, _EXTENDED, _SOURCES, _MARKED = 0x20, 0x10, 0x0F, 0x80


class Header(NamedTuple):
    """What a datagram says in clear."""

    sequence: int
    timestamp: int
    ssrc: int
    clear: int
    """How many bytes are in clear, and authenticated with the rest."""
    extension: int
    """How many bytes of extension body come first when the rest is decrypted."""
    is_padded: bool


def read(datagram: bytes) -> Header | None:
    """Read the header of a datagram that holds sound; None for everything else that arrives on the socket."""
    if len(datagram) < _SHORTEST or datagram[0] >> 6 != _VERSION or datagram[1] & ~_MARKED != SOUND:
        return None
    first, _, sequence, timestamp, ssrc = _FIXED.unpack_from(datagram)
    clear = _FIXED.size + _WORD * (first & _SOURCES)
    extension = 0
    if first & _EXTENDED:
        if len(datagram) < clear + _EXTENSION.size:
            return None
        extension = _WORD * _EXTENSION.unpack_from(datagram, clear)[1]
        clear += _EXTENSION.size
    if len(datagram) < clear + extension + TAG_BYTES + NONCE_BYTES:
        return None
    return Header(sequence, timestamp, ssrc, clear, extension, bool(first & _PADDED))


def payload(header: Header, decrypted: bytes) -> bytes:
    """Return what is left of the decrypted part without extension and padding.

    Empty for a keepalive, which is nothing but padding, and for a count of padding that cannot be. Padding that stays
    on hides the mark of an end-to-end encrypted frame at its end: the most frequent reason why bots miss words.
    """
    if not header.is_padded:
        return decrypted[header.extension :]
    if not decrypted:
        return b""
    padding, end = decrypted[-1], len(decrypted)
    return decrypted[header.extension : end - padding] if 0 < padding <= end - header.extension else b""


def header(sequence: int, timestamp: int, ssrc: int, *, is_marked: bool) -> bytes:
    """Make the header of a datagram of ours; a marked one is the first after a pause."""
    kind = SOUND | _MARKED if is_marked else SOUND
    return _FIXED.pack(_VERSION << 6, kind, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, ssrc)


def unwrap(value: int, near: int, bits: int = SEQUENCE_BITS) -> int:
    """Return the number closest to `near` whose lowest `bits` are `value`; it may be negative."""
    half = 1 << bits - 1
    return near + (value - near + half) % (2 * half) - half
