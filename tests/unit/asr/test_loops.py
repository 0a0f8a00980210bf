"""A looping decode is cut to what was said, and speech that repeats itself is left alone."""

import pytest

from parley_asr.loops import compression_ratio, unloop


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Turn the light on, please.",
        "No, no, no, no, stop.",
        "very very very good",
        "I don't know. I don't know. I don't know.",
        "Thank you. Thank you.",
        "zero zero zero zero seven",
        "My number is 00000000 and not 11111111.",
        "Charlie Charlie Charlie Charlie Charlie Charlie",
        "The quick brown fox jumps over the lazy dog. " * 2 + "The quick brown fox jumps over the lazy dog.",
        "오늘 날씨 어때요? 네, 네, 네.",
        "もしもし、もしもし、聞こえますか",
    ],
)
def test_what_people_say_is_left_alone(text: str) -> None:
    assert unloop(text) == (text, False, False)


@pytest.mark.parametrize(
    "text, kept",
    [
        ("you " * 40, "you"),
        ("Thank you. " * 12, "Thank you."),
        ("Play music. " + "I'm going to do it. " * 9, "Play music. I'm going to do it."),
        ("So " + "what is the time " * 5 + "what is", "So what is the time"),
        ("Stop. " + "ha " * 30 + "and go on", "Stop. ha and go on"),
        ("The " + "Quick, " * 4 + "quick. " * 6 + "fox", "The Quick, fox"),
        ("감사합니다. " * 10, "감사합니다."),
        ("今日は" + "ありがとう" * 8, "今日はありがとう"),
        ("until the rain began to" + "-" * 40, "until the rain began to-"),
        ("until it began to " + "f-" * 20, "until it began to f-"),
        ("Why is the sky... " + "F " * 30, "Why is the sky... F"),
        ("ha" * 30 + " very funny", "ha very funny"),
        ("o" * 200, "o"),
    ],
)
def test_a_loop_is_cut_to_its_first_round(text: str, kept: str) -> None:
    assert unloop(text) == (kept, True, False)


def test_a_text_that_repeats_itself_in_longer_rounds_is_refused() -> None:
    verse = "the river flows to the city and the city sleeps by the river in the evening and the river flows "

    assert unloop(f"{verse}, {verse}; {verse}") == ("", True, True)


def test_speech_compresses_to_about_its_own_length() -> None:
    assert compression_ratio("What is the capital of France, and how many people live there?") < 1.2
