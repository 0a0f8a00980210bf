"""What the peer's page says must be what our caller understands, and how its turns are counted."""

from collections.abc import Sequence

import _peer_process
import msgspec
import pytest
import turns
from _corpus import Choice
from _peer_door import Event, Ledger

from parley_cli.errors import BadRequestError
from parley_contract import door

SPOKEN: Sequence[str] = ("user_started", "transcribed", "reply_started", "token", "token")


def said(ledger: Ledger, *happenings: str) -> list[Event]:
    arguments = {"transcribed": ("hello",), "token": ("word",)}
    return [event for name in happenings for event in getattr(ledger, name)(*arguments.get(name, ()))]


def kinds(events: Sequence[Event]) -> list[str]:
    return [event["event"] for event in events]


def test_everything_it_says_is_an_event_of_our_door() -> None:
    ledger = Ledger("peer")
    events = [ledger.greeting, *said(ledger, *SPOKEN, "sounds", "user_started")]

    decoded = [door.decode_event(msgspec.json.encode(event)) for event in events]

    assert [type(event) for event in decoded] == [
        door.Session,
        door.SpeechStarted,
        door.Transcript,
        door.Delta,
        door.Delta,
        door.Mark,
        door.Cut,
        door.Turn,
        door.SpeechStarted,
    ]


def test_a_turn_is_over_when_its_reply_was_played() -> None:
    events = said(Ledger("peer"), *SPOKEN, "sounds", "sounds", "bot_stopped")

    assert kinds(events) == ["speech_started", "transcript", "delta", "delta", "mark", "turn"]
    assert (events[-1]["report"]["outcome"], events[-1]["report"]["taken_back"]) == ("answered", 0)


def test_going_on_before_anything_was_heard_is_the_same_turn_and_counts_as_taken_back() -> None:
    events = said(Ledger("peer"), *SPOKEN, *SPOKEN, "sounds", "bot_stopped")

    assert {event["turn"] for event in events if "turn" in event} == {1}
    assert [event["index"] for event in events if event["event"] == "delta"] == [0, 1, 0, 1]
    assert events[-1]["report"]["taken_back"] == 1


def test_going_on_before_the_model_wrote_anything_takes_nothing_back() -> None:
    events = said(Ledger("peer"), "user_started", "transcribed", *SPOKEN, "sounds", "bot_stopped")

    assert events[-1]["report"]["taken_back"] == 0


def test_a_turn_of_which_nothing_was_understood_is_over_when_its_speaker_has_finished() -> None:
    nothing = said(Ledger("peer"), "user_started", "user_stopped")
    something = said(Ledger("peer"), "user_started", "transcribed", "user_stopped")

    assert (nothing[-1]["event"], nothing[-1]["report"]["outcome"]) == ("turn", "empty")
    assert kinds(something) == ["speech_started", "transcript"]


def test_a_transcript_that_begins_a_turn_by_itself_belongs_to_that_turn() -> None:
    events = said(Ledger("peer"), "transcribed", "user_started", "user_stopped")

    assert [(event["event"], event["turn"]) for event in events] == [("speech_started", 1), ("transcript", 1)]


def test_going_on_after_something_was_understood_is_no_turn_without_words() -> None:
    events = said(Ledger("peer"), "user_started", "transcribed", "user_started", "user_stopped")

    assert kinds(events) == ["speech_started", "transcript", "speech_started"]


def test_speaking_over_a_reply_that_is_heard_interrupts_it_and_begins_another_turn() -> None:
    events = said(Ledger("peer"), *SPOKEN, "sounds", *SPOKEN)

    assert kinds(events)[5:8] == ["cut", "turn", "speech_started"]
    assert events[6]["report"]["outcome"] == "interrupted"
    assert [event["turn"] for event in events if event["event"] == "delta"] == [1, 1, 2, 2]


def test_a_segment_of_a_turn_has_an_utterance_of_its_own() -> None:
    events = said(Ledger("peer"), "user_started", "transcribed", "transcribed")

    assert [event["utterance"] for event in events] == ["1-0", "1-0", "1-1"]


def test_the_peer_gets_our_models_and_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_peer_process, "pull", lambda _store, model: f"/models/{model.name}")

    settings = _peer_process.settings(turns.bench_assistant(), port=1, ollama_url="http://127.0.0.1:2")

    assert settings == {
        "port": 1,
        "whisper": "/models/tiny.en",
        "piper": "/models/en_US-joe-medium",
        "voice": "en_US-joe-medium",
        "ollama": "http://127.0.0.1:2",
        "model": "parley-bench-peer",
        "prompt": "You are a helpful assistant. Answer in one short sentence.",
        "temperature": 0.0,
        "num_predict": 24,
    }


def test_a_setting_of_turn_taking_is_checked_as_a_manifests_is() -> None:
    with pytest.raises(BadRequestError, match="endpointMs"):
        turns.taking_turns(turns.bench_assistant(), {"endpoint_ms": 5})


def test_what_is_not_asked_for_stays_as_the_manifest_has_it() -> None:
    sample = turns.bench_assistant()

    changed = turns.taking_turns(sample, {"endpointing": None, "endpoint_ms": 300})

    assert changed.spec.turn_taking.endpoint_ms == 300
    assert changed.spec.turn_taking.endpointing == sample.spec.turn_taking.endpointing


@pytest.mark.parametrize(
    "choice, endpoints_ms, is_usual, whole",
    [
        (Choice(half="test"), (), True, True),
        (Choice(half="test"), (), False, False),
        (Choice(half="test", turns=72), (), True, False),
        (Choice(half="all"), (), True, False),
        (Choice(half="test", kind="pause"), (), True, False),
        (Choice(half="test", turns=turns.CURVE_TURNS), turns.CURVE_MS, True, True),
        (Choice(half="test", turns=2), turns.CURVE_MS, True, False),
    ],
)
def test_only_a_whole_run_with_nothing_changed_reaches_the_page(
    choice: Choice, endpoints_ms: tuple[int, ...], *, is_usual: bool, whole: bool
) -> None:
    plan = turns.Plan(choice=choice, assistant=turns.bench_assistant(), is_usual=is_usual, endpoints_ms=endpoints_ms)

    assert plan.is_whole == whole
