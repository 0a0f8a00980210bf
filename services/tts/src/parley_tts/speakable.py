"""Written text into speakable text: no markup, no symbols that an engine would spell, numbers in words. Pure.

`worker` passes every phrase through `speakable` before an engine sees it. A phrase is a piece of a streamed answer, so
markup may begin in one phrase and end in another. English and Korean numbers are spelled here (`readings` of
the runtime), because engines differ in how well they do it; in other languages digits and symbols are left to
espeak-ng, which reads them in that language. Not here: pronunciation, and cutting answers into phrases.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

import emoji
from markdown_it import MarkdownIt
from markdown_it.token import Token

from parley_runtime.readings import READINGS

_MARKDOWN: Final = (
    MarkdownIt("commonmark", {"maxNesting": 20})
    .enable(["table", "strikethrough"])
    # Lists are taken apart line by line below, which keeps their numbers and copes with half of one; the others
    # mistake indented or dashed speech for structure.
    .disable(["list", "code", "lheading", "html_block", "reference", "hr"])
)
_BULLET: Final = re.compile(r"^\s*(?:[-*+•‣◦▪]\s+|\[[ xX]\]\s+)+")
_NUMBERED: Final = re.compile(r"^\s*\(?(\d{1,3})[.)]\s+(?!\d{3}-\d{4})")
"""The number of an item; (555) 123-4567 is a telephone's."""
_RULE: Final = re.compile(r"^\s*([-*_=])(?:\s*\1){2,}\s*$")
_ENDS: Final = re.compile(r"[.!?,;:。！？…]['\"’”)]*$")

_URL: Final = re.compile(
    r"(?:https?://|www\.)(?:www\.)?([\w-]+(?:\.[\w-]+)+)(?::\d+)?(?:[/?#][^\s<>()\[\]]*?)?"
    r"(?=[.,;:!?]*(?:[\s<>()\[\]]|$))"
)
_HOST: Final = re.compile(
    r"\b[a-zA-Z][\w-]*(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|dev|ai|app|kr|jp|uk|eu|info)(?![a-zA-Z\d_-])"
)
"""A Korean particle may follow at once."""
_EMAIL: Final = re.compile(r"\b([\w+-]+(?:\.[\w+-]+)*)@([\w-]+(?:\.[\w-]+)+)")
_DOT: Final = {"en": "dot", "ko": "점"}
_AT: Final = {"en": "at", "ko": "골뱅이"}

_PUNCTUATION: Final = frozenset(".,!?;:'-")
_FOR_ESPEAK: Final = frozenset("%&+=@$€£¥₩°/")
"""Kept where no reading of ours takes care of them."""
_SAME: Final = str.maketrans(
    {
        **dict.fromkeys("‘’´", "'"),  # noqa: RUF001
        **dict.fromkeys("“”„«»「」『』《》〈〉〝〞", '"'),
        **dict.fromkeys("‐‑‒–−﹣", "-"),  # noqa: RUF001
        **dict.fromkeys("—―", ", "),
        **dict(zip("。、", ".,", strict=True)),
        "\u00ad": "",
        "\u200b": "",
        "\u2060": "",
        "\ufeff": "",
    }
)
_READ_AS_THEY_ARE: Final = re.compile("([²³½¼¾]+)")
"""Normalisation would make plain digits of these."""
_LAUGHTER: Final = re.compile("[ㅋㅎㅠㅜ]{2,}")
"""Letters that are laughed and cried with in Korean; normalisation would make halves of syllables of them."""
_TIMES: Final = re.compile(r"(?<=\d)\s?\*\s?(?=\d)")
"""Markdown would take the asterisks of 2*3*4 for emphasis."""
_MAX_PASSES: Final = 8


def speakable(text: str, language: str) -> str:
    """Return what can be spoken of a text, on one line; empty if there is nothing, as in "🎉" or "---".

    Whatever has a letter or a digit, outside of emoji and of ㅋㅋ and ㅠㅠ, gives something to speak. Speakable text
    comes back unchanged.

    Args:
        text: as a language model writes it.
        language: ISO 639-1, perhaps with a region.
    """
    language = language.partition("-")[0].lower()
    spoken = _pass(text, language) or _pass(_bare(text), language)
    # Taking something away may join what then looks like markup or a number: go on until nothing changes.
    for _ in range(_MAX_PASSES):
        again = _pass(spoken, language)
        if again == spoken:
            break
        spoken = again or _tidy(_bare(spoken), language)
    return spoken


def _pass(text: str, language: str) -> str:
    text = _LAUGHTER.sub(" ", emoji.replace_emoji(text, " "))
    text = "".join(
        part if _READ_AS_THEY_ARE.fullmatch(part) else unicodedata.normalize("NFKC", part)
        for part in _READ_AS_THEY_ARE.split(text)
    )
    text = _plain(_TIMES.sub("×", text.translate(_SAME)))
    text = _EMAIL.sub(lambda m: f"{m[1]} {_AT.get(language, '@')} {_host(m[2], language)}", text)
    text = _URL.sub(lambda m: _host(m[1], language), text)
    text = _HOST.sub(lambda m: _host(m[0], language), text)
    if language in READINGS:
        text = READINGS[language](text)
    return _tidy(text, language)


def _host(host: str, language: str) -> str:
    dot = f" {_DOT[language]} " if language in _DOT else "."
    return dot.join(host.split("."))


def _bare(text: str) -> str:
    """Return only letters and digits, for texts that are nothing but markup of a kind that hides its content."""
    return "".join(character if character.isalnum() else " " for character in emoji.replace_emoji(text, " "))


def _plain(text: str) -> str:
    """Take markdown away. A paragraph, a heading, an item, a row of a table becomes a sentence."""
    sentences: list[str] = []
    for is_block_start, line in _lines(_MARKDOWN.parse(text)):
        if _RULE.match(line):
            continue
        numbered = _NUMBERED.match(line)
        content = _BULLET.sub("", line).strip() if not numbered else f"{numbered[1]}. {line[numbered.end() :]}".strip()
        if not content:
            continue
        begins = is_block_start or numbered is not None or _BULLET.match(line) is not None
        if sentences and begins and not _ENDS.search(sentences[-1]):
            sentences[-1] += "."
        sentences.append(content)
    return " ".join(sentences)


def _lines(tokens: Iterable[Token]) -> Iterator[tuple[bool, str]]:
    """Yield the lines of all blocks, and whether each begins a block; cells of a row share a line."""
    row: list[str] | None = None
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield True, ", ".join(cell for cell in row if cell)
            row = None
        elif token.type == "inline":
            text = "".join(_inline(token.children or []))
            if row is not None:
                row.append(" ".join(text.split()))
                continue
            for number, line in enumerate(text.split("\n")):
                yield number == 0, line


def _inline(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in {"text", "code_inline", "image"}:
            yield token.content
        elif token.type in {"softbreak", "hardbreak"}:
            yield "\n"


def _tidy(text: str, language: str) -> str:
    """Keep letters, digits and the punctuation of speech, in the order and number in which speech has them."""
    symbols = frozenset[str]() if language in READINGS else _FOR_ESPEAK
    kept = "".join(
        character
        if character.isalnum() or character in _PUNCTUATION or character in symbols or _is_mark(character)
        else " "
        for character in text
    )
    kept = re.sub(r"(?<!\w)'|'(?!\w)|(?<=[가-힣])'", " ", kept)  # quotes, but not apostrophes
    kept = re.sub(r"(?<=\w) -+ (?=\w)", ", ", kept)  # a dash: a pause
    kept = re.sub(r"(?<!\w)-+(?!\d)|-+(?!\w)", " ", kept)
    kept = re.sub(r"\s+([.,!?;:])", r"\1", kept)
    kept = re.sub(r"[.,!?;:]{2,}", lambda run: next(mark for mark in "?!.;:," if mark in run[0]), kept)
    kept = re.sub(r"([,!?;])(?=[^\W\d])", r"\1 ", kept)
    kept = " ".join(kept.split()).lstrip(".,!?;: ")
    return kept if any(character.isalnum() for character in kept) else ""


def _is_mark(character: str) -> bool:
    """Whether it belongs to the letter before it, as vowels do in Hindi."""
    return unicodedata.category(character).startswith("M")
