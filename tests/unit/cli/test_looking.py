"""What an owner is told of turns: what went wrong, and why somebody was held to have finished."""

import msgspec
import pytest

from parley_cli.captions import anticipation, decision, ending
from parley_cli.looking import failures
from parley_contract.messages import Endpoint, TurnReport
from parley_contract.reasons import sentence

ANSWERED = TurnReport(session="s1", epoch=1, turn=1, speaker="you", outcome="answered", started_at=0, speech_ms=900)
HUNG = msgspec.structs.replace(ANSWERED, outcome="failed", reason="no_reply")
DEAF = msgspec.structs.replace(ANSWERED, outcome="failed", reason="transcript_failed", detail="given up twice")
STOPPED = msgspec.structs.replace(ANSWERED, outcome="interrupted", reason="client")


def test_failures_are_told_by_reason_with_what_to_do_the_most_frequent_first() -> None:
    lines = failures([ANSWERED, DEAF, HUNG, STOPPED, HUNG])

    assert lines == [
        f"2 of the latest 5 turns failed, no_reply: {sentence('no_reply')}",
        f"1 of the latest 5 turns failed, transcript_failed: {sentence('transcript_failed')}",
    ]


def test_without_a_failure_nothing_is_said() -> None:
    assert failures([ANSWERED, STOPPED]) == []


def test_an_ending_has_its_reason_and_the_words_of_who_failed() -> None:
    assert ending(ANSWERED) == "answered"
    assert ending(HUNG) == f"failed, no_reply: {sentence('no_reply')}"
    assert ending(DEAF).endswith("(given up twice)")


@pytest.mark.parametrize(
    "endpoint, said",
    [
        (None, "never finished"),
        (Endpoint(wait_ms=500), "finished after 500 ms of silence"),
        (
            Endpoint(wait_ms=262, audio=0.97, ending="complete"),
            "finished after 262 ms of silence: sounded complete (0.97), the words could be all",
        ),
        (
            Endpoint(wait_ms=1800.4, audio=0.04, ending="open", own_pause_ms=612.3),
            "finished after 1800 ms of silence: sounded unfinished (0.04), the words lacked others, pauses of 612 ms",
        ),
        (
            Endpoint(wait_ms=500, audio=0.5, ending="unclear"),
            "finished after 500 ms of silence: sounded either way (0.50), the words told nothing",
        ),
    ],
)
def test_the_reasons_of_an_endpoint_stand_in_words(endpoint: Endpoint | None, said: str) -> None:
    assert decision(endpoint) == said


@pytest.mark.parametrize(
    "report, said",
    [
        (ANSWERED, ""),
        (msgspec.structs.replace(ANSWERED, speculation="hit"), "the reply had been begun before"),
        (
            msgspec.structs.replace(ANSWERED, speculation="miss", wasted_tokens=7),
            "a reply that was of no use had been begun before, 7 tokens written for nothing",
        ),
        (msgspec.structs.replace(ANSWERED, taken_back=1), "taken back once, for its speaker went on"),
    ],
)
def test_what_was_begun_early_stands_in_words(report: TurnReport, said: str) -> None:
    assert anticipation(report) == said
