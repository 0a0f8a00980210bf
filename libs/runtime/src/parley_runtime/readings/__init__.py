"""How a language says what is written: numbers, symbols and names become words. Pure.

`parley_tts.speakable` has texts read before a voice gets them; `parley eval` reads transcripts and references alike, so
that "3개" and "세 개" are the same. One module for a language, each with the one function `read`; text without anything
to read comes back unchanged.
"""

from collections.abc import Callable, Mapping
from typing import Final

from parley_runtime.readings import english, korean

Reading = Callable[[str], str]

READINGS: Final[Mapping[str, Reading]] = {"en": english.read, "ko": korean.read}
"""By ISO 639-1 code."""
