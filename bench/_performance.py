"""docs/performance.md: what stands between the marks of a name is replaced by the figures of a benchmark.

Every benchmark calls `regenerate` with its section (`_assistant_tables`, `_part_tables`, `_turn_tables`); the prose
around it is written by hand.
"""

import json
import os
import platform
from pathlib import Path
from typing import Final

from _cells import Figures

PAGE: Final = Path(__file__).parents[1] / "docs/performance.md"


def describe_machine() -> dict[str, int | str]:
    """Say what was measured on, with no name of any host."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return {"cpu": cpu, "cores": os.cpu_count() or 1, "memory_gib": memory_gib, "python": platform.python_version()}


def replaced(page: str, name: str, section: str) -> str:
    """Return the page with another section between the marks of this name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    before, found, rest = page.partition(begin)
    old, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"the page has no place for {name}: write {begin.strip()} and {end} where it belongs")
    del old
    return f"{before}{begin}{section}\n{end}{after}"


def regenerate(name: str, section: str) -> None:
    """Put a section into docs/performance.md."""
    PAGE.write_text(replaced(PAGE.read_text(), name, section))


def write(figures: Figures, json_file: Path | None) -> str:
    """Write the figures where they were asked for, and return them as JSON."""
    page = json.dumps(figures, indent=2)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(f"{page}\n")
    return page
