"""What timestamps say of a decode, beside the loudness of the sound."""

import numpy as np
import pytest

from parley_asr.engines import Decoded, Samples, Segment
from parley_asr.timelines import left_out_s, needs_timestamps, said
from parley_contract.frames import RATE_HZ


def sound(*parts: tuple[float, float]) -> Samples:
    """Tones as loud as each part says: (seconds, amplitude)."""
    return np.concatenate([np.full(round(seconds * RATE_HZ), level, dtype=np.float32) for seconds, level in parts])


def decoded(*segments: tuple[float, float, str]) -> Decoded:
    made = tuple(Segment(text=text, start_s=start_s, end_s=end_s) for start_s, end_s, text in segments)
    return Decoded(
        text=" ".join(text for *_, text in segments), language="en", no_speech_prob=0, tokens=1, segments=made
    )


TWO = sound((2, 0.1), (0.5, 0.0), (2, 0.1))


@pytest.mark.parametrize(
    "parts, needs_them",
    [
        ([(3, 0.1)], False),
        ([(1, 0.1), (0.2, 0.0), (1, 0.1)], False),
        ([(1, 0.1), (0.3, 0.0), (1, 0.1)], True),
        ([(1, 0.0), (1, 0.1), (1, 0.0)], False),
        ([(1, 0.0)], False),
    ],
    ids=["unbroken", "a pause inside of a sentence", "a pause between sentences", "silence around", "silence"],
)
def test_timestamps_are_for_speech_with_a_pause_in_it(parts: list[tuple[float, float]], needs_them: bool) -> None:  # noqa: FBT001
    assert needs_timestamps(sound(*parts)) is needs_them


def test_what_stands_after_the_end_of_the_sound_was_not_said() -> None:
    heard = decoded((0, 2, "One."), (2.5, 4.5, "Two."), (4.5, 4.5, "One. Two."), (4.5, 4.5, "One."))

    assert said(heard, TWO).text == "One. Two."


def test_a_decode_in_which_all_was_said_stays_as_it_is() -> None:
    heard = decoded((0, 2.2, "One."), (2.2, 4.5, "Two."))

    assert said(heard, TWO) is heard


def test_a_text_without_timestamps_stays_as_it_is() -> None:
    heard = Decoded(text="One. Two.", language="en", no_speech_prob=0, tokens=2)

    assert said(heard, TWO) is heard


@pytest.mark.parametrize(
    "segments, seconds",
    [
        pytest.param([(0, 2, "One.")], 2.0, id="nothing of the second sentence was heard"),
        pytest.param([(0, 3.5, "One. He sent the")], 1.0, id="it stopped inside of it"),
        pytest.param([(0, 2, "One."), (2.4, 4.5, "Two.")], 0.0, id="all was heard"),
        pytest.param([(0, 1, "One."), (2.4, 4.5, "Two.")], 0.0, id="an end inside errs"),
        pytest.param([], 0.0, id="without timestamps nobody knows"),
    ],
)
def test_speech_after_the_last_segment_was_left_out(segments: list[tuple[float, float, str]], seconds: float) -> None:
    assert left_out_s(TWO, decoded(*segments).segments) == pytest.approx(seconds)
