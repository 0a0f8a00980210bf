"""Figures as tables and their cells: numbers with units, and what was measured on. Used by pages of tables. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Figures = Mapping[str, float | int | str | None]

_RULES: Final = {"l": "---", "r": "---:"}


def table(align: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[str, ...]:
    """Return the lines of a table; `align` has an l or an r for each column."""
    return (
        "|" + "|".join(f" {cell} " if cell else " " for cell in head) + "|",
        "|" + "|".join(_RULES[side] for side in align) + "|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    )


def parts(figures: Figures, prefix: str) -> list[str]:
    """Return of what there is a figure that begins so."""
    return [key.removeprefix(prefix) for key in figures if key.startswith(prefix)]


def ms(figures: Figures, key: str) -> str:
    """Return a whole number; what was not measured is a dash."""
    value = figures[key]
    return f"{value:.0f}" if isinstance(value, int | float) else "–"


def tenths(figures: Figures, key: str) -> str:
    """Return a number with one decimal, likewise."""
    value = figures[key]
    return f"{value:.1f}" if isinstance(value, int | float) else "–"


def percent(figures: Figures, key: str) -> str:
    """Return a share, likewise."""
    value = figures[key]
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"


def height(figures: Figures, key: str) -> float:
    """Return what a chart shows; what is not there has no height."""
    value = figures[key]
    return float(value) if isinstance(value, int | float) else 0.0


def machine(figures: Figures) -> str:
    """Say what was measured on."""
    return f"{figures['cores']} cores ({figures['cpu']}, {figures['memory_gib']} GiB)"


def versions(figures: Figures, prefix: str) -> str:
    """Say of what which version was measured."""
    return ", ".join(f"{name} {figures[prefix + name]}" for name in parts(figures, prefix))
