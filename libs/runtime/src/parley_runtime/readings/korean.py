"""How Korean reads numbers, symbols and foreign words, in text without markup. Pure.

One ordered list of rules, from what is surest to what is left. Which numbers are native stands in `korean_numbers`,
Latin words in `korean_foreign`, the particles behind what was read in `korean_particles`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from parley_runtime.readings import korean_foreign, korean_particles
from parley_runtime.readings.korean_numbers import (
    COUNTER,
    NUMBER,
    counted,
    day,
    each_digit,
    groups_of_digits,
    hour,
    month,
    ordinal,
    sino,
)
from parley_runtime.readings.korean_particles import READ

_CURRENCIES: Final = {"$": "달러", "€": "유로", "£": "파운드", "¥": "엔", "₩": "원"}
_HUNDREDTHS: Final = {"$": "센트", "€": "센트", "£": "펜스"}
_UNITS: Final = {
    "km/h": "킬로미터",
    "m/s": "미터",
    "km²": "제곱킬로미터",
    "m²": "제곱미터",
    "m³": "세제곱미터",
    "km2": "제곱킬로미터",
    "m2": "제곱미터",
    "m3": "세제곱미터",
    "μg/m³": "마이크로그램",
    "μg/m3": "마이크로그램",
    "km": "킬로미터",
    "cm": "센티미터",
    "mm": "밀리미터",
    "μm": "마이크로미터",
    "nm": "나노미터",
    "m": "미터",
    "kg": "킬로그램",
    "mg": "밀리그램",
    "μg": "마이크로그램",
    "g": "그램",
    "t": "톤",
    "ha": "헥타르",
    "cc": "씨씨",
    "ml": "밀리리터",
    "mL": "밀리리터",
    "L": "리터",
    "l": "리터",
    "kcal": "킬로칼로리",
    "cal": "칼로리",
    "PB": "페타바이트",
    "TB": "테라바이트",
    "GB": "기가바이트",
    "MB": "메가바이트",
    "KB": "킬로바이트",
    "kB": "킬로바이트",
    "Gbps": "기가비피에스",
    "Mbps": "메가비피에스",
    "GHz": "기가헤르츠",
    "MHz": "메가헤르츠",
    "kHz": "킬로헤르츠",
    "Hz": "헤르츠",
    "kWh": "킬로와트시",
    "kW": "킬로와트",
    "W": "와트",
    "V": "볼트",
    "mAh": "밀리암페어시",
    "dB": "데시벨",
    "hPa": "헥토파스칼",
    "rpm": "알피엠",
    "px": "픽셀",
    "ms": "밀리초",
    "min": "분",
    "°C": "도",
    "°F": "도",
    "°": "도",
    "%p": "퍼센트포인트",
    "%": "퍼센트",
}
"""As NFKC writes them, which makes m2 of ㎡."""
_BEFORE: Final = {"km/h": "시속", "m/s": "초속", "°C": "섭씨", "°F": "화씨"}
"""Units whose kind is said before the number."""
_SYMBOLS: Final = {
    "&": "그리고",
    "+": "더하기",
    "×": "곱하기",
    "÷": "나누기",
    "±": "플러스마이너스",
    "≈": "약",
    "√": "루트",
    "π": "파이",
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

_MONTH: Final = r"0?[1-9]|1[0-2]"
_DAY: Final = r"[12]\d|3[01]|0?[1-9]"
_RANGE: Final = r"\s?[-~]\s?"
_OF_A_RANGE: Final = rf"시(?!간)|월|{COUNTER}"
"""Units that are said with both ends of a range, because the number changes with them: 세 개에서 다섯 개."""
_PEOPLE: Final = r"손님|고객|고객님|어르신|선생님|교수님|어머님|아버님|회원|승객|환자|관객"
_MACHINES: Final = r"차|버스|트럭|택시|컴퓨터|서버|노트북|카메라|비행기|오토바이|자전거|피아노|텔레비전|에어컨|로봇"
_NUMBERED: Final = r"출구|버스|문제|홈|승강장|게이트|타자|선수|트랙|채널|좌석|창구|국도|환자|레인|테이블|항목|보기|마을"
_GREAT: Final = (
    r"원칙|보험|요소|과제|뉴스|영양소|명산|광역시|대학|기업|종교|문제|목표|강국|성인|축제|도시|불가사의|리그|"
    r"대통령|국회|총장|회장|국왕|임금|총리|의장|사장|교황|황제|감독|왕"
)
"""3대 영양소 are three great ones, the 16대 대통령 is the sixteenth: neither are machines."""
_REMEMBERED: Final = r"절|운동|혁명|전쟁|민주|광복|사변|항쟁|의거|사태"
_VERSIONED: Final = r"버전|version|Python|파이썬|Ubuntu|우분투|iOS|Android|안드로이드|CUDA|Kubernetes"
_QUOTED: Final = re.compile(r"""(['"])([^'"]+?)[.,]?\1(?=[가-힣])""")
"""What a particle follows: '김치'를, "안녕."이라고. A mark in between would be spelled, and a space a pause."""
_CODES: Final = r"인증\s?번호|비밀\s?번호|우편\s?번호|주문\s?번호|예약\s?번호|암호|코드|PIN"


def read(text: str) -> str:
    """Return the text with numbers, symbols and known foreign words in Korean words, all else unchanged."""
    text = _QUOTED.sub(r" \2", text.replace(READ, ""))
    text = korean_foreign.read_names(text)
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text)
    return korean_particles.fit(korean_foreign.read_words(text))


def _date(match: re.Match[str]) -> str:
    year, of_year, of_month = match.groups()
    return f"{sino(year)}년 {month(of_year)} {day(of_month)}" + READ


def _day_of_year(match: re.Match[str]) -> str:
    """Read 11/27 as a date and 2/3 as a fraction: a fraction has the smaller number first, and a small one below."""
    above, below = match[1], match[2]
    is_fraction = int(above) < int(below) <= 10 and not match[0].startswith("0") and not below.startswith("0")  # noqa: PLR2004
    if (is_fraction or match["of"]) and not match["weekday"]:
        return f"{sino(below)}분의 {sino(above)}" + READ + (match["of"] or "")
    weekday = f" {match['weekday']}요일" if match["weekday"] else ""
    return f"{month(above)} {day(below)}{weekday}" + READ


def _fraction(match: re.Match[str]) -> str:
    above, below = match.groups()
    if int(above) >= int(below):
        return match[0]
    return f"{sino(below)}분의 {sino(above)}" + READ


def _clock(match: re.Match[str]) -> str:
    said = [hour(match[1])]
    said += [f"{sino(str(int(part)))}{unit}" for part, unit in ((match[2], "분"), (match[3], "초")) if int(part or 0)]
    return " ".join(said) + READ


def _measure(match: re.Match[str]) -> str:
    said_before, minus, number, unit = match.groups()
    before = [said_before or _BEFORE.get(unit, "")]
    if minus:
        # Below zero has a word of its own, with which nobody says the scale.
        before = ["영하"] if unit.startswith("°") else [*before, "마이너스"]
    return " ".join(word for word in (*before, sino(number), _UNITS[unit]) if word) + READ


def _money(match: re.Match[str]) -> str:
    sign, amount, scale = match.groups()
    whole, _, hundredths = amount.partition(".")
    if scale or sign not in _HUNDREDTHS or len(hundredths) != 2:  # noqa: PLR2004  # cents have two digits
        return f"{sino(amount)}{scale} {_CURRENCIES[sign]}" + READ
    said = [f"{sino(whole)} {_CURRENCIES[sign]}"] if whole != "0" else []
    said += [f"{sino(str(int(hundredths)))} {_HUNDREDTHS[sign]}"] if int(hundredths) else []
    return " ".join(said or [f"영 {_CURRENCIES[sign]}"]) + READ


def _range(match: re.Match[str]) -> str:
    first, last, unit = match.groups()
    return f"{first}{unit}에서 {last}{unit}"


def _points(text: str) -> str:
    """Read a version or an address, whose parts are whole numbers each."""
    parts = text.split(".")
    return " 점 ".join(sino(part) if part == "0" or part[0] != "0" else _apart(part) for part in parts) + READ


def _apart(digits: str) -> str:
    return each_digit(digits).replace("공", "영")


def _remembered(match: re.Match[str]) -> str:
    """Read the days of history: 삼일절, 사일구, 육이오; 십이십이."""
    of_year, of_month = match[1], match[2]
    return sino(of_year) + (sino(of_month) if of_year == of_month else _apart(of_month)) + READ


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _rule(pattern: str, reading: str | Callable[[re.Match[str]], str]) -> _Rule:
    return re.compile(pattern), reading


_WHEN: Final[tuple[_Rule, ...]] = (
    _rule(rf"(?<!\d)(\d{{4}})[-./]\s?({_MONTH})[-./]\s?({_DAY})(?!\d)\.?", _date),
    _rule(r"(?<![\d·])(\d{1,2})·(\d{1,2})(?![\d·])", _remembered),
    _rule(rf"(?<!\d)(\d{{1,2}})\.(\d{{1,2}})(?=\s?(?:{_REMEMBERED}))", _remembered),
    _rule(r"(?<![\d/])([1-4])/4\s?분기", lambda m: f"{sino(m[1])}사분기"),
    _rule(
        rf"(?<![\d/.])({_MONTH})/({_DAY})(?![\d/.]*\d)(?:\s?\((?P<weekday>[월화수목금토일])\)|(?P<of>로)(?![가-힣]))?",
        _day_of_year,
    ),
    _rule(r"(?<![\d/.])(\d+)/(\d+)(?![\d/.]*\d)", _fraction),
    _rule(r"(?<=일)\s?\(([월화수목금토일])\)", r" \1요일"),
    _rule(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])", _clock),
    _rule(r"(?<![\d.,])0+(?=[1-9]\s?(?:시|분|초|월|일)(?!\w*번))", ""),
)
_NAMES: Final[tuple[_Rule, ...]] = (
    _rule(r"\+(?=\d{2}[- ]\d{1,2}[- ]\d{3,4}[- ]\d{4})", "플러스 "),
    _rule(r"(?<![\d-])\(?0\d{1,2}\)?[- ]?\d{3,4}[- ]\d{4}(?![\d-])", lambda m: groups_of_digits(m[0]) + READ),
    _rule(r"(?<![\d-])(01\d)(\d{4})(\d{4})(?!\d)", lambda m: groups_of_digits("-".join(m.groups())) + READ),
    _rule(r"(?<![\d-])1[5-9]\d\d-\d{4}(?![\d-])", lambda m: groups_of_digits(m[0]) + READ),
    _rule(r"(?<=플러스 )\d{2} \d{2} \d{4} \d{4}(?!\d)", lambda m: groups_of_digits(m[0]) + READ),
    _rule(r"(?<![\d-])\d+(?:-\d+){2,}(?![\d-])", lambda m: groups_of_digits(m[0]) + READ),
    _rule(r"(?<!\d)(\d+)-(\d+)(?=\s?번지)", lambda m: f"{sino(m[1])} 다시 {sino(m[2])}"),
    _rule(
        r"(?<!\d)11[2-9](?=(?:에|로|으로)\s?(?:전화|신고|연락|문의)|\s?(?:구급|구조|소방|신고))",
        lambda m: each_digit(m[0]) + READ,
    ),
    _rule(rf"((?:{_CODES})(?:는|은|가|이|:)?\s?)(\d+)(?![\d,.]*\d)", lambda m: m[1] + each_digit(m[2]) + READ),
    _rule(r"(?<![A-Za-z])([A-Z]{2})\s?(\d{2,4})(?=\s?편)", lambda m: f"{m[1]} {each_digit(m[2])}"),
    _rule(r"\d+(?:\.\d+){2,}", lambda m: _points(m[0])),
    _rule(rf"({_VERSIONED})\s?(\d+\.\d+)(?![.\d])", lambda m: f"{m[1]} {_points(m[2])}"),
    _rule(r"(?<![A-Za-z])[Vv][Ss]\.", "vs"),
    _rule(r"(?<![A-Za-z])[Nn]o\.\s?(?=\d)", "넘버 "),
    _rule(r"(?<![A-Za-z])([CF])#", r"\1 샵"),
    _rule(r"(?<=[A-Za-z])\+\+", " 플러스플러스"),
    _rule(r"(?<=[A-Za-z])\+(?![A-Za-z\d]|\s?\d)", " 플러스"),
    _rule(r"(?<=[A-Za-z])\+(?=[A-Za-z])", " "),
    _rule(r"(?<![A-Za-z])[vV](?:er\.?)?\s?(?=\d|[일이삼사오육칠팔구십영]+ 점)", "버전 "),
)
_AMOUNTS: Final[tuple[_Rule, ...]] = (
    _rule(r"(?<![\w.)])\+(?=[$€£¥₩]?\d)", "플러스 "),
    _rule(rf"(?<![\d.,])({NUMBER}){_RANGE}({NUMBER})\s?({_OF_A_RANGE})", _range),
    _rule(r"(?<=\d) - (?=\d)", " 빼기 "),
    _rule(r"(?<=\d)\s?[-~]\s?(?=\d)", "에서 "),
    _rule(rf"(?<=[\d시분초일월년원개명살세층도%{READ}])\s?~\s?(?=\w)", "에서 "),
    _rule(
        rf"(?:({_any_of(_BEFORE.values())})\s)?((?<![\w.])-)?({NUMBER})\s?({_any_of(_UNITS)})(?![A-Za-z\d²³])", _measure
    ),
    _rule(r"(?<![\w.])-(?=[$€£¥₩]?\d)", "마이너스 "),
    _rule(rf"([{''.join(_CURRENCIES)}])\s?({NUMBER})([천백십]?[만억조]?)", _money),
    _rule(r"(?<=\d)\s?[:：]\s?(?=\d)", " 대 "),
    _rule(rf"(?<!\d)({NUMBER})\s?대\s?(?=\d)", lambda m: f"{sino(m[1])} 대 "),
)
_COUNTED: Final[tuple[_Rule, ...]] = (
    _rule(r"(?<![\d.,])([01]?\d|2[0-4])\s?시(?!간|장|민|도|작|즌|리즈)", lambda m: hour(m[1])),
    _rule(rf"(?<![\d.,])({_MONTH})\s?월", lambda m: month(m[1])),
    _rule(r"제\s?(?=\d)", "제"),
    _rule(r"제(\d+)", lambda m: f"제{sino(m[1])}"),
    _rule(
        rf"((?:{_PEOPLE})\s?)(\d{{1,3}})\s?분|(\d{{1,3}})\s?분(?=께)",
        lambda m: (m[1] or "") + counted(m[2] or m[3], "분"),
    ),
    _rule(r"(?<![\d.,])(\d{1,3})\s?번째", lambda m: ordinal(m[1])),
    _rule(rf"(?<![\d.,])(\d+)(\s?)번(?=\s?(?:{_NUMBERED}))", lambda m: f"{sino(m[1])}{m[2]}번"),
    _rule(r"((?:정답|답|기호|등번호|버스)(?:은|는)?\s)(\d+)번", lambda m: f"{m[1]}{sino(m[2])}번"),
    _rule(rf"(?<![\d.,])(\d+)대(?=\s(?:{_GREAT}))", lambda m: f"{sino(m[1])}대"),
    _rule(r"(?<![\d.,])(\d)대(양|주)(?![가-힣]{2})", lambda m: f"{sino(m[1])}대{m[2]}"),
    _rule(rf"((?:{_MACHINES})[가는를]?\s)(\d+)대", lambda m: m[1] + counted(m[2], "대")),
    _rule(r"(?<![\d.,])([1-9]0)대(?![가-힣]*당)", lambda m: f"{sino(m[1])}대"),
    _rule(rf"(?<![\d.,])({NUMBER})\s?({COUNTER})", lambda m: counted(m[1].replace(",", ""), m[2])),
    _rule(r"(?<![\d.,])1(?=[천백십만])", ""),
)
_REST: Final[tuple[_Rule, ...]] = (
    _rule(r"(?<=\d)\s?[x×]\s?(?=\d)", " 곱하기 "),
    _rule(r"(?<=\d)\s?/\s?(?=\d)", " 슬래시 "),
    _rule(r"(?<=[A-Za-z])-(?=\d)", " "),
    _rule(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " "),
    _rule(r"(?<![\d.,])(0\d+)(?![\d.,]*\d)", lambda m: each_digit(m[1]) + READ),
    _rule(NUMBER, lambda m: sino(m[0]) + READ),
    _rule(rf"(?<=[\w])({READ}?)\s?=\s?", f"{READ}은 "),
    _rule(f"[{re.escape(''.join(_SYMBOLS))}](?!(?<=&)[A-Za-z])", lambda m: f" {_SYMBOLS[m[0]]} "),
)
_RULES: Final = _WHEN + _NAMES + _AMOUNTS + _COUNTED + _REST
