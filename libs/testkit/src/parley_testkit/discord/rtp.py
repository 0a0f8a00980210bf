"""RTP as it comes from Discord (RFC 3550; header extensions, RFC 8285): writing and reading it, without encryption.

Discord's `rtpsize` modes leave clear, and authenticate, the header with its CSRCs and the four bytes that begin an
extension. The extension's body, the payload and the padding are encrypted together.
"""

import struct
from typing import Final, NamedTuple

OPUS: Final = 120
"""The payload type of voice."""
CAMERA: Final = 101
"""One that Discord gives to video, as an example of what is no voice."""
SILENCE: Final = b"\xf8\xff\xfe"
"""Opus for 20 ms of nothing: sent bare also when the rest is end-to-end encrypted."""
SILENCES: Final = 5
"""So many of them end a talkspurt (voice-connections, "Voice Data Interpolation")."""
SAMPLES: Final = 960
"""What a frame of 20 ms adds to a timestamp: RTP counts Opus at 48 kHz whatever its bandwidth (RFC 7587, 4.1)."""
_VERSION: Final = 2
_FIXED_BYTES: Final = 12
_PROFILE: Final = b"\xbe\xde"
_RTCP: Final = range(200, 205)


class Packet(NamedTuple):
    """An RTP packet that is to be written."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    payload_type: int = OPUS
    is_marked: bool = False
    csrcs: tuple[int, ...] = ()
    extension: bytes | None = None
    """Its body, in whole words of 4 bytes; an empty one is an extension too."""
    padding: int = 0
    """Bytes of padding, the count at their end included."""

    def clear(self) -> bytes:
        """Write what is sent in the clear."""
        first = _VERSION << 6 | bool(self.padding) << 5 | (self.extension is not None) << 4 | len(self.csrcs)
        second = self.is_marked << 7 | self.payload_type
        fixed = struct.pack(
            f">BBHII{len(self.csrcs)}I",
            first,
            second,
            self.sequence & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
            *self.csrcs,
        )
        return fixed if self.extension is None else fixed + _PROFILE + struct.pack(">H", len(self.extension) // 4)

    def body(self) -> bytes:
        """Write what is to be encrypted."""
        padding = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return (self.extension or b"") + self.payload + padding


class Header(NamedTuple):
    """What stands in the clear in a packet that came."""

    sequence: int
    timestamp: int
    ssrc: int
    payload_type: int
    is_marked: bool
    clear_bytes: int
    extension_bytes: int
    is_padded: bool


def sender_report(ssrc: int) -> tuple[bytes, bytes]:
    """Write an RTCP sender report of nothing (RFC 3550, 6.4.1): what stands in the clear, and what is encrypted."""
    return struct.pack(">BBHI", _VERSION << 6, _RTCP[0], 6, ssrc), bytes(20)


def is_rtcp(datagram: bytes) -> bool:
    """Say whether this is a control packet."""
    return len(datagram) > 1 and datagram[1] in _RTCP


def read_header(datagram: bytes) -> Header:
    """Read what stands in the clear.

    Raises:
        ValueError: this is no RTP.
    """
    if len(datagram) < _FIXED_BYTES or datagram[0] >> 6 != _VERSION:
        raise ValueError(f"{len(datagram)} bytes that are no RTP packet of version {_VERSION}")
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", datagram)
    clear_bytes = _FIXED_BYTES + 4 * (first & 0x0F)
    words = 0
    if first & 0x10:
        if len(datagram) < clear_bytes + 4:
            raise ValueError("an RTP packet that ends inside of its header")
        [words] = struct.unpack_from(">H", datagram, clear_bytes + 2)
        clear_bytes += 4
    return Header(
        sequence, timestamp, ssrc, second & 0x7F, bool(second & 0x80), clear_bytes, 4 * words, bool(first & 0x20)
    )


def read_body(header: Header, body: bytes) -> bytes:
    """Take the payload from what was decrypted.

    Raises:
        ValueError: extension or padding are longer than there is room for.
    """
    payload = body[header.extension_bytes :]
    if not header.is_padded:
        return payload
    if not payload or not 0 < payload[-1] <= len(payload):
        raise ValueError("RTP padding that is longer than the packet")
    return payload[: -payload[-1]]
