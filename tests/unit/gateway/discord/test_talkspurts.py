"""RTP's clock across pauses."""

from parley_gateway.discord import rtp
from parley_gateway.discord.talkspurts import Talkspurts


def sent(talkspurts: Talkspurts) -> tuple[int, int, bool]:
    made = talkspurts.next(7)
    header = rtp.read(made + bytes(21))
    assert header
    return header.sequence, header.timestamp, bool(made[1] & 0x80)


def test_within_a_talkspurt_the_clock_goes_on_by_20_ms_whatever_the_time() -> None:
    talkspurts = Talkspurts(now=100.0)
    talkspurts.begin(100.0)

    first, second, third = sent(talkspurts), sent(talkspurts), sent(talkspurts)

    assert [each[0] for each in (second, third)] == [(first[0] + n) % 2**16 for n in (1, 2)]
    assert [each[1] for each in (second, third)] == [(first[1] + n * 960) % 2**32 for n in (1, 2)]
    assert [each[2] for each in (first, second, third)] == [True, False, False]


def test_after_a_pause_the_clock_is_where_the_time_is() -> None:
    talkspurts = Talkspurts(now=100.0)
    talkspurts.begin(100.0)
    first = sent(talkspurts)

    talkspurts.begin(160.0)
    second = sent(talkspurts)

    assert (second[1] - first[1]) % 2**32 == 60 * 48_000
    assert second[0] == (first[0] + 1) % 2**16
    assert second[2]


def test_the_clock_never_goes_back() -> None:
    talkspurts = Talkspurts(now=100.0)
    talkspurts.begin(100.0)
    last = [sent(talkspurts) for _ in range(10)][-1]

    talkspurts.begin(100.1)

    assert (sent(talkspurts)[1] - last[1]) % 2**32 == 960
