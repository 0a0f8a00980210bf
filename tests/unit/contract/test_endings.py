"""Endings in whatever language, and of whatever comes."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_contract.endings import Ending, ending

LANGUAGES = ["en", "ko", "es", ""]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("¿Qué hora es?", "complete"),
        ("今何時ですか？", "complete"),
        ("Mañana por la mañana.", "unclear"),
        ("Quisiera una mesa para...", "open"),
        ("Leche, pan,", "open"),
        ("", "unclear"),
        ("…", "unclear"),
    ],
)
def test_of_other_languages_punctuation_is_judged(text: str, expected: Ending) -> None:
    assert ending(text, "es") == expected


def test_a_region_makes_no_difference() -> None:
    assert ending("I would like to", "en-GB") == ending("I would like to", "en") == "open"


@given(st.text(), st.sampled_from(LANGUAGES))
def test_nothing_that_is_heard_breaks_it(text: str, language: str) -> None:
    assert ending(text, language) in get_args(Ending)


@given(st.text(st.sampled_from(".,?!'- \n가고요1aI…")), st.sampled_from(LANGUAGES))
def test_no_punctuation_breaks_it(text: str, language: str) -> None:
    assert ending(text, language) in get_args(Ending)


@pytest.mark.parametrize("text", ["...hello", "a" + " " * 500, "가" + "'" * 500, "?I", "I went to the" + " very" * 200])
@pytest.mark.parametrize("language", LANGUAGES)
def test_odd_texts_are_judged(text: str, language: str) -> None:
    assert ending(text, language) in get_args(Ending)
