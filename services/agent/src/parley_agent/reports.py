"""What `/status` tells of the assistant's turns, from their TurnReports alone, so that every replica says the same."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from parley_contract.messages import TurnReport

_KEPT: Final = 200
_SHOWN: Final = 20


class Reports:
    """The latest turns, oldest first."""

    def __init__(self) -> None:
        """Begin with none."""
        self._reports: deque[TurnReport] = deque(maxlen=_KEPT)

    def add(self, report: TurnReport) -> None:
        """Take one more; the same turn twice counts once."""
        key = (report.session, report.epoch, report.turn)
        if all((known.session, known.epoch, known.turn) != key for known in self._reports):
            self._reports.append(report)

    def status(self) -> dict[str, object]:
        """Return `e2ft` and `e2fa` with p50, p95 and count in ms over the latest turns, and those turns as JSON."""
        return {
            "e2ft": summary(report.e2ft_ms for report in self._reports),
            "e2fa": summary(report.e2fa_ms for report in self._reports),
            "turns": [msgspec.to_builtins(report) for report in list(self._reports)[-_SHOWN:]],
        }


def summary(values_ms: Iterable[float | None]) -> dict[str, float | int | None]:
    """Return p50, p95 and how many values there are; None for both where there are none."""
    known = sorted(value for value in values_ms if value is not None)
    return {"p50_ms": _percentile(known, 0.5), "p95_ms": _percentile(known, 0.95), "turns": len(known)}


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest rank: a value that was really measured, also for a handful of turns."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
