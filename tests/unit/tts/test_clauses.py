"""Text into clauses and breaths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_tts.clauses import Clause, breaths


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hi", [[("Hi", ".")]]),
        ("Sure, let me see.", [[("Sure", ","), ("let me see", ".")]]),
        ("Really? Yes!", [[("Really", "?")], [("Yes", "!")]]),
        ("안녕하세요, 여러분。반갑습니다", [[("안녕하세요", ","), ("여러분。반갑습니다", ".")]]),
        ("좋아요。 네！", [[("좋아요", ".")], [("네", "!")]]),
        ('He said "stop!" and left', [[('He said "stop', "!")], [("and left", ".")]]),
        ("Well… 3.5 is", [[("Well", ".")], [("3.5 is", ".")]]),
        ("...", []),
        ("", []),
    ],
)
def test_punctuation_ends_clauses_and_sentences_end_breaths(text: str, expected: list[list[tuple[str, str]]]) -> None:
    assert breaths(text) == [tuple(Clause(*clause) for clause in breath) for breath in expected]


def test_a_long_sentence_takes_a_breath_at_its_clauses() -> None:
    said = breaths("one two three, four five six, seven eight nine.", max_chars=30)

    assert [[clause.words for clause in breath] for breath in said] == [
        ["one two three", "four five six"],
        ["seven eight nine"],
    ]


def test_a_clause_too_long_for_a_breath_is_cut_between_words() -> None:
    said = breaths("one two three four", max_chars=9)

    assert said == [(Clause("one two", ","),), (Clause("three", ","),), (Clause("four", "."),)]


def test_a_clause_too_long_for_a_breath_is_cut_where_english_may_breathe() -> None:
    [first, second] = breaths("one two three and four five", max_chars=24)

    assert (first, second) == ((Clause("one two three", ","),), (Clause("and four five", "."),))


@given(st.text(st.sampled_from("ab1 .,!?…。\"'가나"), max_size=300))
def test_no_letter_is_lost_and_no_breath_is_too_long(text: str) -> None:
    said = breaths(text, max_chars=20)

    spoken = "".join(clause.words for breath in said for clause in breath)
    assert [c for c in spoken if c.isalnum()] == [c for c in text if c.isalnum()]
    assert all(sum(len(clause.words) for clause in breath) <= 20 for breath in said)
