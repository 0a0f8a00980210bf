"""How English reads numbers and symbols, in text without markup. Pure.

Spelled out: whole and decimal numbers, ordinals, years after words that announce one, clock times, ISO dates, money,
percentages, common units, ranges, telephone numbers digit by digit. Anything else with digits is read as numbers.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from num2words import num2words

_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_MOST_DIGITS: Final = 12
"""Longer ones are names rather than amounts, and are read digit by digit."""
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_CURRENCIES: Final = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₩": ("won", "won", "", ""),
}
_UNITS: Final = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "m/s": ("meter per second", "meters per second"),
    "mph": ("mile per hour", "miles per hour"),
    "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters"),
    "m³": ("cubic meter", "cubic meters"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "m": ("meter", "meters"),
    "ft": ("foot", "feet"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "lbs": ("pound", "pounds"),
    "lb": ("pound", "pounds"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "L": ("liter", "liters"),
    "TB": ("terabyte", "terabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "MB": ("megabyte", "megabytes"),
    "KB": ("kilobyte", "kilobytes"),
    "kB": ("kilobyte", "kilobytes"),
    "GHz": ("gigahertz", "gigahertz"),
    "MHz": ("megahertz", "megahertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "Hz": ("hertz", "hertz"),
    "kW": ("kilowatt", "kilowatts"),
    "ms": ("millisecond", "milliseconds"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "%": ("percent", "percent"),
}
_ABBREVIATIONS: Final = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Ms.": "Miz",
    "Dr.": "Doctor",
    "Prof.": "Professor",
}
_SYMBOLS: Final = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "≈": "about",
    "≠": "is not",
    "≤": "at most",
    "≥": "at least",
    "→": "to",
    "@": "at",
    "%": "percent",
    "°": "degrees",
    "²": "squared",
    "³": "cubed",
    "½": "one half",
    "¼": "one quarter",
    "¾": "three quarters",
}


def read(text: str) -> str:
    """Return the text with numbers and symbols in words; text without them comes back unchanged."""
    for pattern, reading in _RULES:
        text = pattern.sub(reading, text)
    return text


def _cardinal(digits: str) -> str:
    """Read `1,234.5`."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    if len(whole) > _MOST_DIGITS or (len(whole) > 1 and whole.startswith("0")):
        words = _each_digit(whole)
    else:
        words = num2words(int(whole)).replace(",", "")
    return f"{words} point {_each_digit(decimals)}" if decimals else words


def _each_digit(digits: str) -> str:
    return " ".join(num2words(int(digit)) for digit in digits)


def _year(digits: str) -> str:
    return str(num2words(int(digits), to="year"))


def _ordinal(digits: str) -> str:
    return str(num2words(int(digits), to="ordinal")).replace(",", "")


def _money(match: re.Match[str]) -> str:
    one, many, one_cent, cents = _CURRENCIES[match["currency"]]
    amount, scale = match["amount"], match["scale"]
    if scale:
        return f" {_cardinal(amount)} {scale} {many} "
    whole, _, fraction = amount.partition(".")
    spoken = f" {_cardinal(whole)} {one if whole == '1' else many} "
    if not fraction.strip("0"):
        return spoken
    if not cents or len(fraction) != 2:  # noqa: PLR2004  # cents have two digits
        return f" {_cardinal(amount)} {many} "
    return f"{spoken}and {_cardinal(str(int(fraction)))} {one_cent if int(fraction) == 1 else cents} "


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), match["minute"]
    half = f" {match['half'][0].upper()} M" if match["half"] else ""
    if minute == "00":
        return _cardinal(str(hour)) + (half or " o'clock")
    spoken = f"oh {_cardinal(minute[1])}" if minute.startswith("0") else _cardinal(minute)
    return f"{_cardinal(str(hour))} {spoken}{half}"


def _hour(match: re.Match[str]) -> str:
    return f"{_cardinal(match[1])} {match[2][0].upper()} M"


def _iso_date(match: re.Match[str]) -> str:
    year, month, day = match.groups()
    return f"{_MONTHS[int(month) - 1]} {_ordinal(day)}, {_year(year)}"


def _measure(match: re.Match[str]) -> str:
    one, many = _UNITS[match[2]]
    return f"{_cardinal(match[1])} {one if match[1] == '1' else many}"


def _digits_apart(match: re.Match[str]) -> str:
    return ", ".join(_each_digit(group) for group in re.findall(r"\d+", match[0]))


def _points(match: re.Match[str]) -> str:
    return " point ".join(_cardinal(part) for part in match[0].split("."))


def _initials(match: re.Match[str]) -> str:
    return " ".join(match[0].replace(".", " ").split()) + ("." if match.end() == len(match.string) else "")


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]
_MONTH: Final = _any_of(_MONTHS)
_RULES: Final[tuple[_Rule, ...]] = (
    (re.compile(rf"(?<!\w)(?:{_any_of(_ABBREVIATIONS)})"), lambda m: _ABBREVIATIONS[m[0]]),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,}"), _initials),
    (re.compile(r"\b([CF])#"), r"\1 sharp"),
    (re.compile(r"#(?=\d)"), "number "),
    (re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b"), _iso_date),
    (re.compile(r"(?<![\d-])(?:\+?\d{1,3}[- ])?\(?\d{3}\)?[- ]\d{3}-\d{4}(?![\d-])"), _digits_apart),
    (re.compile(r"(?<=\d)-(?=\d)"), " to "),
    (re.compile(r"(?<=\d) - (?=\d)|(?<![\w.])-(?=[$€£¥₩]?\d)"), " minus "),
    (
        re.compile(
            rf"(?P<currency>[{''.join(_CURRENCIES)}])\s?(?P<amount>{_NUMBER})"
            r"(?:\s(?P<scale>thousand|million|billion|trillion)\b)?"
        ),
        _money,
    ),
    (
        re.compile(
            r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:])(?:\s?(?P<half>[AaPp])\.?[Mm]\b\.?)?"
        ),
        _clock,
    ),
    (re.compile(r"(?<![\d:.,])(1[0-2]|[1-9])\s?([AaPp]\.?[Mm])\b\.?"), _hour),
    (re.compile(r"(?<=\d):(?=\d)"), " to "),
    (re.compile(rf"({_NUMBER})\s?({_any_of(_UNITS)})(?![\w²³])"), _measure),
    (re.compile(r"\d+(?:\.\d+){2,}"), _points),
    (re.compile(r"(\d+)(?:st|nd|rd|th)\b"), lambda m: _ordinal(m[1])),
    (re.compile(rf"\b({_MONTH})\s+(\d{{1,2}})(?![\d:])(?!,\d{{3}})"), lambda m: f"{m[1]} {_ordinal(m[2])}"),
    (
        re.compile(
            rf"((?:\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Ff]rom|[Bb]efore|[Aa]fter|[Yy]ear|{_MONTH})|"
            r"(?:first|second|third|th),?)\s+)(1[1-9]\d\d|20\d\d)(?![\d,.]*\d)"
        ),
        lambda m: f"{m[1]}{_year(m[2])}",
    ),
    (re.compile(r"(?<=\d)\s?[x×]\s?(?=\d)"), " times "),
    (re.compile(r"(?<=\d)\s?/\s?(?=\d)"), " over "),
    (re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])"), " "),
    (re.compile(_NUMBER), lambda m: _cardinal(m[0])),
    (re.compile(f"[{re.escape(''.join(_SYMBOLS))}]"), lambda m: f" {_SYMBOLS[m[0]]} "),
)
