"""A turn's trace: every stretch of it has a span, and every wait says what it was configured to."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from parley_contract import telemetry as words
from parley_contract.messages import Endpoint, TurnReport
from parley_gateway.reports import Moments
from parley_gateway.tracing import TurnTraces
from parley_runtime.telemetry import Telemetry


def spans_of(report: TurnReport, moments: Moments, now: float) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry("gateway", "a_b", span_processor=SimpleSpanProcessor(exporter))
    traces = TurnTraces(telemetry, "s1", endpoint_ms=500, take_up_after_s=2.0)
    traces.begin(report.turn, moments.began_at)
    traces.reply_began(report.turn, 101.2)
    traces.end(report, moments, now)
    return list(exporter.get_finished_spans())


def length_s(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9


REPORT = TurnReport(
    session="s1",
    epoch=1,
    turn=1,
    speaker="user",
    outcome="answered",
    started_at=0,
    speech_ms=1000,
    endpoint=Endpoint(wait_ms=300, ending="complete"),
    speculation="hit",
)
MOMENTS = Moments(
    began_at=100.0,
    voiced_until=101.0,
    decided_at=101.3,
    first_token_at=101.3,
    first_frame_at=101.5,
    played_from=101.5,
    sounded_at=101.51,
)


def test_an_answered_turn_is_explained_from_its_first_voiced_sample_to_the_end_of_playback() -> None:
    spans = {span.name: span for span in spans_of(REPORT, MOMENTS, 105.0)}

    assert {name: round(length_s(span), 3) for name, span in spans.items()} == {
        words.TURN: 5.0,
        words.USER_SPEAKING: 1.0,
        words.ENDPOINTING: 0.3,
        words.E2FT: 0.3,
        words.REPLY_HELD: 0.1,
        words.PLAYBACK_WAIT: 0.01,
        words.PLAYBACK: 3.5,
    }
    attributes = spans[words.ENDPOINTING].attributes or {}
    assert (attributes[words.CONFIGURED_MS], attributes[words.ENDPOINT_ENDING]) == (500, "complete")


def test_what_was_taken_back_and_where_a_reply_gave_way_has_spans_of_its_own() -> None:
    moments = Moments(
        **{name: getattr(MOMENTS, name) for name in ("began_at", "voiced_until", "decided_at", "played_from")},
        taken_back=((100.4, 100.6),),
        gave_way=((102.0, 102.5), (103.0, 104.0)),
    )

    spans = spans_of(REPORT, moments, 105.0)

    assert [length_s(span) for span in spans if span.name == words.REPLY_TAKEN_BACK] == [pytest.approx(0.2, abs=1e-3)]
    gave_way = [span for span in spans if span.name == words.PLAYBACK_GAVE_WAY]
    assert [length_s(span) for span in gave_way] == [pytest.approx(0.5, abs=1e-3), pytest.approx(1.0, abs=1e-3)]
    assert {(span.attributes or {})[words.CONFIGURED_MS] for span in gave_way} == {2000}
