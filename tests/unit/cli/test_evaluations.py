"""Which files of a folder are evaluated, and how their figures add up."""

from pathlib import Path

import pytest

from parley_cli.evaluations import FileResult, find_pairs, system_result
from parley_cli.scoring import scored


def folder_of(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def result(reference: str, hypothesis: str, *, audio_s: float, took_s: float) -> FileResult:
    score = scored(reference, hypothesis, language="de")
    return FileResult(file="a.wav", reference=reference, score=score, audio_s=audio_s, took_s=took_s)


def test_sounds_of_any_kind_go_with_the_text_of_their_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"b.flac": "", "b.txt": "two\n", "a.wav": "", "a.txt": "one"})

    pairs, left_out = find_pairs(folder)

    assert [(pair.wav.name, pair.expected) for pair in pairs] == [("a.wav", "one"), ("b.flac", "two")]
    assert left_out == []


def test_what_has_no_words_or_no_sound_is_left_out_and_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.wav": "", "b.wav": "", "b.txt": " \n", "c.txt": "three", "README.md": ""})

    pairs, left_out = find_pairs(folder)

    assert pairs == []
    assert left_out == [
        "a.wav is left out: a.txt, which should have its words, is missing",
        "b.wav is left out: b.txt, which should have its words, is empty",
        "c.txt is left out: there is no sound of this name",
    ]


def test_totals_weigh_files_by_their_length() -> None:
    files = [
        result("a b c d e f g h", "a b c d e f g h", audio_s=8, took_s=2),
        result("x y", "z z", audio_s=2, took_s=3),
    ]

    totals = system_result("tiny", files).totals

    assert totals.wer == pytest.approx(0.2)
    assert totals.rtf == pytest.approx(0.5)


def test_a_file_without_a_transcript_counts_in_no_rate() -> None:
    failed = FileResult(file="b.wav", reference="x", error="It is no sound.")

    totals = system_result("tiny", [result("a b", "a b", audio_s=1, took_s=1), failed]).totals

    assert (totals.files, totals.failed, totals.wer) == (2, 1, 0.0)


def test_nothing_but_failures_has_no_rate() -> None:
    totals = system_result("tiny", [FileResult(file="b.wav", reference="x", error="It is no sound.")]).totals

    assert (totals.wer, totals.cer, totals.rtf) == (None, None, None)
