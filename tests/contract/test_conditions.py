"""Every condition, phase and reason that a status may have is explained, and nothing that it may not."""

import re
import typing
from pathlib import Path

from parley_contract.resource.status import CONDITION_TYPES, Phase
from parley_operator import reasons

PAGE = (Path(__file__).parents[2] / "docs/reference/conditions.md").read_text()


def first_cells(heading: str) -> set[str]:
    """The words in the first column of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_every_reason_is_explained() -> None:
    assert first_cells("Reasons") == {word for name, word in vars(reasons).items() if name.isupper()}


def test_every_condition_is_explained() -> None:
    assert first_cells("Conditions") == set(CONDITION_TYPES)


def test_every_phase_is_explained() -> None:
    assert first_cells("Phases") == set(typing.get_args(Phase))
