"""Written text into speakable text: English and Korean as tables, and what holds for any text at all."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley_tts.speakable import speakable

MARKUP = [
    ("**Paris** is the *capital* of ~~Italy~~ France.", "Paris is the capital of Italy France."),
    ("**half of", "half of"),
    ("it** was said", "it was said"),
    ("use `print` twice", "use print twice"),
    ("see [the guide](https://example.com/guide)", "see the guide"),
    ("![a cat](cat.png) sleeps", "a cat sleeps"),
    ("a <b>bold</b> word", "a bold word"),
    ("# Title\nand text", "Title. and text"),
    ("Options:\n- tea\n- coffee", "Options: tea. coffee"),
    ("1. tea\n2. coffee", "one. tea. two. coffee"),
    ("> quoted\n> words", "quoted words"),
    ("| city | people |\n|---|---|\n| Paris | many |", "city, people. Paris, many"),
    ("before\n\n---\n\nafter", "before. after"),
    ("Here it is:\n```py\nprint(x)\n```", "Here it is:"),
    ("snake_case_name", "snake case name"),
]

SYMBOLS = [
    ("See https://www.example.com/a?b=1.", "See example dot com."),
    ("it is example.org, you know", "it is example dot org, you know"),
    ("mail me@site.org!", "mail me at site dot org!"),
    ("Great! 🎉👩‍👩‍👧", "Great!"),
    ("AT&T", "AT and T"),
    ("x² + y² = z²", "x squared plus y squared equals z squared"),
    ("well – you know — fine", "well, you know, fine"),
    ("I’m “fine”… really?!", "I'm fine. really?"),
    ("Mr. Smith vs. the U.S. team, e.g. here", "Mister Smith versus the U S team, for example here"),
    ("C# and C++ ™", "C sharp and C plus plus"),
]

NUMBERS = [
    ("35", "thirty-five"),
    ("1,234 and 1234", "one thousand two hundred and thirty-four and one thousand two hundred and thirty-four"),
    ("3.14", "three point one four"),
    ("-5 or \N{MINUS SIGN}5", "minus five or minus five"),
    ("007", "zero zero seven"),
    ("the 21st", "the twenty-first"),
    ("in 1999 and on March 5, 2024", "in nineteen ninety-nine and on March fifth, twenty twenty-four"),
    ("2024-03-05", "March fifth, twenty twenty-four"),
    ("at 5:30 pm, 10:05 or 12:00", "at five thirty P M, ten oh five or twelve o'clock"),
    (
        "$3.50, $1, €20 and $2 million",
        "three dollars and fifty cents, one dollar, twenty euros and two million dollars",
    ),
    ("20% of 1 km at -5°C", "twenty percent of one kilometer at minus five degrees Celsius"),
    ("100 km/h", "one hundred kilometers per hour"),
    ("5-10 people", "five to ten people"),
    ("5 - 3", "five minus three"),
    ("2*3*4 = 24", "two times three times four equals twenty-four"),
    ("1/2 cup, 5 1/2 and 3/4", "one half cup, five and one half and three quarters"),
    ("7/13", "seven over thirteen"),
    ("open 24/7", "open twenty-four seven"),
    (
        "on 11/29/2026 or 29/11/2026",
        "on November twenty-ninth, twenty twenty-six or November twenty-ninth, twenty twenty-six",
    ),
    ("13/32/2026", "thirteen over thirty-two over two thousand and twenty-six"),
    ("born Jan. 5, 1990 in Feb 1991", "born January fifth, nineteen ninety in February nineteen ninety-one"),
    ("Einstein (1879-1955)", "Einstein eighteen seventy-nine to nineteen fifty-five"),
    ("the 1990s, the '60s and the 2010s", "the nineteen nineties, the sixties and the twenty tens"),
    ("from 10:30-11:45 or 9am-5pm", "from ten thirty to eleven forty-five or nine A M to five P M"),
    ("at 10 a.m. and 12:00 p.m. sharp", "at ten A M and twelve P M sharp"),
    ("$5M, $1.5B and 50¢", "five million dollars, one point five billion dollars and fifty cents"),
    ("1,000,000,000,000 stars", "one trillion stars"),
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ("call 911", "call nine one one"),
    ("I am 5'10\" tall", "I am five foot ten tall"),
    ("2 tbsp, 3 oz and 45 min", "two tablespoons, three ounces and forty-five minutes"),
    ("v2.0 is ~5 times 2^10", "version two point zero is about five times two to the power of ten"),
    (
        "½ tsp. vanilla, 1½ cups and 2½ oz. of it",
        "one half teaspoon vanilla, one and one half cups and two and one half ounces of it",
    ),
    ("1 tbsp. of salt (3.4 mi.) away", "one tablespoon of salt three point four miles away"),
    ("It took 10 min. Then we left.", "It took ten minutes. Then we left."),
    ("World War II and Henry VIII in Chapter XIV", "World War two and Henry the eighth in Chapter fourteen"),
    ("+1 555-123-4567", "one, five five five, one two three, four five six seven"),
    ("version 1.2.3", "version one point two point three"),
    ("GPT-4 is B12", "GPT-four is B twelve"),
    ("№ 1234567890123456", "No one two three four five six seven eight nine zero one two three four five six"),
]

ABBREVIATIONS = [
    ("No. 5, Fig. 2 and pp. 3-5", "number five, figure two and pages three to five"),
    ("No. I did not.", "No. I did not."),
    ("5 St. James St. in St. Louis", "five Saint James Street in Saint Louis"),
    ("On Main St. The shop", "On Main Street The shop"),
    ("Mt. Everest, Gen. Lee and Sen. Smith", "Mount Everest, General Lee and Senator Smith"),
    ("W. B. Yeats and John F. Kennedy", "W B Yeats and John F Kennedy"),
    ("It has vitamin C. Bananas do not.", "It has vitamin C. Bananas do not."),
    ("Martin Luther King Jr. spoke", "Martin Luther King Junior spoke"),
    ("a Ph.D. in the U.S. of A.", "a P H D in the U S of A."),
]

KOREAN = [
    ("**안녕하세요** 😀 반갑습니다!", "안녕하세요 반갑습니다!"),
    ("사과 3개", "사과 세 개"),
    ("20살, 21명, 100개", "스무 살, 스물한 명, 백 개"),
    ("오후 5시 30분", "오후 다섯 시 삼십분"),
    ("15:30", "십오 시 삼십분"),
    ("3시간", "세 시간"),
    ("2024년 6월 10일", "이천이십사년 유월 십일"),
    ("2024-10-03", "이천이십사년 시월 삼일"),
    ("3개월", "삼개월"),
    ("1번째, 2번째", "첫 번째, 두 번째"),
    ("3번호", "삼번호"),
    ("₩12,000이고 $3.5예요", "만 이천 원이고 삼 점 오 달러예요"),
    ("습도 40%, 기온 -5°C", "습도 사십 퍼센트, 기온 영하 오 도"),
    ("시속 100km/h", "시속 백 킬로미터"),
    ("5kg", "오 킬로그램"),
    ("010-1234-5678", "공일공, 일이삼사, 오육칠팔"),
    ("5~10분", "오에서 십분"),
    ("https://naver.com/x 보세요", "네이버 점 컴 보세요"),
    ("- 사과\n- 배", "사과. 배"),
    ("'hello'를 '안녕하세요'라고 합니다.", "hello를 안녕하세요라고 합니다."),
    ('그는 "안녕."이라고 했어요.', "그는 안녕이라고 했어요."),
    ("ㅋㅋㅋ 재밌어요 ㅠㅠ", "재밌어요"),
    ("C++와 C#, A+ 학점", "씨 플러스플러스와 씨 샵, 에이 플러스 학점"),
    ("소금 1큰술과 2작은술, 3개 국어, 5대양 6대주", "소금 한 큰술과 두 작은술, 삼개 국어, 오대양 육대주"),
    ("No.1 vs. No.2", "넘버 일 대 넘버 이"),
    ("√2와 π", "루트 이와 파이"),
    ("12345678", "천이백삼십사만 오천육백칠십팔"),
]


@pytest.mark.parametrize("written, spoken", MARKUP)
def test_markup_is_not_spoken(written: str, spoken: str) -> None:
    assert speakable(written, "en") == spoken


@pytest.mark.parametrize("written, spoken", SYMBOLS)
def test_symbols_become_words_or_nothing(written: str, spoken: str) -> None:
    assert speakable(written, "en") == spoken


@pytest.mark.parametrize("written, spoken", NUMBERS)
def test_numbers_become_english_words(written: str, spoken: str) -> None:
    assert speakable(written, "en-US") == spoken


@pytest.mark.parametrize("written, spoken", ABBREVIATIONS)
def test_abbreviations_become_what_they_stand_for_and_end_no_sentence(written: str, spoken: str) -> None:
    assert speakable(written, "en") == spoken


@pytest.mark.parametrize("written, spoken", KOREAN)
def test_korean_numbers_take_the_set_that_fits_what_is_counted(written: str, spoken: str) -> None:
    assert speakable(written, "ko") == spoken


@pytest.mark.parametrize("nothing", ["", " \n", "🎉", "---", "...", "**", "```", "🇫🇷 ™", "ㅎㅎ"])
def test_what_has_no_letter_and_no_digit_says_nothing(nothing: str) -> None:
    assert speakable(nothing, "en") == ""


def test_code_is_spoken_where_there_is_nothing_else() -> None:
    assert speakable("```\nprint\n```", "en") == "print"


def test_other_languages_leave_numbers_and_symbols_to_the_engine() -> None:
    assert speakable("Es kostet **3,50 €** um 5:30!", "de") == "Es kostet 3,50 € um 5:30!"


WRITTEN = st.text(st.one_of(st.characters(), st.sampled_from("*_`#>-|[]()!~<>&.,:;?'\"0123456789 \n$%°²½–—개시월일")))
LANGUAGES = st.sampled_from(["en", "ko", "de"])


@given(WRITTEN, LANGUAGES)
@example("[](http://x.y)", "en")
@example("1. 1. 1.", "en")
@example("*1*1", "ko")
def test_speakable_text_comes_back_unchanged(written: str, language: str) -> None:
    spoken = speakable(written, language)

    assert speakable(spoken, language) == spoken


@given(st.text(st.characters(categories=["L", "Nd", "P", "Z", "S"], max_codepoint=0x2BFF)), LANGUAGES)
def test_whatever_has_a_letter_gives_something_to_speak(written: str, language: str) -> None:
    has_letters = any(character.isalpha() for character in written)

    assert any(character.isalnum() for character in speakable(written, language)) or not has_letters


@given(WRITTEN, st.sampled_from(["en", "ko"]))
def test_nothing_is_left_that_an_engine_would_spell(written: str, language: str) -> None:
    assert not set(speakable(written, language)) & set("*_`#<>|[]{}~^\\/=+&@%$€\n\t0123456789")
