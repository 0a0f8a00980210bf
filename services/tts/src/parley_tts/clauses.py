"""Text into clauses and breaths: what a voice is given at once. Pure; called by engines that need phonemes.

A phonemizer takes clauses, because punctuation is a phoneme to a Piper voice but silence to espeak-ng. A breath is what
a model must see at once: a sentence, or a part of a long one. Short breaths bound how long a first sound takes, how
long an interrupt waits, and memory.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_BREATH_CHARS: Final = 120
"""About 6 s of English. A breath of so many has its first sound 60 ms later than one of 60, and takes 4 MB more
(decision 0016); most sentences have no pause then that nobody wrote."""

_ENDINGS: Final = {
    **dict(zip(".!?,;:", ".!?,;:", strict=True)),
    **dict(zip("…。！？，、；：", "..!?,,;:", strict=True)),
}
_CLAUSE: Final = re.compile(rf"(.+?)(?:([{''.join(_ENDINGS)}])[{''.join(_ENDINGS)}\"'”’)\]]*(?:\s+|$)|$)", re.DOTALL)
_JOINT: Final = re.compile(
    r" (?=(?:and|or|but|so|that|which|who|where|when|while|because|if|than|as|with|without|for|from|to|of|in|on|at|by|"
    r"into|about|over|through)\b)"
)
"""Where English may breathe although nothing is written."""
_SENTENCE_ENDS: Final = frozenset(".!?")


class Clause(NamedTuple):
    """Words without a pause, and the punctuation that follows: one of `.!?,;:`."""

    words: str
    ending: str


Breath = tuple[Clause, ...]


def breaths(text: str, *, max_chars: int = MAX_BREATH_CHARS) -> list[Breath]:
    """Cut text into breaths; empty for text without a letter or digit."""
    result: list[list[Clause]] = []
    length = 0
    for clause in _clauses(text, max_chars):
        is_new_sentence = not result or result[-1][-1].ending in _SENTENCE_ENDS
        if is_new_sentence or length + len(clause.words) > max_chars:
            result.append([])
            length = 0
        result[-1].append(clause)
        length += len(clause.words) + 1
    return [tuple(breath) for breath in result]


def _clauses(text: str, max_chars: int) -> Iterator[Clause]:
    for match in _CLAUSE.finditer(" ".join(text.split())):
        words, ending = match[1].strip(), _ENDINGS[match[2] or "."]
        if any(character.isalnum() for character in words):
            *head, tail = _cut(words, max_chars)
            yield from (Clause(piece, ",") for piece in head)
            yield Clause(tail, ending)


def _cut(words: str, max_chars: int) -> Iterator[str]:
    """Cut a clause that nobody can say in one breath between words, or anywhere if it has none."""
    while len(words) > max_chars:
        joints = [joint.start() for joint in _JOINT.finditer(words, max_chars // 2, max_chars + 1)]
        at = joints[-1] if joints else words.rfind(" ", 1, max_chars + 1)
        at = at if at > 0 else max_chars
        yield words[:at].strip()
        words = words[at:].strip()
    yield words
