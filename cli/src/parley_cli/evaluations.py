"""What came out of `parley eval asr`: per file, per model, in tables and as JSON. Pure.

The shape of the record is an interface: scripts read it.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from parley_cli.questions import Question, question
from parley_cli.scoring import Score

_NO_SOUND = frozenset({".txt", ".toml", ".md", ".json", ".csv", ".tsv"})


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    file: str
    reference: str
    hypothesis: str = ""
    language: str = ""
    """In which it was scored."""
    audio_s: float = 0.0
    took_s: float = 0.0
    """From the request to the answer, upload included."""
    score: Score = Score()
    error: str = ""
    """Why there is no transcript; then the file counts in no rate."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model: sums of edits over sums of lengths, and of time over sound."""

    files: int
    failed: int
    wer: float | None
    cer: float | None
    """Without spaces."""
    audio_s: float
    took_s: float
    rtf: float | None
    """Real-time factor: seconds of work for a second of sound."""
    score: Score


class SystemResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one model with one encoder window made of all files."""

    name: str
    files: list[FileResult]
    totals: Totals


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What `eval asr --json` writes."""

    systems: list[SystemResult]


def find_pairs(folder: Path) -> tuple[list[Question], list[str]]:
    """Return the sounds of a folder whose words are known, and a sentence for each file that has to be left out."""
    pairs: list[Question] = []
    left_out: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _NO_SOUND or path.name.startswith(".") or not path.is_file():
            continue
        found = question(path)
        if found.expected:
            pairs.append(found)
        else:
            what = "is empty" if path.with_suffix(".txt").is_file() else "is missing"
            left_out.append(f"{path.name} is left out: {path.stem}.txt, which should have its words, {what}")
    known = {pair.wav.stem for pair in pairs} | {path.stem for path in folder.iterdir() if path.suffix != ".txt"}
    alone = sorted(path.name for path in folder.glob("*.txt") if path.stem not in known)
    return pairs, [*left_out, *(f"{name} is left out: there is no sound of this name" for name in alone)]


def system_result(name: str, files: Sequence[FileResult]) -> SystemResult:
    """Add up what one model made of the files."""
    done = [file for file in files if not file.error]
    score = sum((file.score for file in done), Score())
    audio_s, took_s = sum(file.audio_s for file in done), sum(file.took_s for file in done)
    totals = Totals(
        files=len(files),
        failed=len(files) - len(done),
        wer=score.words.rate,
        cer=score.characters.rate,
        audio_s=round(audio_s, 3),
        took_s=round(took_s, 3),
        rtf=took_s / audio_s if audio_s else None,
        score=score,
    )
    return SystemResult(name=name, files=list(files), totals=totals)


def drawn_files(result: SystemResult) -> Table:
    """Draw a row per file and one for all."""
    table = _table(result.name, "file")
    for file in result.files:
        if file.error:
            table.add_row(file.file, *("–",) * 6, style="red")
            continue
        table.add_row(file.file, *_figures(file.score, file.audio_s, file.took_s))
    table.add_section()
    totals = result.totals
    table.add_row(
        f"all {totals.files - totals.failed}", *_figures(totals.score, totals.audio_s, totals.took_s), style="bold"
    )
    return table


def drawn_systems(results: Sequence[SystemResult]) -> Table:
    """Draw a row per model, the best first."""
    table = _table("all models, the best first", "model")
    for result in sorted(results, key=lambda result: (result.totals.failed, result.totals.cer or 0.0)):
        totals = result.totals
        name = f"{result.name} ({totals.failed} failed)" if totals.failed else result.name
        table.add_row(name, *_figures(totals.score, totals.audio_s, totals.took_s))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for column in ("WER", "CER", "sub ins del", "sound", "took", "RTF"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _figures(score: Score, audio_s: float, took_s: float) -> tuple[str, ...]:
    words = score.words
    return (
        _percent(words.rate),
        _percent(score.characters.rate),
        f"{words.substitutions:3} {words.insertions:3} {words.deletions:3}",
        f"{audio_s:.1f} s",
        f"{took_s:.2f} s",
        f"{took_s / audio_s:.2f}" if audio_s else "–",
    )


def _percent(rate: float | None) -> str:
    """Write a rate, or a dash where there is none."""
    return "–" if rate is None else f"{rate:.1%}"
