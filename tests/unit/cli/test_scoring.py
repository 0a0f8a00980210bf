"""Error rates: what counts as the same, how edits are counted, and how many texts become one rate."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_cli.scoring import Edits, Score, edits, scored
from parley_cli.scoring.normalising import normaliser

SAME = [
    ("en", "Hello, World!", "hello world"),
    ("en", "It’s fine.", "it's fine"),
    ("en", "'quoted'", "quoted"),
    ("en", "I have 3 cats.", "i have three cats"),
    ("en", "1,234 people", "one thousand two hundred thirty-four people"),
    ("en", "a hundred and five", "105"),
    ("en", "It costs $5.", "it costs five dollars"),
    ("en", "20%", "twenty percent"),
    ("en", "the 21st", "the twenty-first"),
    ("en", "at 5:30", "at five thirty"),
    ("en", "OK, Mr. Smith", "okay mister smith"),
    ("en", "well-known", "well known"),
    ("ko", "안녕하세요.", "안녕하세요"),
    ("ko", "사과 3개", "사과 세 개"),
    ("ko", "오후 3시", "오후 세 시"),
    ("ko", "11월 27일", "십일월 이십칠일"),
    ("ko", "12,000원", "만 이천원"),
    ("ko", "AI 기술", "에이아이 기술"),
    ("ko", "50%", "오십 퍼센트"),
    ("ko", unicodedata.normalize("NFD", "한국어"), "한국어"),
    ("ko", "\N{FULLWIDTH DIGIT SIX}㎏", "육 킬로그램"),
    ("fr", "L’été, déjà !", "l'été déjà"),
    ("ja", "こんにちは。", "こんにちは"),
]
DIFFERENT = [
    ("en", "color", "colour"),
    ("en", "don't", "do not"),
    ("en", "thirteen", "30"),
    ("ko", "사과 세 개", "사과 네 개"),
    ("ko", "십일월", "시월"),
    ("ko", "가요", "가요요"),
]


@pytest.mark.parametrize("language, one, other", SAME)
def test_what_sounds_alike_is_the_same(language: str, one: str, other: str) -> None:
    assert scored(one, other, language=language).words.count == 0


@pytest.mark.parametrize("language, one, other", DIFFERENT)
def test_what_sounds_or_is_spelled_otherwise_is_not(language: str, one: str, other: str) -> None:
    assert scored(one, other, language=language).characters.count > 0


@pytest.mark.parametrize(
    "reference, hypothesis, expected",
    [
        ("a b c", "a b c", Edits(length=3)),
        ("a b c", "a x c", Edits(length=3, substitutions=1)),
        ("a b c", "a c", Edits(length=3, deletions=1)),
        ("a b c", "a b b c", Edits(length=3, insertions=1)),
        ("a b", "", Edits(length=2, deletions=2)),
        ("", "a b", Edits(insertions=2)),
        ("a b c d", "b c x y", Edits(length=4, substitutions=1, insertions=1, deletions=1)),
    ],
)
def test_edits_are_told_apart(reference: str, hypothesis: str, expected: Edits) -> None:
    assert edits(reference.split(), hypothesis.split()) == expected


def test_korean_spacing_costs_words_but_no_characters() -> None:
    score = scored("할 수 있어요", "할수 있어요", language="ko")

    assert score.words.rate == pytest.approx(2 / 3)
    assert score.characters == Edits(length=5)
    assert score.spaced_characters == Edits(length=7, deletions=1)


def test_a_wrong_syllable_is_one_character() -> None:
    assert scored("학교", "학고", language="ko").characters == Edits(length=2, substitutions=1)


def test_many_texts_are_weighted_by_their_length() -> None:
    long, short = scored("a b c d e f g h i", "a b c d e f g h i", language="de"), scored("x", "y", language="de")

    assert (long + short).words.rate == pytest.approx(0.1)


def test_without_a_reference_there_is_no_rate() -> None:
    assert Score().words.rate is None
    assert scored("…", "hello", language="en").words == Edits(insertions=1)


@given(st.text(max_size=60), st.sampled_from(["en", "ko", "fr"]))
def test_normalised_text_stays_as_it_is(text: str, language: str) -> None:
    normalised = normaliser(language)
    once = normalised(text)

    assert once == " ".join(once.split())
    assert scored(text, text, language=language).spaced_characters.count == 0


@given(st.text("abc ", max_size=30), st.text("abc ", max_size=30))
def test_there_are_never_more_edits_than_words_on_the_longer_side(one: str, other: str) -> None:
    found = edits(one.split(), other.split())

    assert found.count <= max(len(one.split()), len(other.split()))
    assert found.length - found.deletions + found.insertions == len(other.split())
