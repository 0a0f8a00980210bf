"""Replayed and live frames become one utterance, in whichever order and however often they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_asr.frames_in import MAX_FRAMES, FramesIn, Gap, Taken
from parley_contract.frames import FRAME_SAMPLES, Flag, Frame


def frame(sequence: int, *, epoch: int = 1) -> Frame:
    pcm = np.full(FRAME_SAMPLES, sequence + 1, dtype="<i2").tobytes()
    return Frame(sequence=sequence, media_samples=sequence * FRAME_SAMPLES, pcm=pcm, epoch=epoch)


def end(sequence: int, *, epoch: int = 1) -> Frame:
    return Frame(sequence=sequence, media_samples=0, pcm=b"", epoch=epoch, flags=Flag.END)


def heard(frames: FramesIn, *, with_holes: bool = False) -> list[int]:
    """The sequences that were heard, in order; -1 for a hole."""
    samples = frames.samples_with_holes() if with_holes else frames.samples()
    return [round(float(value) * 32768) - 1 for value in samples[::FRAME_SAMPLES]]


def test_samples_are_floats_of_full_scale_one() -> None:
    frames = FramesIn(epoch=1)
    pcm = np.array([0, 16384, -32768], dtype="<i2").tobytes()

    frames.take(Frame(sequence=0, media_samples=0, pcm=pcm, epoch=1))

    assert frames.samples().tolist() == [0.0, 0.5, -1.0]
    assert frames.samples().dtype == np.float32


def test_frames_in_order_are_complete_with_the_closing_frame() -> None:
    frames = FramesIn(epoch=1)

    taken = [frames.take(each) for each in (frame(0), frame(1), end(2))]

    assert taken == [Taken.NEW] * 3
    assert frames.is_complete
    assert frames.gaps() == ()
    assert heard(frames) == [0, 1]


def test_a_frame_that_comes_twice_is_heard_once() -> None:
    frames = FramesIn(epoch=1)

    taken = [frames.take(each) for each in (frame(0), frame(0), frame(2), frame(2), end(3), end(3))]

    assert taken == [Taken.NEW, Taken.DUPLICATE] * 3
    assert heard(frames, with_holes=True) == [0, -1, 2]


@pytest.mark.parametrize("epoch", [0, 2, 40])
def test_a_frame_of_another_epoch_is_stale(epoch: int) -> None:
    frames = FramesIn(epoch=1)

    assert frames.take(frame(0, epoch=epoch)) is Taken.STALE
    assert frames.take(end(1, epoch=epoch)) is Taken.STALE
    assert frames.known == 0


def test_an_epoch_beyond_sixteen_bits_is_known_by_its_lower_ones() -> None:
    frames = FramesIn(epoch=65_536 + 3)

    assert frames.take(frame(0, epoch=3)) is Taken.NEW


@pytest.mark.parametrize("late", [frame(2), frame(7), end(3), frame(MAX_FRAMES)])
def test_nothing_comes_after_the_closing_frame(late: Frame) -> None:
    frames = FramesIn(epoch=1)
    frames.take(end(2))

    assert frames.take(late) is Taken.BEYOND


def test_a_closing_frame_below_a_frame_that_arrived_is_refused() -> None:
    frames = FramesIn(epoch=1)
    frames.take(frame(5))

    assert frames.take(end(5)) is Taken.BEYOND
    assert frames.take(end(6)) is Taken.NEW


def test_a_sequence_beyond_any_utterance_is_refused_and_asks_for_nothing() -> None:
    frames = FramesIn(epoch=1)

    assert frames.take(frame(MAX_FRAMES)) is Taken.BEYOND
    assert frames.take(end(MAX_FRAMES + 1)) is Taken.BEYOND
    assert frames.gaps() == ()


@pytest.mark.parametrize(
    "arrived, closed, gaps",
    [
        ([], None, ()),
        ([0, 1], None, ()),
        ([0, 2], None, (Gap(1, 1),)),
        ([3], None, (Gap(0, 2),)),
        ([0, 2, 3, 7], None, (Gap(1, 1), Gap(4, 6))),
        ([0, 1], 5, (Gap(2, 4),)),
        ([1, 3], 5, (Gap(0, 0), Gap(2, 2), Gap(4, 4))),
        ([], 3, (Gap(0, 2),)),
    ],
)
def test_gaps_are_what_is_known_to_exist_and_is_not_here(
    arrived: list[int], closed: int | None, gaps: tuple[Gap, ...]
) -> None:
    frames = FramesIn(epoch=1)

    for sequence in arrived:
        frames.take(frame(sequence))
    if closed is not None:
        frames.take(end(closed))

    assert frames.gaps() == gaps
    assert frames.missing == sum(last - first + 1 for first, last in gaps)


_ARRIVALS = st.integers(0, 40).flatmap(
    lambda count: st.tuples(
        st.just(count), st.lists(st.integers(0, count), max_size=120), st.permutations(range(count + 1))
    )
)


@given(arrivals=_ARRIVALS)
def test_replayed_and_live_frames_meet_without_a_hole_in_any_order(arrivals: tuple[int, list[int], list[int]]) -> None:
    count, replayed, live = arrivals
    frames = FramesIn(epoch=1)

    for sequence in (*replayed, *live):
        frames.take(end(count) if sequence == count else frame(sequence))

    assert frames.is_complete
    assert heard(frames) == list(range(count))


@given(arrivals=_ARRIVALS)
def test_asking_for_every_gap_completes_an_utterance(arrivals: tuple[int, list[int], list[int]]) -> None:
    count, arrived, _ = arrivals
    frames = FramesIn(epoch=1)
    for sequence in arrived:
        frames.take(end(count) if sequence == count else frame(sequence))
    frames.take(end(count))

    for gap in frames.gaps():
        for sequence in range(gap.first, gap.last + 1):
            assert frames.take(frame(sequence)) is Taken.NEW

    assert frames.is_complete
    assert heard(frames) == list(range(count))


@given(arrivals=_ARRIVALS)
def test_at_every_moment_order_and_counts_agree(arrivals: tuple[int, list[int], list[int]]) -> None:
    count, arrived, _ = arrivals
    frames = FramesIn(epoch=1)
    seen: set[int] = set()

    for sequence in arrived:
        if sequence < count:
            frames.take(frame(sequence))
            seen.add(sequence)
        missing = [each for each in range(frames.known) if each not in seen]
        assert frames.in_order == (missing[0] if missing else frames.known)
        assert frames.missing == len(missing)
        assert heard(frames, with_holes=True) == [each if each in seen else -1 for each in range(frames.known)]
