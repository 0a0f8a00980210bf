"""RTP: what is sound and what is not, where its payload lies, and numbers that wrap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_gateway.discord import rtp

REST = bytes(21)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes([0x80, 0x78]) + bytes(30),  # a tag and a nonce, and nothing between
        bytes([0x40, 0x78]) + bytes(60),  # version 1
        bytes([0x80, 0x65]) + bytes(60),  # a camera
        bytes([0x80, 0x66]) + bytes(60),  # its retransmissions
        bytes([0x81, 0xC9]) + bytes(60),  # RTCP, receiver report
        bytes([0, 2, 0, 70]) + bytes(70),  # IP discovery
        bytes([0x8F, 0x78]) + bytes(60),  # fifteen sources, of which there is no room for five
        bytes([0x90, 0x78]) + bytes(10) + b"\xbe\xde\xff\xff" + bytes(60),  # an extension longer than itself
    ],
)
def test_what_is_no_sound_is_left_out(datagram: bytes) -> None:
    assert rtp.read(datagram) is None


@pytest.mark.parametrize(
    "first, before, clear, extension",
    [
        (0x80, b"", 12, 0),
        (0x83, bytes(12), 24, 0),
        (0x90, b"\xbe\xde\x00\x02", 16, 8),
        (0x91, bytes(4) + b"\xbe\xde\x00\x03", 20, 12),
        (0xB0, b"\xbe\xde\x00\x00", 16, 0),
    ],
    ids=["plain", "sources", "extension", "both", "empty extension"],
)
def test_parts_are_where_the_header_says(first: int, before: bytes, clear: int, extension: int) -> None:
    datagram = bytes([first, 0xF8, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + before + bytes(extension) + REST

    read = rtp.read(datagram)

    assert read == rtp.Header(0x0102, 3, 4, clear, extension, is_padded=bool(first & 0x20))


@pytest.mark.parametrize(
    "extension, is_padded, decrypted, payload",
    [
        (0, False, b"opus", b"opus"),
        (4, False, b"bodyopus", b"opus"),
        (4, True, b"bodyopus\0\0\3", b"opus"),
        (0, True, b"\0\0\3", b""),  # nothing but padding: a keepalive
        (0, True, b"opus\0", b""),  # no padding can be 0 long
        (4, True, b"bodyopus\x09", b""),  # nor reach into the extension
        (0, True, b"", b""),
        (8, False, b"body", b""),
    ],
)
def test_extension_and_padding_are_taken_off(
    extension: int,
    is_padded: bool,  # noqa: FBT001  # a column of the table
    decrypted: bytes,
    payload: bytes,
) -> None:
    header = rtp.Header(0, 0, 0, 12, extension, is_padded)

    assert rtp.payload(header, decrypted) == payload


def test_a_header_of_ours_is_read_as_it_was_meant() -> None:
    made = rtp.header(65_537, 2**32 + 960, 7, is_marked=True)

    assert rtp.read(made + REST) == rtp.Header(1, 960, 7, 12, 0, is_padded=False)
    assert made[1] & 0x80


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_no_bytes_break_it(datagram: bytes, decrypted: bytes) -> None:
    header = rtp.read(bytes([0x80 | datagram[0] & 0x3F, 0x78]) + datagram[1:] if datagram else datagram)

    if header is not None:
        assert len(rtp.payload(header, decrypted)) <= len(decrypted)
        assert header.clear + header.extension <= len(datagram) + 1


@given(st.integers(0, 2**40), st.integers(-(2**15), 2**15 - 1))
def test_a_wrapped_number_is_the_one_nearby(near: int, step: int) -> None:
    assert rtp.unwrap((near + step) % 2**16, near) == near + step
