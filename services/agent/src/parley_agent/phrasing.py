"""Text as it streams from the model, cut into phrases that can be spoken. Pure; called by `turns`.

The first phrase may end at a clause, so that the voice starts early; later ones end at sentences, which sound better.
Nothing is lost or changed: the phrases and the rest, joined, are the text. Making text speakable is the tts service's.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_MIN_CLAUSE_CHARS: Final = 12
"""A first phrase shorter than this starts the voice a moment earlier and leaves a gap after it."""
_MIN_KOREAN_CLAUSE_CHARS: Final = 6
"""Hangul says about twice as much per character."""
_MAX_PHRASE_CHARS: Final = 240
"""A sentence without an end is cut at a space: about 15 s of speech."""

_SENTENCE_END: Final = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s)|\n")
_CLAUSE_END: Final = re.compile(r"[,;:—–][\"'”’)\]]*(?=\s)|[，、；：]")


def _syllables(*, vowels: Iterable[int] = range(21), final: int) -> str:
    """Return Hangul syllables by the numbers that Unicode (section 3.12) gives their parts, for a character class."""
    return "".join(chr(0xAC00 + (lead * 21 + vowel) * 28 + final) for lead in range(19) for vowel in vowels)


_WITH_B: Final = _syllables(final=17)
"""합니까 asks, but 하니까 gives a reason."""
_WITH_SS: Final = _syllables(final=20)
"""The past and the future: 왔다, 가겠다; all else before 다 may be another word."""
_OPEN: Final = _syllables(vowels=(0, 1, 4, 6, 9, 10, 14), final=0)
"""As verbs end before 서: 가서, 해서, 막혀서; but 에서, 께서 and 로서 are particles."""
_KOREAN_SENTENCE_END: Final = re.compile(
    rf"(?:니다|[{_WITH_B}]니까|(?<=[가-힣])(?<![필중수주소강개동민])요|죠|[{_WITH_SS}]다|구나|잖아|거야)~*(?=\s)"
)
"""Endings of the polite and formal styles, and of plain ones what is no other word. 필요, 중요, … are nouns."""
_KOREAN_CLAUSE_END: Final = re.compile(
    rf"(?:[은는인한던]데|(?<!가)운데|지만|니까|면서|[{_OPEN}]서|으니|므로|"
    r"(?:으|하|되|오|가|보|이|다|려|시|지|리|이라)면|[하으이]며|거나|도록|다가|더니|때문에)(?=\s)|"
    r"[가-힣](?<!려)고(?=\s+(?!있|싶|나서|계|말|보)\S)|려고(?=\s+(?![하해했한합할])\S)|"
    r"[아어해러려]도(?=\s+(?![되돼된될됩괜좋])\S)"
)
"""Connective endings. 하고 있다, 하려고 하다, 해도 되다 are one verb each: for those the next word is waited for."""
_KOREAN_NUMBER: Final = re.compile(r"\d\.$")
"""2026. 11. 27. is a date; a Korean sentence ends with a verb."""
_QUOTED_ON: Final = re.compile(r"[\"'”’]\s+(?:(?:이?라?|하)$|(?:이?라|하)[고는며])")
"""A quotation that the sentence goes on from (… 라고 했어요), or may."""
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|approx|No|Inc|Ltd|Corp|e\.g|i\.e|a\.m|p\.m|[A-Z]|\d{1,2})\.$"
)


class Phrase(NamedTuple):
    """A piece of the reply, with the spaces it came with."""

    text: str
    ends_sentence: bool


class Cut(NamedTuple):
    """What can be spoken now, and what has to wait for more text."""

    phrases: tuple[Phrase, ...]
    rest: str


def cut(text: str, *, is_first: bool, language: str) -> Cut:
    """Cut complete phrases off the front of a growing text.

    Args:
        text: what has arrived and was not cut off yet; an end counts only once the character after it is known.
        is_first: whether the reply has no phrase yet.
        language: ISO 639 code; `ko` also ends phrases at its sentence and connective endings.
    """
    phrases: list[Phrase] = []
    while found := _next_end(text, is_first=is_first and not phrases, is_korean=language == "ko"):
        end, ends_sentence = found
        phrases.append(Phrase(text[:end], ends_sentence))
        text = text[end:]
    return Cut(tuple(phrases), text)


def _next_end(text: str, *, is_first: bool, is_korean: bool) -> tuple[int, bool] | None:
    """Return where the next phrase ends and whether a sentence ends there too; None if neither is known yet."""
    sentence = _sentence_end(text, is_korean=is_korean)
    if is_first:
        clause = _clause_end(text, is_korean=is_korean)
        if clause is not None and (sentence is None or clause < sentence):
            return clause, False
    if sentence is not None:
        return sentence, True
    if len(text) > _MAX_PHRASE_CHARS:
        return (text.rfind(" ", 1, _MAX_PHRASE_CHARS) + 1) or _MAX_PHRASE_CHARS, False
    return None


def _sentence_end(text: str, *, is_korean: bool) -> int | None:
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if _is_sentence(text[: match.end()])]
    if is_korean:
        ends = [end for end in ends if not _KOREAN_NUMBER.search(text[:end]) and not _QUOTED_ON.match(text, end - 1)]
        ends += [match.end() for match in _KOREAN_SENTENCE_END.finditer(text)]
    return min(ends, default=None)


def _is_sentence(candidate: str) -> bool:
    """Tell a sentence from an abbreviation, an initial, a list's number or bare punctuation."""
    return any(character.isalnum() for character in candidate) and not _ABBREVIATION.search(candidate)


def _clause_end(text: str, *, is_korean: bool) -> int | None:
    ends = [match.end() for match in _CLAUSE_END.finditer(text)]
    if is_korean:
        ends += [match.end() for match in _KOREAN_CLAUSE_END.finditer(text)]
    shortest = _MIN_KOREAN_CLAUSE_CHARS if is_korean else _MIN_CLAUSE_CHARS
    return min((end for end in ends if len(text[:end].strip()) >= shortest), default=None)
