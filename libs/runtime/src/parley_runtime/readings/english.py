"""How English reads numbers, symbols and abbreviations, in text without markup. Pure.

One ordered list of rules, from what is surest to what is left. Spelled out: whole and decimal numbers, ordinals, years
where something announces one, decades, clock times, dates, money, percentages, common units and fractions, ranges,
telephone numbers digit by digit. Anything else with digits is read as numbers. How those are said stands in
`english_numbers`, what is abbreviated in `english_words`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from parley_runtime.readings.english_numbers import (
    CURRENCIES,
    NUMBER,
    SHORT_SCALES,
    cardinal,
    decade,
    each_digit,
    fraction,
    money,
    ordinal,
    roman,
    year,
)
from parley_runtime.readings.english_words import (
    ABBREVIATIONS,
    BEFORE_NAMES,
    BEFORE_NUMBERS,
    COUNTED,
    MONTHS,
    NAME,
    RULERS,
    STREETS,
    SYMBOLS,
    UNITS,
)


def read(text: str) -> str:
    """Return the text with numbers and symbols in words; text without them comes back unchanged."""
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text)
    return text


def _money(match: re.Match[str]) -> str:
    return f" {money(match['currency'], match['amount'], match['scale'] or match['short'] or '')} "


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), match["minute"]
    half = f" {match['half'][0].upper()} M" if match["half"] else ""
    if minute == "00":
        return cardinal(str(hour)) + (half or " o'clock")
    spoken = f"oh {cardinal(minute[1])}" if minute.startswith("0") else cardinal(minute)
    return f"{cardinal(str(hour))} {spoken}{half}"


def _hour(match: re.Match[str]) -> str:
    return f"{cardinal(match[1])} {match[2][0].upper()} M"


def _date(match: re.Match[str]) -> str:
    """Read 2026-11-29 and 11/29/2026; also 29/11/2026, as there are no 29 months."""
    if match["iso"]:
        month, day = int(match["month"]), int(match["day"])
    else:
        month, day = int(match["first"]), int(match["second"])
        if month > len(MONTHS) >= day:
            month, day = day, month
    if not (1 <= month <= len(MONTHS) and 1 <= day <= 31):  # noqa: PLR2004  # the longest months
        return match[0]
    return f"{MONTHS[month - 1]} {ordinal(str(day))}, {year(match['iso'] or match['year'])}"


def _fraction(match: re.Match[str]) -> str:
    words = fraction(match["above"], match["below"])
    if words is None:
        return match[0]
    return f"{cardinal(match['whole'])} and {words}" if match["whole"] else words


def _power(match: re.Match[str]) -> str:
    return {"2": " squared", "3": " cubed"}.get(match[1], f" to the power of {match[1]}")


def _measure(match: re.Match[str]) -> str:
    """Read `1½ tsp.`, `½ tsp` and `2 tsp`; without an amount it is a word like others."""
    number, part, (one, many) = match[1], match[2], UNITS[match[3]]
    if number is None and part is None:
        return match[0]
    amount = " and ".join([*([cardinal(number)] if number else []), *([SYMBOLS[part]] if part else [])])
    return f"{amount} {one if (number, part) == ('1', None) or number is None else many}"


def _digits_apart(match: re.Match[str]) -> str:
    return ", ".join(each_digit(group) for group in re.findall(r"\d+", match[0]))


def _points(match: re.Match[str]) -> str:
    return " point ".join(cardinal(part) for part in match[0].split("."))


def _initials(match: re.Match[str]) -> str:
    return " ".join(match[0].replace(".", " ").split()) + ("." if match.end() == len(match.string) else "")


def _initial(match: re.Match[str]) -> str:
    """Drop the dot of John F. Kennedy, which would be the end of a sentence."""
    before = match.string[: match.start()].split()
    return "" if len(before) < 2 or before[-2][:1].isupper() or before[-2].endswith((",", ".")) else "."  # noqa: PLR2004


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]
_MONTH: Final = _any_of(MONTHS)
_ANY_YEAR: Final = r"1[1-9]\d\d|20\d\d"
_YEAR: Final = rf"(?:{_ANY_YEAR})(?![\d,.]*\d)"
_ANNOUNCED: Final = (
    r"[Ii]n|[Ss]ince|[Uu]ntil|[Tt]ill|[Bb]y|[Ff]rom|[Bb]efore|[Aa]fter|[Bb]etween|[Dd]uring|[Yy]ear|[Ee]arly|[Ll]ate|"
    r"[Ss]pring|[Ss]ummer|[Ff]all|[Aa]utumn|[Ww]inter"
)
"""Words before a year."""
_RULES: Final[tuple[_Rule, ...]] = (
    (re.compile(r"(?<=[\dmM.])\s?-\s?(?=\d{1,2}(?::\d\d|\s?[AaPp]\.?[Mm]\b))"), " to "),
    (
        re.compile(
            r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:])(?:\s?(?P<half>[AaPp])\.?[Mm]\b\.?)?"
        ),
        _clock,
    ),
    (re.compile(r"(?<![\d:.,])(1[0-2]|[1-9])\s?([AaPp]\.?[Mm])\b\.?"), _hour),
    (re.compile(rf"\b({COUNTED}) ([IVX]+)\b"), lambda m: f"{m[1]} {roman(m[2])}"),
    (re.compile(rf"\b({RULERS}) ([IVX]{{2,}}|V|X)\b"), lambda m: f"{m[1]} the {ordinal(roman(m[2]))}"),
    (
        re.compile(rf"(?<![\w.])(?:{_any_of(BEFORE_NUMBERS)})\s?(?=#?\d)"),
        lambda m: f"{BEFORE_NUMBERS[m[0].strip()]} ",
    ),
    (re.compile(rf"(?<![\w.])(?:{_any_of(BEFORE_NAMES)})(?=\s+{NAME})"), lambda m: BEFORE_NAMES[m[0]]),
    (re.compile(r"(?<=\w )(?:St|Ave|Blvd|Rd)\."), lambda m: STREETS[m[0]]),
    (
        re.compile(rf"\b({'|'.join(month[:3] for month in MONTHS)}|Sept)\.?(?=\s+\d)"),
        lambda m: next(month for month in MONTHS if month.startswith(m[1][:3])),
    ),
    (re.compile(rf"(?<!\w)(?:{_any_of(ABBREVIATIONS)})"), lambda m: ABBREVIATIONS[m[0]]),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,}"), _initials),
    (re.compile(rf"(?<=\b[A-Z])\.(?=\s+(?:[A-Z]\.\s+)*{NAME}[a-z])"), _initial),
    (re.compile(r"\b([CF])#"), r"\1 sharp"),
    (re.compile(r"#(?=\d)"), "number "),
    (re.compile(r"\b[vV](?=\d+\.\d)"), "version "),
    (re.compile(r"(?<![\d'])([3-9])'(1[01]|\d)\"?(?!\d)"), r"\1 foot \2"),
    (
        re.compile(
            r"(?<![\d/-])(?:(?P<iso>\d{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12]\d|3[01])|"
            r"(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>[12]\d{3}))(?![\d/-])"
        ),
        _date,
    ),
    (re.compile(r"(?<![\d-])(?:\+?\d{1,3}[- ])?\(?\d{3}\)?[- ]\d{3}-\d{4}(?![\d-])"), _digits_apart),
    (re.compile(r"\b([Cc]all|[Dd]ial|[Tt]ext) (\d{3})(?![\d,.-]*\d)"), lambda m: f"{m[1]} {each_digit(m[2])}"),
    (re.compile(rf"\b({_ANY_YEAR})\s?-\s?({_YEAR})"), lambda m: f"{year(m[1])} to {year(m[2])}"),
    (re.compile(r"(?<![\w.,])'?(1[1-9]\d0|20\d0|[2-9]0)s\b"), lambda m: decade(m[1])),
    (re.compile(r"\b24/7\b"), "twenty-four seven"),
    (re.compile(r"(?<![\d/.,])(?:(?P<whole>\d+)\s)?(?P<above>\d{1,2})/(?P<below>\d{1,2})(?![\d/])"), _fraction),
    (re.compile(r"\^(\d+)"), _power),
    (re.compile(r"(?<=\d)\s?~\s?(?=\d)"), " to "),
    (re.compile(rf"~\s?(?=[{CURRENCIES}]?\d)"), "about "),
    (re.compile(r"(?<=\d)-(?=\d)"), " to "),
    (re.compile(r"(?<=\d) - (?=\d)|(?<![\w.])-(?=[$€£¥₩]?\d)"), " minus "),
    (
        re.compile(
            rf"(?P<currency>[{CURRENCIES}])\s?(?P<amount>{NUMBER})"
            rf"(?:\s(?P<scale>thousand|million|billion|trillion)\b|(?P<short>{_any_of(SHORT_SCALES)})\b)?"
        ),
        _money,
    ),
    (re.compile(r"(?<=\d):(?=\d)"), " to "),
    (
        re.compile(rf"(?:({NUMBER})\s?)?([½¼¾])?\s?({_any_of(UNITS)})(?![\w²³])(?:\.(?=\s+[a-z(]|\)))?"),
        _measure,
    ),
    (re.compile(rf"({NUMBER})\s?([½¼¾])"), lambda m: f"{cardinal(m[1])} and {SYMBOLS[m[2]]}"),
    (re.compile(r"\d+(?:\.\d+){2,}"), _points),
    (re.compile(r"(\d+)(?:st|nd|rd|th)\b"), lambda m: ordinal(m[1])),
    (re.compile(rf"\b({_MONTH})\s+(\d{{1,2}})(?![\d:])(?!,\d{{3}})"), lambda m: f"{m[1]} {ordinal(m[2])}"),
    (
        re.compile(rf"((?:\b(?:{_ANNOUNCED}|{_MONTH})|(?:first|second|third|th),?)\s+|\()({_YEAR})"),
        lambda m: f"{m[1]}{year(m[2])}",
    ),
    (re.compile(r"(?<=\d)\s?[x×]\s?(?=\d)"), " times "),
    (re.compile(r"(?<=\d)\s?/\s?(?=\d)"), " over "),
    (re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])"), " "),
    (re.compile(NUMBER), lambda m: cardinal(m[0])),
    (re.compile(f"[{re.escape(''.join(SYMBOLS))}]"), lambda m: f" {SYMBOLS[m[0]]} "),
)
