"""The capture clock: late frames do not make speech end later."""

import pytest

from parley_gateway.captures import CaptureClock

FRAME = 320


def test_a_sample_is_as_old_as_the_real_time_stream_says() -> None:
    clock = CaptureClock()
    for number in range(1, 51):
        clock.arrived(number * FRAME, 100.0 + number * 0.02)

    assert clock.captured_at(40 * FRAME) == pytest.approx(100.8)


def test_a_stall_and_its_burst_do_not_move_a_sample() -> None:
    clock = CaptureClock()
    for number in range(1, 31):
        clock.arrived(number * FRAME, 100.0 + number * 0.02)
    for number in range(31, 46):
        clock.arrived(number * FRAME, 100.0 + 0.9)

    assert clock.captured_at(31 * FRAME) == pytest.approx(100.62)


def test_after_a_silent_door_time_begins_anew() -> None:
    clock = CaptureClock()
    clock.arrived(FRAME, 100.0)
    clock.arrived(2 * FRAME, 110.0)

    assert clock.captured_at(2 * FRAME) == pytest.approx(110.0)


def test_without_frames_there_is_no_time() -> None:
    with pytest.raises(ValueError, match="no frame has arrived"):
        CaptureClock().captured_at(0)
