"""Two lanes, one voice."""

import struct

import pytest

from parley_contract.frames import faded
from parley_gateway.discord.lanes import LIMIT, Lane, Lanes, Said

LOUD = struct.pack("<320h", *[9000] * 320)


def lanes(reply: int = 0, notice: int = 0) -> Lanes:
    made = Lanes()
    for number in range(reply):
        made.put(f"r{number}".encode(), "reply")
    for number in range(notice):
        made.put(f"n{number}".encode(), "notice")
    return made


def said(made: Lanes) -> str | None:
    frame = made.take()
    return frame.pcm.decode() if frame else None


def test_a_notice_goes_first() -> None:
    both = lanes(reply=2, notice=2)

    assert [said(both) for _ in range(5)] == ["n0", "n1", "r0", "r1", None]


def test_a_reply_that_has_begun_goes_on() -> None:
    both = lanes(reply=2)
    assert said(both) == "r0"

    both.put(b"n0", "notice")

    assert said(both) == "r1"


def test_a_reply_that_ran_dry_is_not_interrupted_before_it_rests() -> None:
    both = lanes(reply=1)
    said(both)
    both.put(b"n0", "notice")

    assert said(both) is None
    both.put(b"r1", "reply")
    assert said(both) == "r1"
    both.rest()
    assert said(both) == "n0"


def test_a_reply_waits_for_the_end_of_a_notice() -> None:
    both = lanes(notice=2)
    assert said(both) == "n0"
    both.put(b"r0", "reply")

    assert [said(both), said(both)] == ["n1", "r0"]


def test_a_held_reply_lets_a_notice_pass() -> None:
    both = lanes(reply=2)
    said(both)
    both.put(b"n0", "notice")

    both.is_held = True

    assert [said(both), said(both)] == ["n0", None]
    assert both.waiting("reply") == 1
    assert not both.has_something
    both.is_held = False
    assert said(both) == "r1"


def test_what_is_dropped_is_never_said() -> None:
    both = lanes(reply=2)
    said(both)

    both.drop("reply")

    assert said(both) is None
    assert both.peek() is None


def loud(lane: Lane, frames: int) -> Lanes:
    made = Lanes()
    for _ in range(frames):
        made.put(LOUD, lane)
    return made


def test_a_reply_that_is_cut_while_it_sounds_dies_away_in_a_frame_that_nobody_counts() -> None:
    lane = loud("reply", 5)
    lane.take()

    lane.cut("reply")
    lane.put(b"n0", "notice")

    assert lane.waiting("reply") == 0
    assert lane.take() == Said(faded(LOUD), "reply", is_tail=True)
    assert said(lane) == "n0"


@pytest.mark.parametrize("is_held", [False, True])
def test_of_a_reply_that_does_not_sound_nothing_is_left_by_a_cut(*, is_held: bool) -> None:
    lane = loud("reply", 5)
    if is_held:
        lane.take()
        lane.is_held = True

    lane.cut("reply")
    lane.is_held = False

    assert lane.take() is None


def test_what_could_not_die_away_in_time_is_not_heard_later() -> None:
    lane = loud("reply", 5)
    lane.take()
    lane.cut("reply")

    lane.rest()

    assert lane.take() is None


def test_a_lane_holds_ten_seconds() -> None:
    full = lanes(reply=LIMIT)
    other: Lane = "notice"

    assert not full.put(b"late", "reply")
    assert full.put(b"n0", other)
    assert full.waiting("reply") == LIMIT
