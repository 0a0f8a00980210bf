"""What is said to an assistant where turns are measured: dialogues of lines, from `_corpus.toml`. Pure but for `read`.

A line is what a person says in one turn, pauses included. `_rendering` makes sound of it, `_caller` speaks it. Not
here: what it sounds like.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import msgspec

Kind = Literal["question", "statement", "command", "one_word", "number", "pause", "filler", "conjunction", "monologue"]
"""`pause`: stops at a natural place inside a sentence. `filler`: um, well, you know. `conjunction`: stops right after
one, and goes on or, rarely, leaves it at that. The other kinds say what they are."""
VoiceName = Literal["joe", "alpha", "kumo", "us", "gb", "male"]
"""joe: Piper. alpha and kumo: Kokoro. The others: variants of espeak-ng."""
Half = Literal["training", "test"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SHORTEST_PAUSE_S: Final = 0.4
LONGEST_PAUSE_S: Final = 1.2
PAGE: Final = Path(__file__).with_suffix(".toml")
_PAUSE: Final = re.compile(r"\s*\{([0-9.]+)\}\s*")


class Part(NamedTuple):
    """Unbroken speech, and the pause after it."""

    text: str
    pause_s: float
    """0 after the last."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one person says in one turn."""

    kind: Kind
    text: str
    """With its pauses, as `{0.7}`."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The line cut at its pauses."""
        pieces = _PAUSE.split(self.text)
        pauses = [*map(float, pieces[1::2]), 0.0]
        return tuple(Part(text, pause_s) for text, pause_s in zip(pieces[::2], pauses, strict=True))

    @property
    def words(self) -> str:
        """The text alone."""
        return " ".join(part.text for part in self.parts)


class Dialogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that one person says in one conversation, the assistant's replies between them."""

    name: str
    """Unique within its half."""
    voice: VoiceName
    noisy: bool
    """Whether it is said in noise."""
    half: Half
    turns: tuple[Line, ...]


class _Page(msgspec.Struct, frozen=True):
    dialogue: tuple[Dialogue, ...]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the corpus is wanted."""

    half: Half | Literal["all"] = "test"
    kind: Kind | None = None
    """Only lines of this kind; what is left of a dialogue stays one."""
    turns: int | None = None
    """At most so many lines: whole dialogues, the last one cut."""


def read(page: Path = PAGE) -> tuple[Dialogue, ...]:
    """Read the corpus.

    Raises:
        msgspec.ValidationError: the page says something else than this module knows.
    """
    return msgspec.toml.decode(page.read_bytes(), type=_Page).dialogue


def chosen(dialogues: Sequence[Dialogue], choice: Choice) -> tuple[Dialogue, ...]:
    """Return the wanted part, in the corpus' order."""
    return tuple(_chosen(dialogues, choice))


def _chosen(dialogues: Sequence[Dialogue], choice: Choice) -> Iterator[Dialogue]:
    left = choice.turns if choice.turns is not None else sum(len(dialogue.turns) for dialogue in dialogues)
    for dialogue in dialogues:
        if choice.half not in {"all", dialogue.half}:
            continue
        lines = tuple(line for line in dialogue.turns if choice.kind in {None, line.kind})[:left]
        left -= len(lines)
        if lines:
            yield msgspec.structs.replace(dialogue, turns=lines)
