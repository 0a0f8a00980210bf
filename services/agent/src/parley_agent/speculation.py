"""What is worth doing before it is certain that a speaker has finished. Pure; called by `turns`."""

import unicodedata
from typing import Final

_NEW_WORDS: Final = 3
"""Fewer new words than this are not worth a request: the template around them is as long."""


def agree(guess: str, said: str) -> bool:
    """Whether two transcripts are the same question: case, spaces (Korean spacing varies) and punctuation aside."""
    return _bare(guess) == _bare(said)


def _bare(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in normal if character.isalnum())


def stable(before: str, now: str) -> str:
    """Return the words at the front that two successive partials have in common: they will hardly change any more.

    LocalAgreement-2 (Liu et al. 2020, as in ufal/whisper_streaming), by words.
    """
    pairs = zip(before.split(), now.split(), strict=False)
    agreed = []
    for old, new in pairs:
        if old != new:
            break
        agreed.append(new)
    return " ".join(agreed)


def is_worth_warming(warmed: str, words: str) -> bool:
    """Whether enough words came since the model's prefix was warmed last."""
    return len(words.split()) >= len(warmed.split()) + _NEW_WORDS
