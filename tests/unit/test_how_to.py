"""What the how-to pages say of models is what the catalogue says."""

import re
from pathlib import Path

import pytest

from parley_contract.catalogue import Model, catalogue, find_model

PAGE = (Path(__file__).parents[2] / "docs/how-to/choose-a-model.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
MEMORY_ROWS = [row for row in ROWS if row[0].startswith("`")]
CARD_ROWS = [row for row in ROWS if row[0].startswith("card of")]


def memory_row(model: Model) -> list[str]:
    def cell(kind: str) -> str:
        return f"{'' if kind in model.vram_measured else '~'}{model.vram_mib[kind]}"

    languages = "99" if model.languages == ("multilingual",) else "English"
    megabytes = f"{model.size / 1_000_000:.0f}"
    return [f"`{model.name}`", languages, megabytes, *(cell(kind) for kind in ("int8", "float16", "float32"))]


def test_the_table_of_memory_is_the_catalogues() -> None:
    assert [memory_row(model) for model in catalogue() if model.kind == "asr"] == MEMORY_ROWS


@pytest.mark.parametrize("row", CARD_ROWS, ids=lambda row: row[0])
def test_what_is_advised_for_a_card_fits_and_takes_what_is_said(row: list[str]) -> None:
    card, hears, thinks, takes = row
    [name, compute_type] = hears.replace("`", "").split(", ")
    [gigabytes] = map(int, re.findall(r"card of (\d+)", card))
    [said] = re.findall(r"^[\d,]+", takes)

    needed = find_model(name, "asr").vram_mib[compute_type] + sum(
        find_model(thinks.strip("`"), "llm").vram_mib.values()
    )

    assert int(said.replace(",", "")) == pytest.approx(needed, abs=50)
    assert needed < gigabytes * 1024 * 0.9


def test_the_memory_of_language_models_is_the_catalogues() -> None:
    said = {name: int(mib) for name, mib in re.findall(r"`(qwen[^`]+)` ~(\d+)", PAGE)}

    assert said == {model.name: sum(model.vram_mib.values()) for model in catalogue() if model.is_ollamas}


def test_the_models_without_a_hash_are_named() -> None:
    [sentence] = re.findall(r"lacks some hashes of ([^.]*(?:\.\w[^.]*)*)\. A pull", PAGE.replace("\n", " "))

    assert set(re.findall(r"`([^`]+)`", sentence)) == {model.name for model in catalogue() if model.unpinned}
