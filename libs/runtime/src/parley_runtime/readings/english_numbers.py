"""English words for numbers: amounts, digits, ordinals, years, decades, fractions, money. Pure; used by `english`."""

from typing import Final

from num2words import num2words

NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
"""An amount, with or without commas."""
_MOST_DIGITS: Final = 12
"""Longer ones are names rather than amounts, and are read digit by digit; commas say that it is an amount."""
_MOST_DIGITS_WITH_COMMAS: Final = 18
_CURRENCIES: Final = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₩": ("won", "won", "", ""),
}
CURRENCIES: Final = "".join(_CURRENCIES)
_SCALES: Final = {"K": "thousand", "k": "thousand", "M": "million", "B": "billion", "bn": "billion"}
SHORT_SCALES: Final = tuple(_SCALES)
_PARTS: Final = {
    2: ("half", "halves"),
    3: ("third", "thirds"),
    4: ("quarter", "quarters"),
    5: ("fifth", "fifths"),
    6: ("sixth", "sixths"),
    8: ("eighth", "eighths"),
    10: ("tenth", "tenths"),
    16: ("sixteenth", "sixteenths"),
}
"""What recipes and rulers are divided into; of anything else nobody knows whether it is a fraction."""
_ROMAN: Final = {"X": 10, "IX": 9, "V": 5, "IV": 4, "I": 1}


def cardinal(digits: str) -> str:
    """Read `1,234.5`."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    most_digits = _MOST_DIGITS_WITH_COMMAS if "," in digits else _MOST_DIGITS
    if len(whole) > most_digits or (len(whole) > 1 and whole.startswith("0")):
        words = each_digit(whole)
    else:
        words = num2words(int(whole)).replace(",", "")
    return f"{words} point {each_digit(decimals)}" if decimals else words


def each_digit(digits: str) -> str:
    """Read `911` as nine one one."""
    return " ".join(num2words(int(digit)) for digit in digits)


def ordinal(digits: str) -> str:
    """Read `21` as twenty-first."""
    return str(num2words(int(digits), to="ordinal")).replace(",", "")


def year(digits: str) -> str:
    """Read `1990` as nineteen ninety."""
    return str(num2words(int(digits), to="year"))


def decade(digits: str) -> str:
    """Read the `1990` or `90` of 1990s: nineteen nineties, nineties."""
    words = year(digits) if len(digits) == 4 else cardinal(digits)  # noqa: PLR2004  # with its century
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def fraction(above: str, below: str) -> str | None:
    """Read `3/4` as three quarters; None for what may be anything else."""
    one, many = _PARTS.get(int(below), ("", ""))
    if not one or not 0 < int(above) < int(below):
        return None
    return f"{cardinal(above)} {one if above == '1' else many}"


def money(currency: str, amount: str, scale: str) -> str:
    """Read `$`, `3.50` and nothing, `million` or `M`."""
    one, many, one_cent, cents = _CURRENCIES[currency]
    if scale:
        return f"{cardinal(amount)} {_SCALES.get(scale, scale)} {many}"
    whole, _, part = amount.partition(".")
    spoken = f"{cardinal(whole)} {one if whole == '1' else many}"
    if not part.strip("0"):
        return spoken
    if not cents or len(part) != 2:  # noqa: PLR2004  # cents have two digits
        return f"{cardinal(amount)} {many}"
    return f"{spoken} and {cardinal(str(int(part)))} {one_cent if int(part) == 1 else cents}"


def roman(numeral: str) -> str:
    """Return the digits of a Roman numeral up to XXXIX."""
    number = 0
    while numeral:
        sign = next(sign for sign in sorted(_ROMAN, key=len, reverse=True) if numeral.startswith(sign))
        number += _ROMAN[sign]
        numeral = numeral.removeprefix(sign)
    return str(number)
