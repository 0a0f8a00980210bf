"""Finds the loops a decoder falls into, and cuts or refuses them. Pure; called by `judging` on every decoded window.

Whisper on noise, on a short encoder window or on a long pause may say the same thing until its token limit. People
repeat themselves too ("no, no, no"), so a loop is only what nobody says that often. Not here: how many tokens a
decode may take at all (`engines.whisper.max_length`) and silence (`judging`).
"""

import re
import zlib
from typing import Final, NamedTuple

_LONGEST_UNIT: Final = 24
"""Words in the longest phrase that is looked for; loops of whole sentences are rarely longer."""
_REFUSED_COMPRESSION_RATIO: Final = 2.4
"""OpenAI Whisper's threshold for a failed decode (`compression_ratio_threshold`): zlib on what is left."""
_JUDGED_BYTES: Final = 160
"""Shorter texts compress well for honest reasons: somebody said a sentence three times."""
_STUTTER: Final = re.compile(r"(\S{1,12}?)\1{7,}")
"""Eight rounds and more inside a word: `----`, `hahaha`, `f-f-f-`."""
_STUTTER_CHARACTERS: Final = 16
"""Shorter ones may be said: eight zeros of a telephone number."""

CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Ranges of characters of scripts without spaces between words: kana and Han."""
WORDS: Final = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
"""Words; in scripts without spaces between words (Chinese, Japanese) single characters."""
_MARKS: Final = re.compile(r"[\W_]+")


class Unlooped(NamedTuple):
    """A text without its loops."""

    text: str
    """Empty if the text was refused."""
    had_loop: bool
    is_refused: bool


def normalized(word: str) -> str:
    """What is compared of a word: letters and digits, whatever their case; a bare mark stays itself."""
    return _MARKS.sub("", word).casefold() or word


def unloop(text: str) -> Unlooped:
    """Cut each loop down to its first round; refuse a text that repeats itself even then.

    What stood before and after a loop stays. A last round that the token limit broke off goes with the loop.
    """
    steady = _STUTTER.sub(_first_round, text)
    result = _without_repeated_words(steady)
    if len(result.encode()) >= _JUDGED_BYTES and compression_ratio(result) > _REFUSED_COMPRESSION_RATIO:
        return Unlooped("", had_loop=True, is_refused=True)
    return Unlooped(result, had_loop=result != text.strip(), is_refused=False)


def _first_round(stutter: re.Match[str]) -> str:
    return stutter[0] if len(stutter[0]) < _STUTTER_CHARACTERS else stutter[1]


def _without_repeated_words(text: str) -> str:
    spans = [match.span() for match in WORDS.finditer(text)]
    words = [normalized(text[start:end]) for start, end in spans]
    kept: list[str] = []
    position = written = 0
    while position < len(words):
        loop = _loop_at(words, position)
        if loop is None:
            position += 1
            continue
        unit, rounds = loop
        kept.append(text[written : spans[position + unit - 1][1]])
        position += unit * rounds
        broken_off = words[position:]
        if len(broken_off) < unit and broken_off == words[position - unit : position - unit + len(broken_off)]:
            position = len(words)
        written = spans[position - 1][1]
    kept.append(text[written:])
    return "".join(kept).strip()


def _loop_at(words: list[str], start: int) -> tuple[int, int] | None:
    """Words in the shortest phrase that loops from `start`, and how many rounds of it there are."""
    for unit in range(1, min(_LONGEST_UNIT, (len(words) - start) // 2) + 1):
        phrase = words[start : start + unit]
        rounds = 1
        while words[start + rounds * unit : start + (rounds + 1) * unit] == phrase:
            rounds += 1
        if rounds >= _rounds_of_a_loop(unit):
            return unit, rounds
    return None


def _rounds_of_a_loop(unit: int) -> int:
    """How often a phrase of so many words is said before it is taken for a loop.

    Chosen above what people do: "no no no no no no", "very, very", "I don't know, I don't know, I don't know".
    """
    return {1: 8, 2: 5}.get(unit, 4)


def compression_ratio(text: str) -> float:
    """How many times shorter zlib makes the text: about 1 for speech, 2.4 and more for what repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
