"""The agent's reducer as tables: what commits a turn, how a reply is said, and what history remembers."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_agent import turn_events, turn_state, turns
from parley_agent.history import Exchange
from parley_contract.messages import (
    FinalTranscript,
    InterruptTurn,
    Message,
    PhraseFailed,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)

RULES = turn_state.Rules(language="en", system_prompt="Be kind.", num_predict=60, max_context_turns=6, num_ctx=2048)


def fresh() -> turn_state.Conversation:
    return turn_state.Conversation(rules=RULES, epoch=1)


def play(
    state: turn_state.Conversation, events: Iterable[turn_events.Event], now: float = 0.0
) -> tuple[turn_state.Conversation, list[turn_events.Effect]]:
    effects: list[turn_events.Effect] = []
    for event in events:
        state, more = turns.step(state, event, now)
        effects += more
    return state, effects


def of_turn(turn: int = 1, epoch: int = 1) -> dict[str, Any]:
    return {"session": "s", "epoch": epoch, "turn": turn}


def spoken(
    text: str,
    turn: int = 1,
    utterance: str = "1-1",
    reason: Literal["endpoint", "max_length"] = "endpoint",
    outcome: Literal["speech", "silence", "failed"] = "speech",
) -> list[Message]:
    speech = {**of_turn(turn), "utterance": utterance, "speaker": "me"}
    return [
        UtteranceStarted(**speech),
        UtteranceEnded(**speech, last_seq=9, reason=reason),
        FinalTranscript(**speech, last_seq=9, outcome=outcome, text=text),
    ]


def tokens(text: str, turn: int = 1) -> list[turn_events.Event]:
    return [turn_events.Tokens(turn=turn, revision=0, text=piece) for piece in text.split("|")]


def generated(turn: int = 1, outcome: Literal["stop", "length"] = "stop") -> turn_events.GenerationEnded:
    return turn_events.GenerationEnded(turn=turn, revision=0, outcome=outcome)


def heard(phrase: int, turn: int = 1) -> list[Message]:
    return [
        PlaybackStarted(**of_turn(turn), phrase=phrase),
        PhrasePlayed(**of_turn(turn), phrase=phrase, played_ms=1000, whole=True),
    ]


def kinds(effects: Iterable[turn_events.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def only(effects: Iterable[turn_events.Effect], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


REPLIED = [*spoken("hello there"), *tokens("Hi.| How are| you?| Fine."), generated()]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_turn_commits_once_whatever_came_last(order: tuple[int, ...]) -> None:
    events = spoken("hello")

    _, effects = play(fresh(), [events[number] for number in order] + events)

    assert kinds(effects) == ["Generate", "SayReplyStarted"]


def test_utterances_stand_in_the_order_of_speaking_whichever_transcript_came_first() -> None:
    first = spoken("tell me", reason="max_length")
    second = spoken("a story", utterance="1-2")

    _, effects = play(fresh(), [second[2], *first, *second[:2]])

    assert [generate.user for generate in only(effects, turn_events.Generate)] == ["tell me a story"]


def test_nothing_commits_before_the_transcript() -> None:
    _, effects = play(fresh(), spoken("hello")[:2])

    assert effects == []


def test_a_cut_utterance_goes_on_in_the_next_and_both_make_the_question() -> None:
    events = [*spoken("tell me", reason="max_length"), *spoken("a story", utterance="1-2")]

    _, effects = play(fresh(), events)

    assert [generate.user for generate in only(effects, turn_events.Generate)] == ["tell me a story"]


@pytest.mark.parametrize(
    "heard_as, outcome",
    [("silence", "empty"), ("failed", "failed")],
)
def test_a_turn_without_words_is_dismissed_once(heard_as: Literal["silence", "failed"], outcome: str) -> None:
    events = spoken("", outcome=heard_as)

    state, effects = play(fresh(), [*events, *events])

    assert kinds(effects) == ["Dismiss"]
    assert only(effects, turn_events.Dismiss)[0].outcome == outcome
    assert state.history.exchanges == ()


def test_phrases_are_said_in_order_and_synthesized_two_ahead_of_playback() -> None:
    state, effects = play(fresh(), REPLIED)
    assert [phrase.text for phrase in only(effects, turn_events.SayPhrase)] == ["Hi.", "How are you?", "Fine."]
    assert [work.phrase for work in only(effects, turn_events.Synthesize)] == [0, 1]

    state, effects = play(state, [PlaybackStarted(**of_turn(), phrase=0)])

    assert [work.phrase for work in only(effects, turn_events.Synthesize)] == [2]


def test_a_phrase_that_failed_does_not_hold_back_the_next() -> None:
    state, _ = play(fresh(), REPLIED)

    _, effects = play(state, [PhraseFailed(**of_turn(), phrase=0, reason="no engine")])

    assert [work.phrase for work in only(effects, turn_events.Synthesize)] == [2]


def test_history_has_what_was_said_once_everything_was_heard() -> None:
    state, effects = play(fresh(), [*REPLIED, *heard(0), *heard(1), *heard(2)])

    assert state.history.exchanges == (Exchange("hello there", "Hi. How are you? Fine."),)
    assert kinds(effects)[-1] == "KeepHistory"
    assert state.turns == ()


def test_a_reply_cut_at_num_predict_ends_at_its_last_sentence() -> None:
    events = [*spoken("hello"), *tokens("All is well.| And then the"), generated(outcome="length")]

    _, effects = play(fresh(), events)

    assert [phrase.text for phrase in only(effects, turn_events.SayPhrase)] == ["All is well."]
    assert only(effects, turn_events.SayReplyEnded)[0].outcome == "cut"


def test_half_a_sentence_whose_beginning_was_said_is_said_to_its_end() -> None:
    events = [*spoken("hello"), *tokens("On the other hand, |it may"), generated(outcome="length")]

    _, effects = play(fresh(), events)

    assert [phrase.text for phrase in only(effects, turn_events.SayPhrase)] == ["On the other hand,", "it may"]


def test_a_client_interrupt_keeps_only_the_words_heard() -> None:
    state, _ = play(fresh(), [*REPLIED, *heard(0)])
    interrupt = InterruptTurn(**of_turn(), reason="client", phrase=1, played_ms=700, phrase_ms=1000)

    state, effects = play(state, [interrupt, interrupt])

    assert state.history.exchanges == (Exchange("hello there", "Hi. How are"),)
    assert kinds(effects) == ["SayInterrupted", "KeepHistory"]
    assert only(effects, turn_events.SayInterrupted)[0].revision == 1


def synthesized(phrase: int, frames: int = 50, turn: int = 1) -> PhraseSynthesized:
    return PhraseSynthesized(**of_turn(turn), phrase=phrase, frames=frames, engine="x", first_audio_s=0, synthesis_s=0)


def test_an_interrupt_that_tells_that_nothing_was_heard_is_believed_whatever_time_allows() -> None:
    state, _ = play(fresh(), [*REPLIED, synthesized(0), PlaybackStarted(**of_turn(), phrase=0)])
    interrupt = InterruptTurn(**of_turn(), reason="client", phrase=-1, played_ms=0, phrase_ms=0)

    state, _ = play(state, [interrupt], now=5.0)

    assert state.history.exchanges == (Exchange("hello there", ""),)


def test_a_phrase_that_broke_off_is_not_whole_because_a_later_one_was_interrupted() -> None:
    broken_off = PhrasePlayed(**of_turn(), phrase=0, played_ms=20, whole=False)
    interrupt = InterruptTurn(**of_turn(), reason="client", phrase=1, played_ms=700, phrase_ms=1000)

    state, _ = play(fresh(), [*REPLIED, synthesized(0), broken_off, interrupt])

    assert state.history.exchanges == (Exchange("hello there", "How are"),)


def test_what_was_guessed_of_an_interrupted_reply_is_corrected_by_what_was_played() -> None:
    state, _ = play(fresh(), [*REPLIED, synthesized(0), PlaybackStarted(**of_turn(), phrase=0)])
    state, _ = play(state, spoken("stop", turn=2, utterance="1-2"), now=9.0)
    assert state.history.exchanges == (Exchange("hello there", "Hi."),)

    state, effects = play(state, [PhrasePlayed(**of_turn(), phrase=0, played_ms=0, whole=False)])

    assert state.history.exchanges == (Exchange("hello there", ""),)
    assert kinds(effects) == ["KeepHistory"]


def test_a_guess_ends_with_the_report_of_its_turn() -> None:
    state, _ = play(fresh(), [*REPLIED, synthesized(0), PlaybackStarted(**of_turn(), phrase=0)])
    state, _ = play(state, spoken("stop", turn=2, utterance="1-2"), now=9.0)
    report = TurnReport(**of_turn(), speaker="me", outcome="interrupted", started_at=0, speech_ms=0)

    state, _ = play(state, [report])

    assert state.history.exchanges == (Exchange("hello there", ""),)


def test_of_a_reply_whose_gateway_died_only_what_it_told_was_heard() -> None:
    state, _ = play(fresh(), [*REPLIED, *heard(0), synthesized(1), PlaybackStarted(**of_turn(), phrase=1)])

    state, _ = play(state, [turn_events.GatewayLost()], now=20.0)

    assert state.history.exchanges == (Exchange("hello there", "Hi."),)


def test_a_guess_ends_with_the_gateway_that_could_have_said() -> None:
    state, _ = play(fresh(), [*REPLIED, synthesized(0), PlaybackStarted(**of_turn(), phrase=0)])
    state, _ = play(state, spoken("stop", turn=2, utterance="1-2"), now=9.0)

    state, _ = play(state, [turn_events.GatewayLost()])

    assert state.history.exchanges == (Exchange("hello there", ""), Exchange("stop", ""))


def test_an_interrupt_while_the_model_writes_cancels_it_and_drops_what_it_still_says() -> None:
    state, _ = play(fresh(), [*spoken("hello"), *tokens("Hi.| How")])
    interrupt = InterruptTurn(**of_turn(), reason="client", phrase=-1, played_ms=0, phrase_ms=0)

    state, effects = play(state, [interrupt, *tokens(" are you?"), generated()])

    assert kinds(effects) == ["CancelGeneration", "SayInterrupted", "KeepHistory"]
    assert state.history.exchanges == (Exchange("hello", ""),)


def test_a_newer_turn_interrupts_the_older_and_history_gets_the_share_that_time_allows() -> None:
    state, _ = play(fresh(), REPLIED)
    state, _ = play(
        state, [PhraseSynthesized(**of_turn(), phrase=0, frames=10, engine="x", first_audio_s=0, synthesis_s=0)]
    )
    state, _ = play(
        state, [PhraseSynthesized(**of_turn(), phrase=1, frames=50, engine="x", first_audio_s=0, synthesis_s=0)]
    )
    state, _ = play(state, [*heard(0), PlaybackStarted(**of_turn(), phrase=1)], now=10.0)

    state, effects = play(state, spoken("stop", turn=2, utterance="1-2"), now=10.7)

    assert state.history.exchanges == (Exchange("hello there", "Hi. How are"),)
    assert only(effects, turn_events.Generate)[0].history == state.history


def test_noise_while_the_assistant_speaks_does_not_stop_it() -> None:
    state, _ = play(fresh(), REPLIED)

    state, effects = play(
        state, [*spoken("", turn=2, utterance="1-2", outcome="silence"), *heard(0), *heard(1), *heard(2)]
    )

    assert kinds(effects) == ["Dismiss", "Synthesize", "KeepHistory"]
    assert state.history.exchanges == (Exchange("hello there", "Hi. How are you? Fine."),)


def test_a_model_that_fails_ends_the_reply_with_the_reason() -> None:
    failed = turn_events.GenerationEnded(turn=1, revision=0, outcome="failed", reason="model_failed")

    state, effects = play(fresh(), [*spoken("hello"), failed])

    assert only(effects, turn_events.SayReplyEnded)[0].outcome == "failed"
    assert state.turns == ()


def test_messages_of_another_epoch_change_nothing() -> None:
    state = fresh()
    other = PlaybackStarted(**of_turn(epoch=2), phrase=0)

    assert turns.step(state, other, 0.0) == (state, ())


def test_the_gateways_report_closes_a_turn_whose_last_playback_message_was_lost() -> None:
    report = TurnReport(**of_turn(), speaker="me", outcome="answered", started_at=0.0, speech_ms=1.0)

    state, effects = play(fresh(), [*REPLIED, *heard(0), report, report])

    assert state.history.exchanges == (Exchange("hello there", "Hi."),)
    assert kinds(effects).count("KeepHistory") == 1


STORY: list[turn_events.Event] = [
    *REPLIED,
    *heard(0),
    *heard(1),
    *heard(2),
    *spoken("and you?", turn=2, utterance="1-2"),
]
FROM_MODEL = (turn_events.Tokens, turn_events.GenerationEnded)


def shuffled(order: list[int]) -> list[turn_events.Event]:
    """Messages in any order; what the model says comes from one task and stays in its own."""
    from_model = iter(event for event in STORY if isinstance(event, FROM_MODEL))
    return [next(from_model) if isinstance(STORY[number], FROM_MODEL) else STORY[number] for number in order]


@given(st.permutations(range(len(STORY))), st.lists(st.integers(0, len(STORY) - 1), max_size=10))
def test_in_any_order_nothing_is_generated_twice_and_nothing_unsaid_is_remembered(
    order: list[int], again: list[int]
) -> None:
    messages_again = [STORY[number] for number in again if not isinstance(STORY[number], FROM_MODEL)]

    state, effects = play(fresh(), [*shuffled(order), *messages_again])

    generated_turns = [effect.turn for effect in only(effects, turn_events.Generate)]
    said = " ".join(effect.text for effect in only(effects, turn_events.SayPhrase)).split()
    assert sorted(set(generated_turns)) == sorted(generated_turns)
    assert all(word in said for exchange in state.history.exchanges for word in exchange.heard.split())
    assert len(state.history.exchanges) <= 2


# Found by the model checker (tests/unit/conversation).


def reported(turn: int = 1) -> TurnReport:
    return TurnReport(**of_turn(turn), speaker="me", outcome="interrupted", started_at=0, speech_ms=900)


def test_a_report_that_outruns_what_was_said_ends_the_turn_all_the_same() -> None:
    state, effects = play(fresh(), [reported(), *spoken("hello")])

    assert effects == []
    assert state.turns == ()


def test_a_question_whose_transcript_comes_after_the_reply_to_the_next_is_remembered_and_not_answered() -> None:
    first, second = spoken("one"), spoken("two", turn=2, utterance="1-2")

    state, effects = play(fresh(), [*first[:2], *second, first[2]])

    assert [generate.user for generate in only(effects, turn_events.Generate)] == ["two"]
    assert [interrupted.turn for interrupted in only(effects, turn_events.SayInterrupted)] == [1]
    assert state.history.exchanges == (Exchange("one", ""),)


def test_a_gateway_that_dies_between_the_last_sound_and_its_report_leaves_a_turn_to_account_for() -> None:
    state, _ = play(fresh(), [*spoken("hello"), *tokens("Hi."), generated(), *heard(0)])

    _, effects = turns.step(state, turn_events.GatewayLost(), 1.0)

    assert [(effect.turn, effect.reason) for effect in only(effects, turn_events.AccountFor)] == [(1, "gateway_died")]


def test_a_turn_that_was_reported_is_not_accounted_for_again() -> None:
    state, _ = play(fresh(), [*spoken("hello"), *tokens("Hi."), generated(), *heard(0), reported()])

    _, effects = turns.step(state, turn_events.GatewayLost(), 1.0)

    assert effects == ()
