"""What is said about the processes, and when."""

import pytest

from parley_cli.narration import (
    BecameReady,
    BecameUnready,
    Died,
    Happened,
    Started,
    Stopped,
    Story,
    duration,
    reasons,
    ways_on,
)
from parley_cli.places import Part, Running


def told(*events: Happened, is_complete: bool = False) -> str:
    story = Story()
    story.is_complete = is_complete
    return [story.line(event) for event in events][-1]


def test_a_part_that_becomes_ready_is_worth_a_line() -> None:
    assert told(BecameReady(name="asr", after_s=1.234)) == "  asr is ready (1.2 s)"


def test_what_is_missing_during_the_start_is_no_news() -> None:
    assert told(BecameUnready(name="asr", reasons={"model": "loading"})) == ""


def test_what_is_missing_later_is_news() -> None:
    line = told(BecameUnready(name="agent", reasons={"model": "not loaded"}), is_complete=True)

    assert line == "  agent waits for model (not loaded)"


def test_a_death_names_its_cause_the_next_try_and_the_log() -> None:
    line = told(Died(name="tts", exit_code=-9, again_in_s=0.4, log="/logs/tts.log"))

    assert line == "  tts died (signal 9) and starts again in 0.4 s; its log: /logs/tts.log"


def test_an_orderly_end_is_not_worth_a_line_but_a_kill_is() -> None:
    assert told(Stopped(name="asr", after_s=0.2, was_killed=False)) == ""
    assert told(Stopped(name="asr", after_s=14, was_killed=True)) == "  asr did not end within 14 s and was killed"


def test_a_reminder_tells_apart_who_says_something_and_who_does_not() -> None:
    story = Story()
    for event in (
        Started(name="asr", pid=1),
        Started(name="agent", pid=2),
        BecameUnready(name="agent", reasons={"model": "loading"}),
        Started(name="nats", pid=3),
        BecameReady(name="nats", after_s=0.1),
    ):
        story.line(event)

    assert story.waiting() == "  still waiting for asr: no answer yet; agent: model (loading)"


def test_nothing_is_waited_for_when_all_are_ready() -> None:
    story = Story()
    story.line(Started(name="asr", pid=1))
    story.line(BecameReady(name="asr", after_s=1))

    assert story.waiting() == ""


def test_reasons_without_an_explanation_stand_alone() -> None:
    assert reasons({"model": "loading", "nats": ""}) == "model (loading), nats"


@pytest.mark.parametrize("seconds,said", [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (200, "3 min 20 s")])
def test_durations_are_as_precise_as_they_matter(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "door, says",
    [("ws://here/v1/talk", "parley talk FILE.wav   (ws://here/v1/talk)"), ("", "/join in a voice channel")],
)
def test_what_one_can_do_next_begins_with_the_door_that_is_open(door: str, says: str) -> None:
    parts = (Part(name="asr", url="http://asr", pid=1),)
    running = Running(
        assistant="a_b", pid=1, started_at=0.0, door=door, logs="/logs", parts=parts, token_file="", models=()
    )

    assert says in ways_on(running)[0]
