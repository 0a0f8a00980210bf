"""The jitter buffer: in order, each once, as soon as possible, and never for long."""

import random

from hypothesis import given
from hypothesis import strategies as st

from parley_gateway.discord.jitter import LIMIT, MAX_HOLE, UNREADABLE_S, WAIT_S, Hole, JitterBuffer, Ready


def name(sequence: int) -> bytes:
    return str(sequence).encode()


def put(buffer: JitterBuffer, *sequences: int, now: float = 0.0) -> None:
    for sequence in sequences:
        place = buffer.put(sequence, now)
        if place is not None:
            buffer.settle(place, name(sequence))


def taken(buffer: JitterBuffer, now: float = 0.0) -> list[int | Hole]:
    return [int(item.payload) if isinstance(item, Ready) else item for item in buffer.take(now)]


def test_packets_in_order_do_not_wait() -> None:
    buffer = JitterBuffer()

    for sequence in (65_534, 65_535, 0, 1):
        put(buffer, sequence)
        assert taken(buffer) == [sequence]
    assert buffer.due is None


def test_a_late_packet_is_waited_for() -> None:
    buffer = JitterBuffer()

    put(buffer, 1, 3, 4)
    assert taken(buffer) == [1]
    put(buffer, 2, now=0.05)

    assert taken(buffer, 0.05) == [2, 3, 4]


def test_a_lost_packet_is_not_waited_for_longer_than_three_packets() -> None:
    buffer = JitterBuffer()

    put(buffer, 1, 3)
    taken(buffer)

    assert buffer.due == WAIT_S
    assert taken(buffer, WAIT_S - 0.001) == []
    assert taken(buffer, WAIT_S) == [Hole(1), 3]


def test_behind_a_hole_no_more_than_the_limit_waits() -> None:
    buffer = JitterBuffer()

    put(buffer, 0, *range(2, LIMIT + 2))

    assert taken(buffer) == [0, Hole(1), *range(2, LIMIT + 2)]


def test_a_duplicate_and_one_that_is_too_late_are_of_no_use() -> None:
    buffer = JitterBuffer()
    put(buffer, 10, 12)
    taken(buffer, WAIT_S)

    assert buffer.put(12, 0.0) is None
    assert buffer.put(11, 0.0) is None
    assert taken(buffer) == []


def test_a_packet_without_key_holds_its_place() -> None:
    buffer = JitterBuffer()
    put(buffer, 1)
    number = buffer.put(2, 0.0)
    put(buffer, 3, 4, 5, now=0.1)
    assert taken(buffer, 0.2) == [1]

    assert number is not None
    buffer.settle(number, b"2")

    assert taken(buffer, 0.2) == [2, 3, 4, 5]


def test_a_packet_that_never_gets_its_key_is_a_hole() -> None:
    buffer = JitterBuffer()
    put(buffer, 1)
    buffer.put(2, 0.0)
    put(buffer, 3)

    assert taken(buffer, 0.0) == [1]
    assert buffer.due == UNREADABLE_S
    assert taken(buffer, UNREADABLE_S) == [Hole(1, was_there=True), 3]


def test_a_stray_packet_from_far_away_is_dropped_and_two_are_a_new_beginning() -> None:
    buffer = JitterBuffer()
    put(buffer, 100)
    taken(buffer)

    put(buffer, 30_000, 101)
    assert taken(buffer) == [101]
    put(buffer, 40_000, 40_001)

    assert taken(buffer) == [40_001]


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3))
def test_whatever_the_network_does_packets_come_once_in_order_and_few_wait(
    first: int, seed: int, loss: float, late: float
) -> None:
    chance = random.Random(seed)
    arrivals = sorted(
        (number * 0.02 + (0.05 if chance.random() < late else 0), number)
        for number in range(200)
        if number == 0 or chance.random() >= loss
        for _ in range(1 + (chance.random() < 0.1))
    )
    buffer, out, most = JitterBuffer(), [], 0

    for now, number in arrivals:
        place = buffer.put((first + number) % 2**16, now)
        if place is not None:
            buffer.settle(place, name(number))
        out += taken(buffer, now)
        most = max(most, len(buffer))
    out += taken(buffer, 10.0)

    sounds = [item for item in out if isinstance(item, int)]
    holes = sum(item.packets for item in out if isinstance(item, Hole))
    assert sounds == sorted(set(sounds))
    assert len(sounds) + holes == sounds[-1] - sounds[0] + 1
    assert most <= LIMIT
    assert len(buffer) == 0


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.booleans(), st.floats(0, 0.1)), max_size=200))
def test_no_sequence_makes_it_grow(packets: list[tuple[int, bool, float]]) -> None:
    buffer, now = JitterBuffer(), 0.0

    for sequence, is_readable, pause in packets:
        now += pause
        place = buffer.put(sequence, now)
        if place is not None and is_readable:
            buffer.settle(place, b"x")
        assert all(not isinstance(item, Hole) or item.packets <= MAX_HOLE for item in buffer.take(now))
        assert len(buffer) <= MAX_HOLE + LIMIT
    assert buffer.take(now + 1) is not None
    assert len(buffer) == 0
