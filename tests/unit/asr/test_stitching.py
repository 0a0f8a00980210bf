"""Texts of successive windows become one text without doubled or lost words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_asr.stitching import stitch
from parley_testkit.toy_speech import WORDS


@pytest.mark.parametrize(
    "before, after, joined",
    [
        ("", "", ""),
        ("Hello.", "", "Hello."),
        ("", "Hello.", "Hello."),
        ("What is", "the time?", "What is the time?"),
        ("It is very", "very late.", "It is very very late."),
        ("No.", "No.", "No. No."),
        ("今日は", "いい天気です", "今日はいい天気です"),
        ("오늘", "날씨", "오늘 날씨"),
    ],
)
def test_windows_cut_at_a_pause_are_joined_as_they_are(before: str, after: str, joined: str) -> None:
    assert stitch(before, after, shared_s=0) == joined


@pytest.mark.parametrize(
    "before, after, joined",
    [
        ("What is the", "time?", "What is the time?"),
        ("What is the capital", "capital of France?", "What is the capital of France?"),
        ("What is the capital.", "Capital of France?", "What is the Capital of France?"),
        ("What is the capi", "capital of France?", "What is the capital of France?"),
        ("What is the cap-", "capital of France?", "What is the capital of France?"),
        ("What is the capital", "tal of France?", "What is the capital of France?"),
        ("What is the capital", "the capital of France?", "What is the capital of France?"),
        ("Seven eight nine", "ight nine ten", "Seven eight nine ten"),
        ("Seven eight ni", "eight nine ten", "Seven eight nine ten"),
        ("That is in", "interesting times", "That is in interesting times"),
        ("今日はいい", "いい天気", "今日はいい天気"),
        ("Hello.", "Hello.", "Hello."),
    ],
)
def test_words_in_shared_sound_are_kept_once(before: str, after: str, joined: str) -> None:
    assert stitch(before, after, shared_s=0.2) == joined


@pytest.mark.parametrize(
    "before, after, shared_s, joined",
    [
        ("and rode it to the f", "it to the beach", 0.4, "and rode it to the beach"),
        ("in the evening with", "evening we sat", 0.4, "in the evening we sat"),
        ("it was really good", "really bad", 0.12, "it was really good really bad"),
        ("on the left", "the right", 0.4, "on the left the right"),
    ],
)
def test_a_last_word_that_was_broken_off_and_misheard_is_the_later_windows(
    before: str, after: str, shared_s: float, joined: str
) -> None:
    assert stitch(before, after, shared_s=shared_s) == joined


def test_more_words_than_fit_into_the_shared_sound_were_said_twice() -> None:
    before, after = "one two three four five", "one two three four five"

    assert stitch(before, after, shared_s=0.12) == f"{before} {after}"


_WORDS = st.lists(st.sampled_from(WORDS[:8]), max_size=12)


@given(words=_WORDS, border=st.integers(0, 12))
def test_no_word_is_lost_or_doubled_at_a_pause(words: list[str], border: int) -> None:
    before, after = words[:border], words[border:]

    assert stitch(" ".join(before), " ".join(after), shared_s=0).split() == words


@given(count=st.integers(0, 12), border=st.integers(0, 12), shared=st.integers(0, 2))
def test_no_word_is_lost_or_doubled_where_windows_share_words(count: int, border: int, shared: int) -> None:
    words = [f"word{chr(97 + index)}" for index in range(count)]
    before, after = words[:border], words[max(0, min(border, count) - shared) :]

    assert stitch(" ".join(before), " ".join(after), shared_s=0.2).split() == words
