"""A source: packets become frames, holes are filled, and silence follows what was ended."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_contract.frames import FRAME_BYTES, FRAME_SAMPLES, RATE_HZ
from parley_gateway.discord.counters import SpeakerCounters
from parley_gateway.discord.jitter import WAIT_S
from parley_gateway.discord.opus import MAX_CONCEALED, MAX_FILLED, SpeechEncoder, require_codec
from parley_gateway.discord.rtp import SILENCE
from parley_gateway.discord.sources import TAIL_AFTER_S, TAIL_FRAMES, Heard, Source

require_codec()


def tone(frames: int, hertz: float = 440.0) -> list[bytes]:
    samples = [round(8000 * math.sin(2 * math.pi * hertz * at / RATE_HZ)) for at in range(frames * FRAME_SAMPLES)]
    return [
        struct.pack(f"<{FRAME_SAMPLES}h", *samples[at : at + FRAME_SAMPLES])
        for at in range(0, len(samples), FRAME_SAMPLES)
    ]


def packets(frames: int) -> list[bytes]:
    encoder = SpeechEncoder()
    return [encoder.encode(pcm) for pcm in tone(frames)]


def level(pcm: bytes) -> float:
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    return math.sqrt(sum(sample**2 for sample in samples) / len(samples))


class Ear:
    """A source, and all that came out of it."""

    def __init__(self) -> None:
        self.counters = SpeakerCounters()
        self.source = Source(10, self.counters)
        self.heard: list[Heard] = []

    def hear(self, sequence: int, payload: bytes, now: float) -> None:
        place = self.source.put(sequence, now)
        if place is not None:
            self.source.waiting.settle(place, payload)
        self.heard += self.source.frames(now)


def test_a_tone_comes_out_as_it_went_in() -> None:
    ear = Ear()

    for number, packet in enumerate(packets(50)):
        ear.hear(number, packet, number * 0.02)

    assert [len(heard.pcm) for heard in ear.heard] == [FRAME_BYTES] * 50
    assert [heard.arrived_at for heard in ear.heard] == [number * 0.02 for number in range(50)]
    assert all(level(heard.pcm) == pytest.approx(8000 / math.sqrt(2), rel=0.1) for heard in ear.heard[5:])
    assert ear.counters.decoded == 50


@pytest.mark.parametrize("lost", [1, 2, 5, 10])
def test_a_hole_is_filled_with_as_much_as_was_lost(lost: int) -> None:
    ear = Ear()
    for number, packet in enumerate(packets(40)):
        if not 20 <= number < 20 + lost:
            ear.hear(number, packet, number * 0.02)

    assert len(ear.heard) == 40
    assert ear.counters.lost == lost
    assert ear.counters.concealed == min(lost, MAX_CONCEALED)


def test_what_is_lost_alone_is_known_from_its_successor() -> None:
    ear = Ear()
    encoded = packets(40)
    for number, packet in enumerate(encoded):
        if number != 20:
            ear.hear(number, packet, number * 0.02)

    assert level(ear.heard[20].pcm) > 4000


def test_a_long_hole_is_mostly_silence_and_never_filled_whole() -> None:
    ear = Ear()
    encoded = packets(60)
    for number in range(20):
        ear.hear(number, encoded[number], number * 0.02)
    ear.hear(60, encoded[20], 1.2)
    ear.heard += ear.source.frames(1.2 + WAIT_S)

    assert len(ear.heard) == 20 + MAX_FILLED + 1
    assert all(heard.pcm == bytes(FRAME_BYTES) for heard in ear.heard[20 + MAX_CONCEALED : 20 + MAX_FILLED - 1])
    assert (ear.counters.lost, ear.counters.concealed) == (40, MAX_CONCEALED)


def test_packets_of_any_length_become_frames() -> None:
    ear = Ear()
    encoder = SpeechEncoder()
    # 60 ms in one packet (RFC 6716, 3.2.5): the table of contents byte says three frames, all of one length.
    encoded = [encoder.encode(pcm) for pcm in tone(30)]
    for number in range(10):
        three = encoded[3 * number : 3 * number + 3]
        lengths = b"".join(bytes([len(packet) - 1]) for packet in three[:2])
        packed = bytes([three[0][0] | 3, 0x80 | 3]) + lengths + b"".join(packet[1:] for packet in three)
        ear.hear(number, packed, number * 0.06)

    assert [len(heard.pcm) for heard in ear.heard] == [FRAME_BYTES] * 30


def test_what_is_no_opus_is_counted_and_takes_its_time() -> None:
    ear = Ear()
    for number, packet in enumerate(packets(10)):
        ear.hear(number, b"\xff" * 40 if number == 5 else packet, number * 0.02)

    assert len(ear.heard) == 10
    assert (ear.counters.broken, ear.counters.decoded) == (1, 9)


def test_half_a_second_of_silence_follows_what_was_ended() -> None:
    ear = Ear()
    for number in range(5):
        ear.hear(number, SILENCE, number * 0.02)
    ended_at = 5 * 0.02

    assert ear.source.due == pytest.approx(ended_at + TAIL_AFTER_S)
    assert not list(ear.source.frames(ended_at + 0.05))
    tail = [heard for step in range(200) for heard in ear.source.frames(ended_at + 0.01 * step)]

    assert len(tail) == TAIL_FRAMES
    assert all(heard.pcm == bytes(FRAME_BYTES) for heard in tail)
    assert [round(heard.arrived_at - ended_at, 2) for heard in tail] == [
        round(0.02 * number, 2) for number in range(1, TAIL_FRAMES + 1)
    ]
    assert ear.source.due is None


def test_whoever_speaks_on_ends_the_tail() -> None:
    ear = Ear()
    for number in range(5):
        ear.hear(number, SILENCE, number * 0.02)
    ear.heard += ear.source.frames(0.3)
    before = len(ear.heard)

    ear.hear(5, packets(1)[0], 0.31)

    assert len(ear.heard) == before + 1
    assert ear.source.due is None


def test_what_stops_without_an_end_is_followed_by_nothing() -> None:
    ear = Ear()
    for number, packet in enumerate(packets(5)):
        ear.hear(number, packet, number * 0.02)

    assert ear.source.due is None
    assert not list(ear.source.frames(10.0))


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=60), st.floats(0, 0.1)), max_size=60))
def test_no_payload_breaks_it(arrivals: list[tuple[int, bytes, float]]) -> None:
    ear, now = Ear(), 0.0

    for sequence, payload, pause in arrivals:
        now += pause
        ear.hear(sequence, payload, now)

    assert all(len(heard.pcm) == FRAME_BYTES for heard in ear.heard)
    # A packet holds 120 ms at most, and a hole is filled with no more than so many of them.
    assert len(ear.heard) <= (len(arrivals) + 1) * 6 * (MAX_FILLED + 1)
