"""The spoken questions of the samples, and the words of any WAV whose words are known."""

from pathlib import Path
from typing import Final

import msgspec

from parley_cli.manifests import SAMPLES, UnreadableFileError

_LIST: Final = "questions.toml"


class Question(msgspec.Struct, frozen=True):
    """A file to speak."""

    wav: Path
    expected: str | None
    """Its words; None where nobody wrote them down."""


class _Entry(msgspec.Struct, frozen=True):
    wav: str
    text: str


class _List(msgspec.Struct, frozen=True):
    question: list[_Entry]


def sample_questions() -> list[Question]:
    """Return the questions of the samples, in the order in which they are to be asked.

    Raises:
        UnreadableFileError: the samples are not installed.
    """
    folder = SAMPLES / "questions"
    if not folder.is_dir():
        raise UnreadableFileError("name WAVs to ask with: the samples are not part of this installation")
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return [Question(shown / entry.wav, entry.text) for entry in _entries(folder)]


def question(wav: Path) -> Question:
    """Return a file with its words: from a `.txt` of the same name, or the folder's `questions.toml`."""
    beside = wav.parent / f"{wav.stem}.txt"
    if beside.is_file() and beside != wav:
        return Question(wav, beside.read_text(errors="replace").strip() or None)
    return Question(wav, next((entry.text for entry in _entries(wav.parent) if entry.wav == wav.name), None))


def _entries(folder: Path) -> list[_Entry]:
    try:
        return msgspec.toml.decode((folder / _LIST).read_bytes(), type=_List).question
    except (FileNotFoundError, msgspec.DecodeError):
        # Somebody else's folder may hold a page of this name that means something else.
        return []
