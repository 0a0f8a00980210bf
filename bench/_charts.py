"""Charts for docs/performance.md, in Mermaid's words, which whoever shows Markdown draws. Pure."""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

_HEADROOM: Final = 1.1


class Series(NamedTuple):
    """One row of values, a value for each place on the x axis."""

    kind: Literal["bar", "line"]
    values: Sequence[float]


def chart(title: str, places: Sequence[str], unit: str, *rows: Series) -> str:
    """Draw rows of values over the same places.

    Args:
        title: what is seen; which row is which, too, for Mermaid's xychart has no legend.
        places: names along the x axis.
        unit: of all values.
        rows: at least one.
    """
    top = max(value for row in rows for value in row.values) * _HEADROOM or 1
    names = ", ".join(f'"{place}"' for place in places)
    return "\n".join(
        (
            "```mermaid",
            "xychart-beta",
            f'  title "{title}"',
            f"  x-axis [{names}]",
            f'  y-axis "{unit}" 0 --> {math.ceil(top)}',
            *(f"  {row.kind} [{', '.join(f'{round(value, 1):g}' for value in row.values)}]" for row in rows),
            "```",
        )
    )
