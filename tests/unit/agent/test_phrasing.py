"""Cutting a streaming reply into phrases: English and Korean, first phrases and later ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_agent.phrasing import cut


def phrases(text: str, *, is_first: bool = True, language: str = "en") -> list[str]:
    return [phrase.text.strip() for phrase in cut(text, is_first=is_first, language=language).phrases]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The capital of France is Paris. ", ["The capital of France is Paris."]),
        ("Well, as far as I know, it is. ", ["Well, as far as I know,", "it is."]),
        ("It has 3.5 million people. Yes ", ["It has 3.5 million people."]),
        (
            "Dr. Smith and Mrs. Jones met at 5 p.m. in J. R. Hall. ",
            ["Dr. Smith and Mrs. Jones met at 5 p.m. in J. R. Hall."],
        ),
        ('He said "no." Then he left. ', ['He said "no."', "Then he left."]),
        ("Really?! Yes. ", ["Really?!", "Yes."]),
        ("1. Open the box\n2. Close the box\n", ["1. Open the box", "2. Close the box"]),
        ("Wait... what? ", ["Wait...", "what?"]),
        ("The U.S. is big. Yes ", ["The U.S. is big."]),
        ("We live in the U.S. It is big. ", ["We live in the U.S.", "It is big."]),
        ("Come at 10 a.m. Tomorrow is fine. ", ["Come at 10 a.m. Tomorrow is fine."]),
        ("Come at 10 a.m. Then we eat. ", ["Come at 10 a.m.", "Then we eat."]),
        ("Born on Jan. 5, 1990. Yes ", ["Born on Jan. 5, 1990."]),
        ("See Fig. 2 and No. 5. Yes ", ["See Fig. 2 and No. 5."]),
        ("A 10-15 min. walk from here. Yes ", ["A 10-15 min. walk from here."]),
        ("It takes 10 min. Then we eat. ", ["It takes 10 min.", "Then we eat."]),
        ("The answer is 42. Anything else? ", ["The answer is 42.", "Anything else?"]),
        ("Mix it. 2. Add water. ", ["Mix it.", "2. Add water."]),
        ("Do this: 1. Mix it. 2. Add water. ", ["Do this: 1. Mix it.", "2. Add water."]),
    ],
)
def test_english_is_cut_where_a_speaker_would_breathe(text: str, expected: list[str]) -> None:
    assert phrases(text) == expected


def test_only_the_first_phrase_ends_at_a_clause() -> None:
    assert phrases("On the other hand, it may rain. ", is_first=False) == ["On the other hand, it may rain."]


def test_an_end_counts_only_once_the_next_character_is_known() -> None:
    assert phrases("It costs 3.") == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("I am sorry for your loss,", ["I am sorry for your loss,"]),
        ('She called it "a fine day,"', ['She called it "a fine day,"']),
        ("Well,", []),
        ("That would be about 1,", []),
        ("Here is what to do:", []),
        ("오늘은 날씨가 맑지만,", ["오늘은 날씨가 맑지만,"]),
    ],
)
def test_a_first_phrase_does_not_wait_for_what_follows_a_comma_behind_a_letter(text: str, expected: list[str]) -> None:
    assert phrases(text) == expected
    assert phrases(text, is_first=False) == []


def test_a_sentence_without_an_end_is_cut_at_a_space() -> None:
    [phrase] = phrases("word " * 60, is_first=False)

    assert len(phrase) <= 240
    assert phrase.endswith("word")


@given(st.text(alphabet='ab .,?!\n다요는데1"', max_size=300), st.booleans(), st.sampled_from(["en", "ko"]))
def test_nothing_is_lost_or_changed(text: str, is_first: bool, language: str) -> None:  # noqa: FBT001
    done = cut(text, is_first=is_first, language=language)

    assert "".join(phrase.text for phrase in done.phrases) + done.rest == text


@pytest.mark.parametrize("text", ["Am 5. Mai war es warm. ", "Der 21. Juli. "])
def test_other_languages_may_number_with_a_dot(text: str) -> None:
    assert phrases(text, is_first=False, language="de") == [text.strip()]


WORDS = st.sampled_from(
    ["U.S. ", "The ", "Then, ", "a.m. ", "5. ", "1990. ", "I. ", "etc. ", "Dr. ", "word ", "It ", "\n"]
)


@given(st.lists(WORDS, max_size=12).map("".join) | st.text(alphabet="ab .,?!\n1", max_size=120), st.data())
def test_what_was_cut_does_not_depend_on_how_the_text_arrived(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    whole = cut(text, is_first=False, language="en")

    first = cut(text[:at], is_first=False, language="en")
    second = cut(first.rest + text[at:], is_first=False, language="en")

    assert [*first.phrases, *second.phrases] == [*whole.phrases]
