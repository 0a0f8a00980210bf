"""What a worker does about an utterance as frames come, stay away, or never come: on virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_asr.utterances import (
    AskAgain,
    DecodeCandidate,
    DecodeFinal,
    DecodePartial,
    Effect,
    GiveUp,
    Patience,
    ShedPartial,
    TakeCandidate,
    Utterance,
)
from parley_contract.frames import FRAME_SAMPLES, Flag, Frame

PATIENCE = Patience(
    partial_interval_s=1.0,
    resend_after_s=0.1,
    resend_every_s=0.25,
    frames_wait_s=1.5,
    stall_after_s=1.0,
    stall_wait_s=5.0,
)


def frame(sequence: int, *, is_loud: bool = True) -> Frame:
    pcm = (b"\x00\x20" if is_loud else b"\x20\x00") * FRAME_SAMPLES
    return Frame(sequence=sequence, media_samples=0, pcm=pcm, epoch=1)


def end(sequence: int) -> Frame:
    return Frame(sequence=sequence, media_samples=0, pcm=b"", epoch=1, flags=Flag.END)


def claimed(*, now: float = 0.0, deadline: float = 60.0) -> Utterance:
    return Utterance(epoch=1, deadline=deadline, patience=PATIENCE, now=now)


def with_frames(*sequences: int, now: float = 0.0) -> Utterance:
    utterance = claimed(now=now)
    for sequence in sequences:
        utterance.take(frame(sequence), now)
    return utterance


def test_a_complete_utterance_is_decoded_at_once_and_only_once() -> None:
    utterance = with_frames(0, 1, 2)
    utterance.take(end(3), 0.06)

    assert utterance.advance(0.06, is_decoder_idle=False) == (DecodeFinal(0, ""),)
    assert utterance.is_over
    assert utterance.advance(9.0, is_decoder_idle=True) == ()


def test_an_utterance_that_closes_without_a_frame_is_given_up() -> None:
    utterance = claimed()
    utterance.take(end(0), 0.1)

    [effect] = utterance.advance(0.1, is_decoder_idle=True)

    assert isinstance(effect, GiveUp)


def test_a_partial_is_ordered_for_every_interval_of_new_speech() -> None:
    utterance = with_frames(*range(49), now=0.98)
    assert utterance.advance(1.0, is_decoder_idle=True) == ()

    utterance.take(frame(49), 1.0)
    assert utterance.advance(1.0, is_decoder_idle=True) == (DecodePartial(50),)

    for sequence in range(50, 99):
        utterance.take(frame(sequence), 1.5)
    utterance.partial_done()
    assert utterance.advance(1.5, is_decoder_idle=True) == ()

    utterance.take(frame(99), 2.0)
    assert utterance.advance(2.0, is_decoder_idle=True) == (DecodePartial(100),)


def test_a_partial_waits_a_moment_for_a_busy_decoder() -> None:
    utterance = with_frames(*range(59), now=1.18)

    assert utterance.advance(1.18, is_decoder_idle=False) == ()
    assert utterance.advance(1.2, is_decoder_idle=True) == (DecodePartial(59),)


def test_a_partial_that_the_decoder_has_no_time_for_is_shed_until_the_next_is_due() -> None:
    utterance = with_frames(*range(60), now=1.2)

    assert utterance.advance(1.2, is_decoder_idle=False) == (ShedPartial(),)
    assert utterance.advance(1.22, is_decoder_idle=True) == ()

    for sequence in range(60, 110):
        utterance.take(frame(sequence), 2.2)

    assert utterance.advance(2.2, is_decoder_idle=True) == (DecodePartial(110),)


def test_no_partial_is_ordered_in_a_pause_because_the_end_may_be_near() -> None:
    utterance = with_frames(*range(48), now=0.96)
    for sequence in range(48, 60):
        utterance.take(frame(sequence, is_loud=False), 1.2)

    assert utterance.advance(1.2, is_decoder_idle=True) == ()

    utterance.take(frame(60), 1.22)

    assert utterance.advance(1.22, is_decoder_idle=True) == (DecodePartial(61),)


def test_a_partial_is_shed_while_the_last_one_still_runs() -> None:
    utterance = with_frames(*range(60), now=1.2)
    utterance.advance(1.2, is_decoder_idle=True)
    for sequence in range(60, 160):
        utterance.take(frame(sequence), 2.0)

    assert utterance.advance(2.0, is_decoder_idle=True) == (ShedPartial(),)


def test_a_partial_covers_speech_up_to_the_first_hole() -> None:
    utterance = with_frames(*range(70), *range(80, 140))

    effects = utterance.advance(0.0, is_decoder_idle=True)

    assert effects == (DecodePartial(70),)


def test_a_hole_is_left_a_moment_and_then_asked_for_again_and_again() -> None:
    utterance = with_frames(0, 1, 5, 6)

    assert utterance.advance(0.0, is_decoder_idle=True) == ()
    assert utterance.wakes_at() == pytest.approx(0.1)
    assert utterance.advance(0.1, is_decoder_idle=True) == (AskAgain(2, 4),)
    assert utterance.wakes_at() == pytest.approx(0.35)
    assert utterance.advance(0.2, is_decoder_idle=True) == ()
    assert utterance.advance(0.35, is_decoder_idle=True) == (AskAgain(2, 4),)


def test_a_hole_that_is_filled_is_not_asked_for() -> None:
    utterance = with_frames(0, 2)
    utterance.advance(0.0, is_decoder_idle=True)
    utterance.take(frame(1), 0.05)

    assert utterance.advance(0.1, is_decoder_idle=True) == ()


def test_what_is_left_of_a_hole_keeps_its_age() -> None:
    utterance = with_frames(0, 5)
    utterance.advance(0.0, is_decoder_idle=True)
    utterance.take(frame(2), 0.09)

    assert utterance.advance(0.1, is_decoder_idle=True) == (AskAgain(1, 1), AskAgain(3, 4))


def test_silence_on_the_bus_is_asked_about() -> None:
    utterance = with_frames(0, 1, 2)

    assert utterance.advance(0.0, is_decoder_idle=True) == ()
    assert utterance.wakes_at() == pytest.approx(1.0)
    assert utterance.advance(1.0, is_decoder_idle=True) == (AskAgain(3, None),)


def test_an_utterance_without_any_frame_is_asked_for_from_the_first() -> None:
    utterance = claimed(now=7.0)

    assert utterance.advance(8.0, is_decoder_idle=True) == (AskAgain(0, None),)


def test_a_closed_utterance_with_a_hole_is_decoded_after_a_bounded_reported_wait() -> None:
    utterance = with_frames(0, 1, 3)
    utterance.take(end(4), 0.0)
    utterance.advance(0.0, is_decoder_idle=True)

    [effect] = utterance.advance(1.5, is_decoder_idle=True)

    assert effect == DecodeFinal(1, "1 frames did not come within 1.5 s")
    assert len(utterance.samples()) == 4 * FRAME_SAMPLES


def test_a_hole_that_was_waited_for_before_the_end_delays_the_final_no_more() -> None:
    utterance = with_frames(0, 2)
    utterance.advance(0.0, is_decoder_idle=True)
    for sequence in range(3, 103):
        utterance.take(frame(sequence), sequence * 0.02)
        utterance.advance(sequence * 0.02, is_decoder_idle=False)
    utterance.take(end(103), 2.06)

    [effect] = utterance.advance(2.06, is_decoder_idle=False)

    assert isinstance(effect, DecodeFinal)
    assert effect.missing == 1


def test_an_utterance_whose_end_never_comes_is_decoded_after_a_bounded_reported_wait() -> None:
    utterance = with_frames(0, 1, 2)
    utterance.advance(4.99, is_decoder_idle=True)

    [effect] = utterance.advance(5.0, is_decoder_idle=True)

    assert effect == DecodeFinal(0, "no frame and no closing frame for 5.0 s")


def test_an_utterance_of_which_nothing_ever_comes_is_given_up() -> None:
    utterance = claimed()

    [effect] = utterance.advance(5.0, is_decoder_idle=True)

    assert effect == GiveUp("no frame and no closing frame for 5.0 s")


def test_an_utterance_past_its_deadline_gets_an_outcome_rather_than_a_late_transcript() -> None:
    utterance = claimed(deadline=2.0)
    utterance.take(frame(0), 1.9)
    utterance.take(end(1), 2.0)

    [effect] = utterance.advance(2.0, is_decoder_idle=True)

    assert isinstance(effect, GiveUp)
    assert "deadline" in effect.reason


_EVENTS = st.lists(
    st.tuples(st.floats(0.001, 0.5), st.one_of(st.none(), st.integers(0, 30)), st.booleans()), max_size=60
)


@given(events=_EVENTS)
def test_every_utterance_ends_in_bounded_time_with_exactly_one_ending(
    events: list[tuple[float, int | None, bool]],
) -> None:
    utterance = claimed(deadline=20.0)
    now = 0.0
    effects: list[Effect] = []

    for wait_s, sequence, is_idle in events:
        now += wait_s
        if sequence is not None:
            utterance.take(end(30) if sequence == 30 else frame(sequence), now)
        effects.extend(utterance.advance(now, is_decoder_idle=is_idle))
    steps = 0
    while not utterance.is_over:
        wakes_at = utterance.wakes_at()
        assert wakes_at > now or steps == 0
        now = max(now, wakes_at)
        effects.extend(utterance.advance(now, is_decoder_idle=True))
        steps += 1
        assert steps < 200

    assert now <= 20.0 + 0.5
    assert sum(isinstance(effect, DecodeFinal | GiveUp) for effect in effects) <= 1


# Candidates.


def paused(*, frames: int = 10, voiced_seq: int = 4) -> Utterance:
    """Somebody who spoke, fell silent after a frame, and was decoded in the silence."""
    utterance = with_frames(*range(frames))
    utterance.paused(voiced_seq)
    assert utterance.advance(0.2, is_decoder_idle=True) == (DecodeCandidate(frames),)
    return utterance


def test_a_pause_is_decoded_once_however_long_it_lasts() -> None:
    utterance = paused(frames=10)
    utterance.take(frame(10), 0.2)

    assert utterance.advance(0.2, is_decoder_idle=True) == ()


def test_a_pause_that_was_announced_before_its_last_voiced_frame_came_waits_for_it() -> None:
    utterance = with_frames(0, 1, 2)
    utterance.paused(3)
    assert utterance.advance(0.1, is_decoder_idle=True) == ()

    utterance.take(frame(3), 0.1)

    assert utterance.advance(0.1, is_decoder_idle=True) == (DecodeCandidate(4),)


def test_the_next_pause_is_decoded_too() -> None:
    utterance = paused(frames=10, voiced_seq=4)
    for sequence in range(10, 20):
        utterance.take(frame(sequence), 0.4)

    utterance.paused(15)

    assert utterance.advance(0.4, is_decoder_idle=False) == (DecodeCandidate(20),)


@pytest.mark.parametrize(
    "voiced_seq, ending",
    [
        pytest.param(4, TakeCandidate(), id="nothing was said since"),
        pytest.param(9, TakeCandidate(), id="what was said since is in it"),
        pytest.param(10, DecodeFinal(0, ""), id="the speaker went on"),
    ],
)
def test_the_candidate_is_the_final_where_nothing_voiced_followed(voiced_seq: int, ending: Effect) -> None:
    utterance = paused(frames=10)
    utterance.take(frame(10), 0.2)
    utterance.take(end(11), 0.5)

    utterance.ended(voiced_seq)

    assert utterance.advance(0.5, is_decoder_idle=True) == (ending,)


def test_who_does_not_hear_that_it_ended_decodes_all_of_it_a_moment_later() -> None:
    utterance = paused(frames=10)
    utterance.take(end(10), 0.5)
    assert utterance.advance(0.5, is_decoder_idle=True) == ()
    assert utterance.wakes_at() == pytest.approx(0.8)

    assert utterance.advance(0.8, is_decoder_idle=True) == (DecodeFinal(0, ""),)


def test_a_pause_that_is_announced_after_the_end_changes_nothing() -> None:
    utterance = with_frames(0, 1, 2)
    utterance.take(end(3), 0.1)
    utterance.paused(2)

    assert utterance.advance(0.1, is_decoder_idle=True) == (DecodeFinal(0, ""),)


def test_no_partial_is_decoded_beside_a_candidate() -> None:
    utterance = paused(frames=49)
    for sequence in range(49, 55):
        utterance.take(frame(sequence), 1.2)
    assert utterance.advance(1.2, is_decoder_idle=True) == ()

    utterance.candidate_done(49)

    assert utterance.advance(1.2, is_decoder_idle=True) == (DecodePartial(55),)


def test_a_pause_in_which_nothing_was_heard_is_decoded_again_with_more_of_it() -> None:
    utterance = paused(frames=10)
    for sequence in range(10, 15):
        utterance.take(frame(sequence, is_loud=False), 0.3)
    utterance.candidate_done(10, heard_nothing=True)
    assert utterance.advance(0.3, is_decoder_idle=True) == ()

    utterance.take(frame(15, is_loud=False), 0.32)

    assert utterance.advance(0.32, is_decoder_idle=True) == (DecodeCandidate(16),)
