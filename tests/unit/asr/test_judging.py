"""What a decoded window is worth: speech, silence, or a loop."""

import pytest

from parley_asr.engines import Decoded
from parley_asr.judging import judge

VERSE = "the river flows to the city and the city sleeps by the river in the evening and the river flows; "


def decoded(text: str, no_speech_prob: float = 0.05) -> Decoded:
    return Decoded(text=text, language="en", no_speech_prob=no_speech_prob, tokens=len(text.split()))


@pytest.mark.parametrize(
    "text, no_speech_prob, verdict, heard",
    [
        ("Hello there.", 0.05, "speech", "Hello there."),
        ("Hello there.", 0.60, "speech", "Hello there."),
        ("you", 0.61, "silence", ""),
        ("I'm going to do it.", 0.96, "silence", ""),
        (". . . .", 0.05, "silence", ""),
        ("", 0.05, "silence", ""),
        ("안녕하세요", 0.1, "speech", "안녕하세요"),
        ("you " * 40, 0.1, "speech", "you"),
        (VERSE * 3, 0.1, "looping", ""),
    ],
)
def test_a_window_is_judged(text: str, no_speech_prob: float, verdict: str, heard: str) -> None:
    judged = judge(decoded(text, no_speech_prob), no_speech_threshold=0.6)

    assert (judged.verdict, judged.text) == (verdict, heard)


@pytest.mark.parametrize(
    "text, no_speech_prob, is_doubtful",
    [
        ("you", 0.1, False),
        ("you " * 40, 0.1, True),
        (VERSE * 3, 0.1, True),
        ("you", 0.95, False),
        (". . . . . .", 0.95, False),
        ("I'm going to do it.", 0.65, True),
        ("The fox jumps over. The fox jumps over.", 0.1, True),
        ("No, no. No, no.", 0.1, False),
    ],
)
def test_a_loop_a_doubled_sentence_and_one_in_silence_are_doubtful(
    text: str, no_speech_prob: float, *, is_doubtful: bool
) -> None:
    assert judge(decoded(text, no_speech_prob), no_speech_threshold=0.6).is_doubtful is is_doubtful
