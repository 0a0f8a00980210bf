"""Text as it streams from the model, cut into phrases that can be spoken. Pure; called by `turns`.

The first phrase may end at a clause, so that the voice starts early; later ones end at sentences, which sound better.
Nothing is lost or changed: the phrases and the rest, joined, are the text. Making text speakable is the tts service's.
"""

import re
from typing import Final, NamedTuple

from parley_contract.endings import korean

_MIN_CLAUSE_CHARS: Final = 12
"""A first phrase shorter than this starts the voice a moment earlier and leaves a gap after it."""
_MIN_KOREAN_CLAUSE_CHARS: Final = 6
"""Hangul says about twice as much per character."""
_MAX_PHRASE_CHARS: Final = 240
"""A sentence without an end is cut at a space: about 15 s of speech."""

_SENTENCE_END: Final = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s)|\n")
_CLAUSE_END: Final = re.compile(r"(?:[;:—–]|(?<!\d),|(?<=\d),(?=\s+[^\s\d]))[\"'”’)\]]*(?=\s)|[，、；：]")
"""Between numbers a comma may stand in a date, as in May 5, 1990."""
_COMMA_AT_THE_END: Final = re.compile(r"(?<=[^\W\d_])[,;][\"'”’)\]]*\Z")
"""A comma behind a letter ends a clause whatever comes next; to wait for that costs the first sound a token's time."""

_KOREAN_SENTENCE_END: Final = re.compile(rf"{korean.SENTENCE_END}~*(?=\s)")
_KOREAN_CLAUSE_END: Final = re.compile(
    rf"{korean.CLAUSE_END}(?=\s)|"
    r"[가-힣](?<![려다라자냐])고(?=\s+(?!있|싶|나서|계|말|보)\S)|려고(?=\s+(?![하해했한합할])\S)|"
    r"[아어해러려]도(?=\s+(?![되돼된될됩괜좋])\S)"
)
"""Connective endings. 하고 있다, 하려고 하다, 해도 되다 are one verb each: for those the next word is waited for. So is
what -다고, -라고, -자고, -냐고 quote, with whoever says it."""
_KOREAN_NUMBER: Final = re.compile(r"\d\.$")
"""2026. 11. 27. is a date; a Korean sentence ends with a verb."""
_QUOTED_ON: Final = re.compile(r"[\"'”’]\s+(?:(?:이?라?|하)$|(?:이?라|하)[고는며])")
"""A quotation that the sentence goes on from (… 라고 했어요), or may."""
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\"'“])(?:Mr|Mrs|Ms|Dr|Prof|Gen|Sen|Gov|Rep|Capt|Col|Lt|Sgt|Rev|St|Mt|vs|e\.g|i\.e|approx|Nos?|Fig|Vol|Ch|pp|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
"""Something always follows it."""
_LAST_PERHAPS: Final = re.compile(
    r"\d\s?(?:tbsp|tsp|oz|lbs?|hrs?|mins?|secs?|ft|mi|qt|gal)\.$|"
    r"(?:^|[\s(\"'“])(?:Sr|Jr|etc|Inc|Ltd|Corp|Ph\.D|(?:[A-Za-z]\.)*[A-Z]|(?:[a-z]\.)+[a-z])\.[\"'”’)\]]*$"
)
"""Abbreviations and initials that a sentence may end with: whether it does, the next word says."""
_BEGINS_A_SENTENCE: Final = re.compile(
    r"\s+(?:An?|And|At|But|For|He|Here|How|I|If|In|It|On|She|So|That|The|Then|There|These|They|This|Those|We|What|When|"
    r"Where|Who|Why|Would|You|Your)(?:'\w+)?[\s,]"
)
_ITEM_NUMBER: Final = re.compile(r"(?:^|[\n:;,])\s*\(?\d{1,2}\.$")
_NUMBER: Final = re.compile(r"(?:^|[\s(])\d{1,2}\.$")
"""In many languages that number things with a dot, any small number."""


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
        text: what has arrived and was not cut off yet; an end counts only once the character after it is known, but
            for a first phrase's comma.
        is_first: whether the reply has no phrase yet.
        language: ISO 639 code; `ko` also ends phrases at its sentence and connective endings.
    """
    phrases: list[Phrase] = []
    while found := _next_end(text, language, is_first=is_first and not phrases):
        end, ends_sentence = found
        phrases.append(Phrase(text[:end], ends_sentence))
        text = text[end:]
    return Cut(tuple(phrases), text)


def _next_end(text: str, language: str, *, is_first: bool) -> tuple[int, bool] | None:
    """Return where the next phrase ends and whether a sentence ends there too; None if neither is known yet."""
    sentence = _sentence_end(text, language)
    if is_first:
        clause = _clause_end(text, is_korean=language == "ko")
        if clause is not None and (sentence is None or clause < sentence):
            return clause, False
    if sentence is not None:
        return sentence, True
    if len(text) > _MAX_PHRASE_CHARS:
        return (text.rfind(" ", 1, _MAX_PHRASE_CHARS) + 1) or _MAX_PHRASE_CHARS, False
    return None


def _sentence_end(text: str, language: str) -> int | None:
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if _is_sentence(text, match.end(), language)]
    if language == "ko":
        ends = [end for end in ends if not _KOREAN_NUMBER.search(text[:end]) and not _QUOTED_ON.match(text, end - 1)]
        ends += [match.end() for match in _KOREAN_SENTENCE_END.finditer(text)]
    return min(ends, default=None)


def _is_sentence(text: str, end: int, language: str) -> bool:
    """Tell a sentence from an abbreviation, an initial, a list's number or bare punctuation."""
    candidate = text[:end]
    if not any(character.isalnum() for character in candidate) or _ABBREVIATION.search(candidate):
        return False
    if (_ITEM_NUMBER if language == "en" else _NUMBER).search(candidate):
        return False
    return not _LAST_PERHAPS.search(candidate) or _BEGINS_A_SENTENCE.match(text, end) is not None


def _clause_end(text: str, *, is_korean: bool) -> int | None:
    ends = [match.end() for pattern in (_CLAUSE_END, _COMMA_AT_THE_END) for match in pattern.finditer(text)]
    if is_korean:
        ends += [match.end() for match in _KOREAN_CLAUSE_END.finditer(text)]
    shortest = _MIN_KOREAN_CLAUSE_CHARS if is_korean else _MIN_CLAUSE_CHARS
    return min((end for end in ends if len(text[:end].strip()) >= shortest), default=None)
