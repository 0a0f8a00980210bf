"""One process's spans and metrics: a turn is one trace across processes, and what somebody said stays out of it."""

import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from parley_contract import telemetry as words
from parley_runtime.telemetry import Telemetry, current_trace_id, trace_id_of

SECRET = "my pin is 4711"


class Process:
    """A process whose spans can be looked at."""

    def __init__(self, service: str, *, sample_ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self.telemetry = Telemetry(
            service, "a_b", sample_ratio=sample_ratio, span_processor=SimpleSpanProcessor(self._exporter)
        )

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


def test_a_span_in_another_process_is_a_child_by_its_headers() -> None:
    gateway, asr = Process("gateway"), Process("asr")

    with gateway.telemetry.span(words.TURN):
        headers = gateway.telemetry.carrier()
    with asr.telemetry.span(words.TRANSCRIPTION, parent=headers):
        inner = asr.telemetry.carrier()
    with gateway.telemetry.span(words.PLAYBACK, parent=inner):
        pass

    turn, transcription, playback = (
        gateway.spans[words.TURN],
        asr.spans[words.TRANSCRIPTION],
        gateway.spans[words.PLAYBACK],
    )
    assert transcription.parent is not None
    assert playback.parent is not None
    assert transcription.parent.span_id == turn.context.span_id
    assert playback.parent.span_id == transcription.context.span_id
    assert {span.context.trace_id for span in (turn, transcription, playback)} == {turn.context.trace_id}
    assert [span.resource.attributes["service.name"] for span in (turn, transcription)] == [
        "parley-gateway",
        "parley-asr",
    ]
    assert turn.resource.attributes["service.namespace"] == "a_b"


def test_headers_that_hold_no_trace_begin_a_new_one() -> None:
    asr = Process("asr")

    with asr.telemetry.span(words.TURN), asr.telemetry.span(words.TRANSCRIPTION, parent={"traceparent": "nonsense"}):
        pass

    assert asr.spans[words.TRANSCRIPTION].parent is None


def test_a_span_inside_another_is_its_child() -> None:
    asr = Process("asr")

    with asr.telemetry.span(words.TRANSCRIPTION) as outer:
        asr.telemetry.past(words.TRANSCRIPTION_QUEUE, time.monotonic() - 1, time.monotonic())

    parent = asr.spans[words.TRANSCRIPTION_QUEUE].parent
    assert parent is not None
    assert parent.span_id == outer.get_span_context().span_id


def test_a_carrier_can_speak_for_a_span_that_is_not_current() -> None:
    gateway, asr = Process("gateway"), Process("asr")
    turn = gateway.telemetry.start(words.TURN)

    with asr.telemetry.span(words.TRANSCRIPTION, parent=gateway.telemetry.carrier(turn)):
        pass
    turn.end()

    parent = asr.spans[words.TRANSCRIPTION].parent
    assert parent is not None
    assert parent.span_id == turn.get_span_context().span_id


def test_outside_of_spans_there_is_nothing_to_carry() -> None:
    gateway = Process("gateway")

    assert gateway.telemetry.carrier() == {}
    assert current_trace_id() == ""


def test_the_trace_id_is_the_current_spans() -> None:
    gateway = Process("gateway")

    with gateway.telemetry.span(words.TURN) as turn:
        inside = current_trace_id()

    assert inside == trace_id_of(turn) == f"{turn.get_span_context().trace_id:032x}"


def test_an_exception_marks_the_span_by_its_type_and_leaks_no_message() -> None:
    agent = Process("agent")

    with pytest.raises(ValueError, match="pin"), agent.telemetry.span(words.CHAT):
        raise ValueError(SECRET)

    span = agent.spans[words.CHAT]
    assert (span.status.is_ok, span.status.description) == (False, "ValueError")
    assert span.events == ()
    assert SECRET not in span.to_json()


def test_a_span_may_have_begun_before_it_was_known() -> None:
    gateway = Process("gateway")
    begun_s = time.monotonic() - 3

    with gateway.telemetry.span(words.USER_SPEAKING, start_s=begun_s):
        pass

    span = gateway.spans[words.USER_SPEAKING]
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(3e9, abs=1e9)
    assert span.end_time == pytest.approx(time.time_ns(), abs=1e9)


def test_a_stage_after_the_fact_lasts_as_long_as_it_did() -> None:
    gateway = Process("gateway")
    now_s = time.monotonic()

    gateway.telemetry.past(words.ENDPOINTING, now_s - 0.5, now_s, attributes={words.CONFIGURED_MS: 500})

    span = gateway.spans[words.ENDPOINTING]
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(0.5e9, abs=1000)
    assert dict(span.attributes or {}) == {words.CONFIGURED_MS: 500}


def test_an_unsampled_trace_is_unsampled_everywhere() -> None:
    gateway, asr = Process("gateway", sample_ratio=0.0), Process("asr", sample_ratio=1.0)

    with gateway.telemetry.span(words.TURN):
        headers = gateway.telemetry.carrier()
    with asr.telemetry.span(words.TRANSCRIPTION, parent=headers):
        pass

    sampled = int(headers[words.TRACEPARENT].rpartition("-")[2], 16) & 1
    assert not sampled
    assert gateway.spans == asr.spans == {}


# Metrics.


def every_metric() -> Telemetry:
    telemetry = Telemetry("gateway", "a_b")
    for metric in words.METRICS:
        telemetry.record(metric, 0.3)
    return telemetry


def test_every_metric_is_shown_and_begins_with_parley() -> None:
    text = every_metric().exposition().decode()

    families = list(text_string_to_metric_families(text))
    assert len(families) == len(words.METRICS)
    assert all(family.name.startswith("parley_") for family in families)
    assert all(line.startswith(("parley_", "# ")) for line in text.splitlines())


def test_a_metric_is_shown_with_its_unit_and_kind() -> None:
    shown = {family.name: family for family in text_string_to_metric_families(every_metric().exposition().decode())}

    for metric in words.METRICS:
        family = shown[f"{metric.name}_seconds" if metric.kind == "histogram" else metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.description)


def test_a_histogram_has_the_buckets_it_was_given() -> None:
    telemetry = Telemetry("gateway", "a_b")

    telemetry.record(words.TURN_E2FT, 0.7)

    [family] = text_string_to_metric_families(telemetry.exposition().decode())
    bounds = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert [float(bound) for bound in bounds] == [*words.TURN_BUCKETS_S, float("inf")]
    assert (bounds["0.65"], bounds["0.8"]) == (0, 1)


def test_a_gauge_goes_up_and_down_and_labels_are_kept_apart() -> None:
    telemetry = Telemetry("gateway", "a_b")

    for change in (1, 1, -1):
        telemetry.record(words.SESSIONS, change)
    telemetry.record(words.TURNS, outcome="answered")
    telemetry.record(words.TURNS, 2, outcome="empty")

    lines = telemetry.exposition().decode().splitlines()
    assert "parley_sessions 1.0" in lines
    assert 'parley_turns_total{outcome="answered"} 1.0' in lines
    assert 'parley_turns_total{outcome="empty"} 2.0' in lines


def test_two_processes_in_one_do_not_share_their_figures() -> None:
    one, other = Telemetry("gateway", "a_b"), Telemetry("asr", "a_b")

    one.record(words.SESSIONS, 5)

    assert other.exposition() == b""


# Names.


def test_names_are_unique_and_none_is_private_by_accident() -> None:
    names = [metric.name for metric in words.METRICS]

    assert len(set(names)) == len(names)
    assert all(metric.description.endswith(".") for metric in words.METRICS)
    assert all(bool(metric.buckets) == (metric.kind == "histogram") for metric in words.METRICS)
