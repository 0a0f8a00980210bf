"""What the operator tells Prometheus of its own work; alerts and the dashboard of the chart use these names."""

from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Result = Literal["unchanged", "changed", "failed", "gone"]
"""Nothing to write; something was written; refused, in conflict or not answered, and tried again; deleted."""

_RECONCILE_S: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60)
_READY_S: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
"""From an assistant of small models that are cached, to one that pulls 40 GB."""


class Metrics:
    """The operator's metrics, in a registry of their own: what kopf and Python add is not ours to promise."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.registry: Final = CollectorRegistry()
        self.reconciles: Final = Counter(
            "parley_operator_reconciles",
            "Looks at an assistant, by how they ended.",
            ["result"],
            registry=self.registry,
        )
        self.reconcile_s: Final = Histogram(
            "parley_operator_reconcile_seconds", "How long a look took.", buckets=_RECONCILE_S, registry=self.registry
        )
        self.writes: Final = Counter(
            "parley_operator_writes", "Writes to the API server, by what they were.", ["verb"], registry=self.registry
        )
        self.time_to_ready_s: Final = Histogram(
            "parley_operator_time_to_ready_seconds",
            "From when an assistant was not ready until it was.",
            buckets=_READY_S,
            registry=self.registry,
        )
        self._queue_depth = Gauge(
            "parley_operator_queue_depth", "Assistants that wait for a look or their time.", registry=self.registry
        )
        self._queue_age_s = Gauge(
            "parley_operator_queue_oldest_seconds",
            "For how long the assistant that waits longest has been due.",
            registry=self.registry,
        )
        self._phases = Gauge("parley_operator_assistants", "Assistants by phase.", ["phase"], registry=self.registry)
        self._phase_of: dict[tuple[str, str], str] = {}

    def ask_queue(self, depth: Callable[[], float], oldest_s: Callable[[], float]) -> None:
        """Take the queue's figures from these whenever somebody asks."""
        self._queue_depth.set_function(depth)
        self._queue_age_s.set_function(oldest_s)

    def phase(self, key: tuple[str, str], phase: str) -> None:
        """Count an assistant under its phase; under none if that is empty."""
        before = self._phase_of.pop(key, "")
        if before:
            self._phases.labels(before).dec()
        if phase:
            self._phase_of[key] = phase
            self._phases.labels(phase).inc()

    def page(self) -> bytes:
        """Return what Prometheus reads (text format 0.0.4)."""
        return generate_latest(self.registry)
