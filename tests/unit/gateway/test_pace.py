"""How much a client may send."""

from parley_gateway.doors.pace import Pace


def allowed(pace: Pace, count: int, now: float) -> int:
    return sum(pace.allows(now) for _ in range(count))


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    pace = Pace(rate_hz=50, burst=500, now=10.0)

    assert allowed(pace, 600, 10.0) == 500
    assert allowed(pace, 600, 11.0) == 50
    assert allowed(pace, 600, 13.0) == 100


def test_who_keeps_the_pace_is_never_refused_and_never_ahead() -> None:
    pace = Pace(rate_hz=50, burst=500, now=0.0)

    assert all(pace.allows(number / 50) for number in range(100_000))
    assert pace.ahead_s < 0.1


def test_a_clock_that_is_faster_than_the_pace_is_refused_in_the_end() -> None:
    pace = Pace(rate_hz=50, burst=500, now=0.0)

    refused_at = next(number / 60 for number in range(100_000) if not pace.allows(number / 60))

    assert 45 < refused_at < 55


def test_a_pause_fills_the_burst_and_no_more() -> None:
    pace = Pace(rate_hz=50, burst=500, now=0.0)
    allowed(pace, 500, 0.0)

    assert allowed(pace, 1000, 3600.0) == 500
    assert pace.ahead_s == 10
