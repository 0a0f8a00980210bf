"""Spans and metrics for one process: the only importer of the OpenTelemetry SDK.

Every process makes one `Telemetry` and passes it on; there is no global. Without an OTLP endpoint spans are made
(logs and reports carry their trace ids) but nobody receives them. `/metrics` always works.
Names come from parley_contract.telemetry; this module invents none.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Counter, Histogram, UpDownCounter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, generate_latest

from parley_contract import telemetry as words

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]
Carrier = Mapping[str, str]
"""Headers that may hold a `traceparent`."""
Kind = Literal["internal", "producer", "consumer", "client"]

_KINDS: Final = {kind: SpanKind[kind.upper()] for kind in ("internal", "producer", "consumer", "client")}
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_EXPORT_TIMEOUT_S: Final = 2.0
"""For one batch, retries included. A process that ends waits for two of spans and one of metrics: the default of 10 s
would outlast the patience of whoever asked it to end."""

__all__ = ["AttributeValue", "Attributes", "Carrier", "Kind", "Span", "Telemetry", "current_trace_id", "trace_id_of"]


class Telemetry:
    """One process's spans and metrics."""

    def __init__(
        self,
        service: str,
        assistant: str,
        *,
        otlp_endpoint: str = "",
        sample_ratio: float = 1.0,
        span_processor: SpanProcessor | None = None,
    ) -> None:
        """Set up providers.

        Args:
            service: becomes `service.name` as `parley-<service>`.
            assistant: becomes `service.namespace`.
            otlp_endpoint: base URL of an OTLP/HTTP receiver; empty exports nothing.
            sample_ratio: share of new traces that are recorded; a parent's decision always holds.
            span_processor: where a test collects spans.
        """
        resource = Resource.create({"service.name": f"parley-{service}", "service.namespace": assistant})
        self._tracers = TracerProvider(
            resource=resource,
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            span_limits=SpanLimits(max_span_attribute_length=4096),
            shutdown_on_exit=False,
        )
        # A registry of our own: the default one adds the interpreter's metrics, which do not begin with parley_.
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [
            PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        ]
        if otlp_endpoint:
            base = otlp_endpoint.rstrip("/")
            exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_EXPORT_TIMEOUT_S)
            self._tracers.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
            readers.append(
                PeriodicExportingMetricReader(
                    OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_EXPORT_TIMEOUT_S),
                    export_interval_millis=15_000,
                )
            )
        if span_processor is not None:
            self._tracers.add_span_processor(span_processor)
        self._meters = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer("parley")
        self._instruments = self._make_instruments()
        # Spans are stamped in wall time but measured on the monotonic clock: one offset for the whole process.
        self._wall_offset_s = time.time() - time.monotonic()

    def _make_instruments(self) -> dict[str, Histogram | Counter | UpDownCounter]:
        meter = self._meters.get_meter("parley")
        made: dict[str, Histogram | Counter | UpDownCounter] = {}
        for metric in words.METRICS:
            match metric.kind:
                case "histogram":
                    made[metric.name] = meter.create_histogram(
                        metric.name,
                        unit=metric.unit,
                        description=metric.description,
                        explicit_bucket_boundaries_advisory=metric.buckets,
                    )
                case "counter":
                    made[metric.name] = meter.create_counter(metric.name, description=metric.description)
                case "gauge":
                    made[metric.name] = meter.create_up_down_counter(metric.name, description=metric.description)
        return made

    def record(self, metric: words.Metric, value: float = 1, **labels: str) -> None:
        """Observe a histogram, or add to a counter or gauge (negative only for a gauge)."""
        instrument = self._instruments[metric.name]
        if isinstance(instrument, Histogram):
            instrument.record(value, labels)
        else:
            instrument.add(value, labels)

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        *,
        parent: Carrier | None = None,
        attributes: Attributes | None = None,
        kind: Kind = "internal",
        start_s: float | None = None,
    ) -> Iterator[Span]:
        """Open a span that is current inside the block; an exception marks it failed by its type alone.

        Args:
            name: a constant of parley_contract.telemetry.
            parent: headers of the message that caused this; None for the current span.
            attributes: keys of parley_contract.telemetry.
            kind: internal, producer, consumer or client.
            start_s: monotonic seconds at which it really began; None for now.
        """
        span = self.start(name, parent=parent, attributes=attributes, kind=kind, start_s=start_s)
        token = attach(trace.set_span_in_context(span))
        try:
            yield span
        except Exception as error:
            # The message might hold what was said; the type does not.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            detach(token)
            span.end(end_time=self.wall_ns(None))

    def start(
        self,
        name: str,
        *,
        parent: Carrier | None = None,
        attributes: Attributes | None = None,
        kind: Kind = "internal",
        start_s: float | None = None,
    ) -> Span:
        """Begin a span that the caller ends, for what outlives a block; arguments as for `span`."""
        return self._tracer.start_span(
            name,
            context=_context(parent),
            kind=_KINDS[kind],
            attributes=dict(attributes or {}),
            start_time=self.wall_ns(start_s),
        )

    def past(
        self,
        name: str,
        start_s: float,
        end_s: float,
        *,
        parent: Carrier | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        """Record a wait or a stage after the fact, from monotonic seconds."""
        span = self.start(name, parent=parent, attributes=attributes, start_s=start_s)
        span.end(end_time=self.wall_ns(end_s))

    def carrier(self, span: Span | None = None) -> dict[str, str]:
        """Return the headers that make a message's receiver a child of `span` (the current one if None)."""
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers, context=None if span is None else trace.set_span_in_context(span))
        return headers

    def wall_ns(self, monotonic_s: float | None) -> int:
        """Turn a reading of the monotonic clock (None: now) into Unix nanoseconds."""
        reading_s = time.monotonic() if monotonic_s is None else monotonic_s
        return int((reading_s + self._wall_offset_s) * 1e9)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def shutdown(self) -> None:
        """Send what is left; blocks for some seconds at most when the receiver is away."""
        self._tracers.shutdown()
        self._meters.shutdown(timeout_millis=3000)


def current_trace_id() -> str:
    """Return the current span's trace id as 32 hex digits; empty outside of spans."""
    return trace_id_of(trace.get_current_span())


def trace_id_of(span: Span) -> str:
    """Return a span's trace id as 32 hex digits; empty for the invalid span."""
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def _context(parent: Carrier | None) -> Context:
    return get_current() if parent is None else _PROPAGATOR.extract(parent, context=Context())
