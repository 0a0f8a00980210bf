"""RTP, transport encryption and bad lines: what is written is what is read, and chance can be repeated."""

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_testkit.discord.line import Line, travel
from parley_testkit.discord.rtp import Packet, is_rtcp, read_body, read_header, sender_report
from parley_testkit.discord.transport import KEY_BYTES, MODES, Transport

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
PACKETS = st.builds(
    Packet,
    sequence=U16,
    timestamp=U32,
    ssrc=U32,
    payload=st.binary(min_size=1, max_size=300),
    payload_type=st.integers(0, 71),
    is_marked=st.booleans(),
    csrcs=st.lists(U32, max_size=15).map(tuple),
    extension=st.none() | st.integers(0, 3).map(lambda words: bytes(range(4 * words))),
    padding=st.integers(0, 255),
)
PACKET = Packet(1, 2, 3, b"payload")


@given(PACKETS, st.sampled_from(MODES))
def test_a_packet_that_was_sealed_is_read_as_it_was(packet: Packet, mode: str) -> None:
    transport = Transport(next(known for known in MODES if known == mode), bytes(KEY_BYTES))

    datagram = transport.seal(packet.clear(), packet.body())

    header = read_header(datagram)
    assert (header.sequence, header.timestamp, header.ssrc) == packet[:3]
    assert (header.payload_type, header.is_marked) == (packet.payload_type, packet.is_marked)
    assert read_body(header, transport.open(datagram, header.clear_bytes)) == packet.payload


@pytest.mark.parametrize("mode, place", list(product(MODES, (3, 14, -6, -1))))
def test_a_changed_datagram_is_refused(mode: str, place: int) -> None:
    transport = Transport(next(known for known in MODES if known == mode), bytes(KEY_BYTES))
    datagram = bytearray(transport.seal(PACKET.clear(), PACKET.body()))
    datagram[place] ^= 1

    with pytest.raises(ValueError, match="not decryptable"):
        transport.open(bytes(datagram), 12)


@pytest.mark.parametrize(
    "datagram, words",
    [
        (b"", "no RTP"),
        (b"\x40" + bytes(11), "no RTP"),
        (b"\x90\x78" + bytes(10), "ends inside of its header"),
    ],
)
def test_what_is_no_rtp_is_refused(datagram: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_header(datagram)


@pytest.mark.parametrize("body", [b"", b"\x00", b"ab\x04"])
def test_padding_that_cannot_be_is_refused(body: bytes) -> None:
    header = read_header(PACKET._replace(padding=1).clear())

    with pytest.raises(ValueError, match="padding"):
        read_body(header, body)


def test_control_packets_are_told_apart() -> None:
    assert is_rtcp(sender_report(1)[0])
    assert not is_rtcp(PACKET.clear())


def test_a_perfect_line_changes_nothing() -> None:
    assert list(travel(Line(), PACKET, random.Random(1))) == [(0.0, PACKET)]


def test_a_line_loses_and_doubles_as_often_as_it_says_and_a_seed_repeats_it() -> None:
    line = Line(loss=0.1, duplicates=0.2)

    arrived, again = (
        [len(list(travel(line, PACKET, chance))) for _ in range(5000)]
        for chance in (random.Random(7), random.Random(7))
    )

    assert arrived == again
    assert arrived.count(0) == pytest.approx(500, abs=75)
    assert arrived.count(2) == pytest.approx(900, abs=100)


def test_a_line_delays_and_decorates() -> None:
    line = Line(reordered=1.0, late_ms=50, jitter_ms=10, padded=1.0, extension_words=2, csrcs=3)

    [(late_s, packet)] = travel(line, PACKET, random.Random(1))

    assert 0.05 <= late_s <= 0.06
    assert packet.padding
    assert (len(packet.extension or b""), len(packet.csrcs)) == (8, 3)
    assert packet.payload == PACKET.payload
