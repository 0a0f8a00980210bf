"""Korean numbers: which set goes with what is counted. Pure; called by `korean`.

Korean has two sets. Things that are counted, hours of the clock and years of a life take the native one (세 개, 네 시,
스무 살); dates, minutes, money, measures, ordinals and all else the Sino-Korean one (삼월 오일, 삼십분, 천 원).
"""

import re
from typing import Final

from num2words import num2words

NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_MOST_DIGITS: Final = 16
"""Longer ones are names rather than amounts, and are read digit by digit."""
_DIGITS: Final = "영일이삼사오육칠팔구"
_DIGITS_OF_A_NAME: Final = _DIGITS.replace("영", "공")
"""In telephone numbers, codes and flights zero is an empty place (공), no amount (영)."""
_NATIVE_ONES: Final = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS: Final = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_MOST_NATIVE: Final = 99
_SINO_MONTHS: Final = {6: "유", 10: "시"}
"""Months that drop a consonant: 유월, 시월."""
_HOURS_OF_A_FACE: Final = 12

_COUNTERS: Final = (
    *("사람", "마리", "살", "가지", "그릇", "송이", "켤레", "곳", "군데"),
    *("줄", "끼", "바퀴", "자루", "조각", "방울", "걸음", "마디", "그루"),
    *("쌍", "포기", "봉지", "상자", "박스", "컵", "숟가락", "큰술", "작은술", "꼬집", "골", "세트"),
    *("접시", "다발", "묶음", "모금", "알", "식구", "가구", "나라", "과목"),
    *("종류", "차례", "단어", "문장", "글자"),
)
"""What is counted with native numbers."""
_COUNTERS_BUT: Final = {
    "개": "월|국|\\s?국어|년|소|사|교|조|정|체|선|편|막",
    "명": "시",
    "시간": "대|표",
    "권": "역",
    "잔": "액|여",
    "병": "동|원|상|사",
    "대": "학|회|째|문|로",
    "장": "관|르|기|학|애",
    "달": "러|성",
    "배": "송|당|치",
    "번": "호|지|길|가|홀|선|방|출",
    "채": "널|점|권",
    "벌": "점|금",
    "통": "신|로",
    "척": "도|추",
    "판": "매|정|결",
    "편": "의|성",
    "곡": "선|류",
    "건": "물|강|축",
    "팀": "장",
    "경기": "도|장",
    "공기": "업",
}
"""What is counted too, and how words go on that only begin like it and take Sino-Korean numbers: 개월, 번호, 채널."""
_MOST_NATIVE_OF: Final = {"시간": 23, "배": 19}
"""Where native numbers end early: it is 이십사 시간 and 오십이 시간, 이십 배 and 오십 배."""

COUNTER: Final = "|".join((*_COUNTERS, *(f"{counter}(?!{others})" for counter, others in _COUNTERS_BUT.items())))
"""Matches a counter that takes native numbers."""


def sino(digits: str) -> str:
    """Read `1,234.5` as 천이백삼십사 점 오."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    if len(whole) > _MOST_DIGITS or (len(whole) > 1 and whole.startswith("0")):
        words = each_digit(whole)
    else:
        words = str(num2words(int(whole), lang="ko"))
    return f"{words} 점 {''.join(_DIGITS[int(digit)] for digit in decimals)}" if decimals else words


def each_digit(digits: str) -> str:
    """Read the digits of a name: 공일공."""
    return "".join(_DIGITS_OF_A_NAME[int(digit)] for digit in digits)


def groups_of_digits(text: str) -> str:
    """Read what stands between the hyphens of a telephone or account number, with a pause for each of them."""
    return ", ".join(each_digit(group) for group in re.findall(r"\d+", text))


def counted(digits: str, counter: str) -> str:
    """Read a number of things: 세 개, 스무 살, 백한 마리, 삼 점 오 개."""
    return f"{_native(digits, _MOST_NATIVE_OF.get(counter, _MOST_NATIVE))} {counter}"


def ordinal(digits: str) -> str:
    """Read 1번째 as 첫 번째, 2번째 as 두 번째."""
    return "첫 번째" if digits == "1" else counted(digits, "번째")


def hour(digits: str) -> str:
    """Read hours: native up to twelve, Sino-Korean on the 24-hour clock."""
    number = str(int(digits))
    return f"{_native(number, _HOURS_OF_A_FACE)} 시"


def month(digits: str) -> str:
    """Read a month: 삼월, 유월, 시월."""
    return f"{_SINO_MONTHS.get(int(digits)) or sino(str(int(digits)))}월"


def day(digits: str) -> str:
    """Read a day of a month."""
    return f"{sino(str(int(digits)))}일"


def _native(digits: str, most: int) -> str:
    """Read a whole number up to `most` as it stands before what is counted, others as Sino-Korean."""
    if not digits.isdecimal() or (number := int(digits)) == 0:
        return sino(digits)
    hundreds, rest = divmod(number, 100)
    if 0 < hundreds < 10 and 0 < rest < 10:  # noqa: PLR2004  # 백한 마리; but 백이십 명, and 이천삼 명 in the news
        return sino(str(hundreds * 100)) + _NATIVE_ONES[rest]
    if number > most:
        return sino(digits)
    if number == 20:  # noqa: PLR2004  # 스물 drops its last consonant when nothing follows
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE_ONES[number % 10]
