"""Korean particles that follow a number or a foreign word: which of two forms the reading's last sound asks for. Pure.

"GPU을" and "2은" were written for another reading; "3은" was right and stays. `korean` puts `READ` behind all that
it has read, because only there the sound was not in the writing.
"""

import re
from typing import Final

READ: Final = "\ue000"
"""Stands between a reading and what was written right behind it; a private-use character, so nobody else's."""

_PAIRS: Final = (
    ("은", "는"),
    ("이", "가"),
    ("을", "를"),
    ("과", "와"),
    ("으로", "로"),
    ("이랑", "랑"),
    ("이나", "나"),
    ("이라고", "라고"),
    ("이라는", "라는"),
    ("이라서", "라서"),
    ("이란", "란"),
    ("이야", "야"),
    ("이에요", "예요"),
    ("이었다", "였다"),
    ("이었어요", "였어요"),
    ("이었습니다", "였습니다"),
)
"""After a consonant, after a vowel."""
_MAY_FOLLOW: Final = "(?:도|만|는|써|서|부터|까지|의)?"
"""What is added to 으로, and leaves the choice as it is: 로도, 로는, 로써."""
_PAIR_OF: Final = {form: pair for pair in _PAIRS for form in pair}
_FORM: Final = "|".join(sorted(_PAIR_OF, key=len, reverse=True))
_PARTICLE: Final = re.compile(rf"([가-힣]){READ}(?:(으로|로)(?={_MAY_FOLLOW}(?![가-힣]))|({_FORM})(?![가-힣]))")
_STREET_OR_LESSON: Final = re.compile(
    rf"([가-힣](?:로|동)\s?[일이삼사오육칠팔구십]+){READ}(가)(?![가-힣])|{READ}(과)(?!\s\S*{READ})"
)
"""종로 3가 is a street; 5과 is a lesson unless another number or foreign word follows (5와 6)."""
_FIRST, _FINALS, _RIEUL = ord("가"), 28, 8


def fit(text: str) -> str:
    """Return the text with the particles behind every `READ` in the form that sounds right, and without `READ`."""
    text = _STREET_OR_LESSON.sub(lambda m: f"{m[1] or ''}{m[2] or m[3]}", text)
    return _PARTICLE.sub(_fitting, text).replace(READ, "")


def _fitting(match: re.Match[str]) -> str:
    after_consonant, after_vowel = _PAIR_OF[match[2] or match[3]]
    final = (ord(match[1]) - _FIRST) % _FINALS
    takes_vowel_form = final == 0 or (final == _RIEUL and after_vowel == "로")
    return match[1] + (after_vowel if takes_vowel_form else after_consonant)
