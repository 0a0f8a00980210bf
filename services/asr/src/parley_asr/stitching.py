"""Joins the texts of successive windows into one, without a doubled or a lost word. Pure; called by `hearing`.

Windows cut at a pause are simply joined: a word that stands on both sides was said twice. Windows that share sound
may both have heard the words in it, one of them as a fragment; each such word is kept once, in its longer form.
Not here: where to cut (`windows`).
"""

import math
import re
from typing import Final

from parley_asr.loops import CJK, WORDS, normalized

_WORDS_PER_S: Final = 8
"""Upper bound of what fits into shared sound: fast English is 6 words a second, fast Japanese 8 characters."""
_SHORTEST_FRAGMENT: Final = 3
"""Letters, where nothing else speaks for it: a shorter beginning is often a word of its own ("in | interesting")."""
_NO_CHANCE: Final = 6
_LETTERS_PER_S: Final = 25
"""Fast English."""
_UNSPACED: Final = re.compile(f"[{CJK}、。！？]")
_BROKEN_OFF: Final = " .…-–—"
"""Marks that an engine puts where the sound ends, as if the sentence ended there."""


def stitch(before: str, after: str, *, shared_s: float) -> str:
    """Join the text so far with that of the next window, which heard the last `shared_s` seconds again."""
    before, after = before.strip(), after.strip()
    if not before or not after:
        return before or after
    if shared_s > 0:
        before, after = without_doubles(before, after, shared_s=shared_s)
    if not before or not after:
        return before or after
    if _UNSPACED.match(before[-1]) and _UNSPACED.match(after[0]):
        return before + after
    return f"{before} {after}"


def without_doubles(before: str, after: str, *, shared_s: float) -> tuple[str, str]:
    """Take the words that both windows heard out of one of them; what is left of either may be empty."""
    before = before.rstrip(_BROKEN_OFF)
    left, right = list(WORDS.finditer(before)), list(WORDS.finditer(after))
    most = math.ceil(shared_s * _WORDS_PER_S) + 1
    for count in range(min(most, len(left), len(right)), 0, -1):
        ending = [normalized(word[0]) for word in left[-count:]]
        beginning = [normalized(word[0]) for word in right[:count]]
        if not (_is_same(ending, beginning) or _is_broken_off(ending, beginning, shared_s)):
            continue
        if len(ending[0]) > len(beginning[0]):
            # The later window heard only the end of its first word: that one stays with the earlier window.
            return f"{before[: left[-count].end()]}", after[right[0].end() :].strip()
        return before[: left[-count].start()].rstrip(), after
    return before, after


def _is_same(ending: list[str], beginning: list[str]) -> bool:
    """Whether two runs are the same words; sound may have cut off the first one's head and the last one's tail."""
    if len(ending) == 1:
        return _is_headless(beginning[0], ending[0]) or _is_tailless(ending[0], beginning[0])
    shortest = 1 if ending[:-1] == beginning[:-1] else _SHORTEST_FRAGMENT
    return (
        _is_headless(beginning[0], ending[0])
        and ending[1:-1] == beginning[1:-1]
        and _is_tailless(ending[-1], beginning[-1], shortest=shortest)
    )


def _is_broken_off(ending: list[str], beginning: list[str], shared_s: float) -> bool:
    """Whether two runs are the same words but for the last, of which the earlier window heard some beginning wrongly.

    "it to the f | it to the beach": what is the same must be long enough to be no chance, and short enough to have been
    said in the shared sound.
    """
    letters = sum(map(len, ending[:-1]))
    return ending[:-1] == beginning[:-1] and _NO_CHANCE <= letters <= shared_s * _LETTERS_PER_S


def _is_headless(part: str, word: str) -> bool:
    return part == word or (len(part) >= _SHORTEST_FRAGMENT and word.endswith(part))


def _is_tailless(part: str, word: str, *, shortest: int = _SHORTEST_FRAGMENT) -> bool:
    return part == word or (len(part) >= shortest and word.startswith(part))
