"""Text for comparing: what sounds alike is written alike. Pure; one function for a language, all of one shape.

Both sides are read aloud first (`parley_runtime.readings`): digits become words, because words do not become digits
without guessing (일 is one, a day and work). Then case, punctuation and how characters are composed stop to matter.
Spelling does matter: "colour" and "color" differ, "don't" and "do not" too.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from parley_runtime.readings import READINGS

Normaliser = Callable[[str], str]
"""Returns a text for comparing: lower case, words with one space between them, no punctuation."""

_APOSTROPHES: Final = str.maketrans(dict.fromkeys("’‘`", "'"))
_NO_WORD: Final = re.compile(r"[^\w\s']|_")
_QUOTE: Final = re.compile(r"(?<!\w)'|'(?!\w)")

_UNITS: Final = "one|two|three|four|five|six|seven|eight|nine"
_BELOW_HUNDRED: Final = (
    rf"{_UNITS}|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|"
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
)
_AND: Final = re.compile(rf"\b(hundred|thousand|million) and (?=(?:{_BELOW_HUNDRED})\b)")
_A_HUNDRED: Final = re.compile(r"\ba (?=(?:hundred|thousand|million|billion)\b)")
_SPELLED: Final[Mapping[str, str]] = {"ok": "okay", "mr": "mister", "mrs": "missus", "dr": "doctor"}
_WORD: Final = re.compile(rf"\b(?:{'|'.join(_SPELLED)})\b")


def normaliser(language: str) -> Normaliser:
    """Return the normaliser of a language (ISO 639-1, perhaps with a region)."""
    return _NORMALISERS.get(language.partition("-")[0].lower(), _plain)


def _plain(text: str) -> str:
    """Return the words of a text of any language."""
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    return " ".join(_QUOTE.sub(" ", _NO_WORD.sub(" ", text)).split())


def _english(text: str) -> str:
    """Read numbers, and take a hundred and five for one hundred five."""
    words = _plain(READINGS["en"](unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)))
    words = _A_HUNDRED.sub("one ", _AND.sub(r"\1 ", words))
    return _WORD.sub(lambda m: _SPELLED[m[0]], words)


def _korean(text: str) -> str:
    """Read numbers and foreign words: 3개 is 세 개, AI is 에이아이."""
    return _plain(READINGS["ko"](unicodedata.normalize("NFKC", text)))


_NORMALISERS: Final[Mapping[str, Normaliser]] = {"en": _english, "ko": _korean}
