"""How Korean reads numbers and symbols: called by `speakable` with text that has no markup any more.

Korean has two sets of numbers. Things that are counted, hours and ages below a hundred take the native ones
(세 개, 다섯 시, 스무 살); dates, minutes, money, measures and all else the Sino-Korean ones (삼월 오일, 삼십분, 천 원).
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from num2words import num2words

_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_MOST_DIGITS: Final = 16
"""Longer ones are names rather than amounts, and are read digit by digit."""
_DIGITS: Final = "영일이삼사오육칠팔구"
_DIGITS_OF_A_TELEPHONE: Final = _DIGITS.replace("영", "공")
_NATIVE_ONES: Final = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS: Final = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_COUNTERS: Final = (
    *("개", "명", "사람", "마리", "살", "시간", "권", "잔", "병", "대", "장", "달", "가지", "그릇", "송이", "켤레"),
    *("곳", "군데", "줄", "배", "번", "끼", "채", "벌", "통", "바퀴", "자루", "조각", "방울", "걸음", "마디"),
)
_NOT_COUNTERS: Final = r"(?!월|국|년|호|지|기|학|성|치|당|인|씩에)"
"""개월, 개국, 번호, 번지, … take Sino-Korean numbers though they begin like a counter."""
_CURRENCIES: Final = {"$": "달러", "€": "유로", "£": "파운드", "¥": "엔", "₩": "원"}
_UNITS: Final = {
    "km/h": "킬로미터",
    "m/s": "미터",
    "km²": "제곱킬로미터",
    "m²": "제곱미터",
    "m³": "세제곱미터",
    "km": "킬로미터",
    "cm": "센티미터",
    "mm": "밀리미터",
    "m": "미터",
    "kg": "킬로그램",
    "mg": "밀리그램",
    "g": "그램",
    "ml": "밀리리터",
    "mL": "밀리리터",
    "L": "리터",
    "TB": "테라바이트",
    "GB": "기가바이트",
    "MB": "메가바이트",
    "KB": "킬로바이트",
    "kB": "킬로바이트",
    "GHz": "기가헤르츠",
    "MHz": "메가헤르츠",
    "kHz": "킬로헤르츠",
    "Hz": "헤르츠",
    "kW": "킬로와트",
    "ms": "밀리초",
    "°C": "도",
    "°F": "도",
    "°": "도",
    "%": "퍼센트",
}
_BEFORE: Final = {"km/h": "시속", "m/s": "초속", "°C": "섭씨", "°F": "화씨"}
"""Units whose kind is said before the number."""
_SYMBOLS: Final = {
    "&": "그리고",
    "+": "더하기",
    "=": "는",
    "×": "곱하기",
    "÷": "나누기",
    "±": "플러스마이너스",
    "≈": "약",
    "→": "에서",
    "@": "골뱅이",
    "%": "퍼센트",
    "°": "도",
    "²": "제곱",
    "³": "세제곱",
    "½": "이분의 일",
    "¼": "사분의 일",
    "¾": "사분의 삼",
}
_SINO_MONTHS: Final = {6: "유", 10: "시"}
"""Months that drop a consonant: 유월, 시월."""


def read(text: str) -> str:
    """Return the text with numbers and symbols in words; text without them comes back unchanged."""
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text)
    return text


def _sino(digits: str) -> str:
    """Read `1,234.5` as 천이백삼십사 점 오."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    if len(whole) > _MOST_DIGITS or (len(whole) > 1 and whole.startswith("0")):
        words = _each_digit(whole)
    else:
        words = str(num2words(int(whole), lang="ko"))
    return f"{words} 점 {_each_digit(decimals)}" if decimals else words


def _each_digit(digits: str, names: str = _DIGITS) -> str:
    return "".join(names[int(digit)] for digit in digits)


def _native(digits: str) -> str:
    """Read 1 to 99 as they stand before what is counted: 한, 두, …, 스무, 스물한; others as Sino-Korean."""
    number = int(digits)
    if not 0 < number < 100:  # noqa: PLR2004  # native numbers end at 99
        return _sino(digits)
    if number == 20:  # noqa: PLR2004  # 스물 drops its last consonant when nothing follows
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE_ONES[number % 10]


def _month(digits: str) -> str:
    return f"{_SINO_MONTHS.get(int(digits)) or _sino(str(int(digits)))}월"


def _date(match: re.Match[str]) -> str:
    year, month, day = match.groups()
    return f"{_sino(year)}년 {_month(month)} {_sino(str(int(day)))}일"


def _clock(match: re.Match[str]) -> str:
    hour, minute = _hour(match[1]), int(match[2])
    return f"{hour} {_sino(str(minute))}분" if minute else hour


def _hour(digits: str) -> str:
    """Read hours: native up to twelve, Sino-Korean on the 24-hour clock."""
    number = str(int(digits))
    return f"{_native(number) if 0 < int(number) <= 12 else _sino(number)} 시"  # noqa: PLR2004  # the clock's face


def _measure(match: re.Match[str]) -> str:
    said_before, minus, number, unit = match.groups()
    before = [said_before or _BEFORE.get(unit, "")]
    if minus:
        # Below zero has a word of its own, with which nobody says the scale.
        before = ["영하"] if unit.startswith("°") else [*before, "마이너스"]
    return " ".join(word for word in (*before, _sino(number), _UNITS[unit]) if word)


def _telephone(match: re.Match[str]) -> str:
    return ", ".join(_each_digit(group, _DIGITS_OF_A_TELEPHONE) for group in re.findall(r"\d+", match[0]))


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]
_RULES: Final[tuple[_Rule, ...]] = (
    (re.compile(r"\b(\d{4})[-./]\s?(0?[1-9]|1[0-2])[-./]\s?(0?[1-9]|[12]\d|3[01])(?!\d)\.?"), _date),
    (re.compile(r"(?<![\d-])(?:\d{2,4}-)\d{3,4}-\d{4}(?![\d-])"), _telephone),
    (re.compile(r"(?<=\d)\s?[-~]\s?(?=\d)"), "에서 "),
    (
        re.compile(
            rf"(?:({_any_of(_BEFORE.values())})\s)?((?<![\w.])-)?({_NUMBER})\s?({_any_of(_UNITS)})(?![A-Za-z²³])"
        ),
        _measure,
    ),
    (re.compile(r"(?<![\w.])-(?=[$€£¥₩]?\d)"), "마이너스 "),
    (re.compile(rf"([{''.join(_CURRENCIES)}])\s?({_NUMBER})"), lambda m: f"{_sino(m[2])} {_CURRENCIES[m[1]]}"),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])"), _clock),
    (re.compile(r"(?<=\d):(?=\d)"), " 대 "),
    (re.compile(r"(?<![\d.,])([01]?\d|2[0-4])\s?시(?!간|장|민|도|작)"), lambda m: _hour(m[1])),
    (re.compile(r"(?<![\d.,])(1[0-2]|0?[1-9])\s?월"), lambda m: _month(m[1])),
    (re.compile(r"(?<![\d.,])1\s?번째"), "첫 번째"),
    (
        re.compile(rf"(?<![\d.,])(\d{{1,3}})\s?({_any_of(_COUNTERS)}){_NOT_COUNTERS}"),
        lambda m: f"{_native(m[1])} {m[2]}",
    ),
    (re.compile(r"(?<=\d)\s?[x×]\s?(?=\d)"), " 곱하기 "),
    (re.compile(r"(?<=\d)\s?/\s?(?=\d)"), " 슬래시 "),
    (re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])"), " "),
    (re.compile(_NUMBER), lambda m: _sino(m[0])),
    (re.compile(f"[{re.escape(''.join(_SYMBOLS))}]"), lambda m: f" {_SYMBOLS[m[0]]} "),
)
