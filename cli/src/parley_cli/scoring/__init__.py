"""How far a transcript is from what was said: word and character error rates. Pure; `parley eval` and tests use it.

    score = scored("사과 3개", "사과 세 개", language="ko")
    score.words.rate, score.characters.rate

Texts are normalised first (`normalising`), so that only what sounds different counts. The rate of many texts is the sum
of their edits over the sum of their lengths, which is what `+` gives, and not the mean of their rates.
"""

import msgspec
from rapidfuzz.distance import Levenshtein

from parley_cli.scoring.normalising import normaliser


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """The fewest changes that make the hypothesis of the reference, and the reference's length."""

    length: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0

    @property
    def count(self) -> int:
        """All changes."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Changes per word or character of the reference, more than 1 for much that nobody said; None without one."""
        return self.count / self.length if self.length else None

    def __add__(self, other: "Edits") -> "Edits":
        """Return the edits of both texts."""
        return Edits(
            length=self.length + other.length,
            substitutions=self.substitutions + other.substitutions,
            insertions=self.insertions + other.insertions,
            deletions=self.deletions + other.deletions,
        )


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One transcript against its reference, or many."""

    words: Edits = Edits()
    """Between spaces: WER. In Korean, where spacing is a matter of taste, look at the characters."""
    characters: Edits = Edits()
    """Without spaces; in Korean these are syllables: CER."""
    spaced_characters: Edits = Edits()
    """With single spaces between words, as most English tables have it."""

    def __add__(self, other: "Score") -> "Score":
        """Return the score of both texts."""
        return Score(
            words=self.words + other.words,
            characters=self.characters + other.characters,
            spaced_characters=self.spaced_characters + other.spaced_characters,
        )


def scored(reference: str, hypothesis: str, *, language: str) -> Score:
    """Compare a transcript with what was said.

    Args:
        reference: what was said, as somebody wrote it down.
        hypothesis: what was understood.
        language: ISO 639-1, perhaps with a region.
    """
    normalised = normaliser(language)
    said, heard = normalised(reference), normalised(hypothesis)
    return Score(
        words=edits(said.split(), heard.split()),
        characters=edits("".join(said.split()), "".join(heard.split())),
        spaced_characters=edits(said, heard),
    )


def edits(reference: list[str] | str, hypothesis: list[str] | str) -> Edits:
    """Count the edits between two lists of words, or two strings by characters."""
    kinds = [operation.tag for operation in Levenshtein.editops(reference, hypothesis)]
    return Edits(
        length=len(reference),
        substitutions=kinds.count("replace"),
        insertions=kinds.count("insert"),
        deletions=kinds.count("delete"),
    )
