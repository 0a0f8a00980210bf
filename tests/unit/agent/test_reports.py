"""What the agent tells of the latest turns."""

from parley_agent.reports import Reports, summary
from parley_contract.messages import TurnReport


def report(turn: int, e2ft_ms: float | None) -> TurnReport:
    return TurnReport(
        session="s",
        epoch=1,
        turn=turn,
        speaker="me",
        outcome="answered" if e2ft_ms else "empty",
        started_at=0.0,
        speech_ms=900.0,
        e2ft_ms=e2ft_ms,
    )


def test_percentiles_are_values_that_were_measured() -> None:
    assert summary([100.0, 300.0, None, 200.0]) == {"p50_ms": 200.0, "p95_ms": 300.0, "turns": 3}
    assert summary([None]) == {"p50_ms": None, "p95_ms": None, "turns": 0}


def test_a_turn_that_is_reported_twice_counts_once() -> None:
    reports = Reports()
    for turn in (1, 2, 1):
        reports.add(report(turn, 100.0))

    status = reports.status()

    assert [turn["turn"] for turn in status["turns"]] == [1, 2]  # type: ignore[attr-defined]  # JSON
    assert status["e2ft"] == {"p50_ms": 100.0, "p95_ms": 100.0, "turns": 2}
