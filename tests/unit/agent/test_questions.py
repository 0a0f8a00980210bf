"""Before it is certain that somebody has finished: what the agent begins, keeps, drops and warms; as tables."""

from typing import Any

import pytest
from msgspec.structs import replace

from parley_agent import turn_events, turn_state, turns
from parley_agent.history import History
from parley_agent.speculation import agree, is_worth_warming, stable
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    InterruptTurn,
    Message,
    PartialTranscript,
    PlaybackStarted,
    SegmentStarted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.resource import Speculation

RULES = turn_state.Rules(
    language="en", system_prompt="", num_predict=60, max_context_turns=6, num_ctx=2048, speculation="llm"
)


class Talk:
    """A session whose user speaks; `utterance` 1-1 of turn 1 unless said otherwise."""

    def __init__(self, speculation: Speculation = "llm") -> None:
        self.state = turn_state.Conversation(rules=replace(RULES, speculation=speculation), epoch=1)
        self.effects: list[turn_events.Effect] = []

    def take(self, *events: turn_events.Event) -> list[turn_events.Effect]:
        """Return what follows from these."""
        before = len(self.effects)
        for event in events:
            self.state, effects = turns.step(self.state, event, 0.0)
            self.effects += effects
        return self.effects[before:]

    @property
    def turn(self) -> turn_state.Turn:
        return self.state.turns[0]


REFUSED = turn_events.GenerationEnded(turn=1, revision=0, outcome="refused")


def about(utterance: str = "1-1", turn: int = 1) -> dict[str, Any]:
    return {"session": "s", "epoch": 1, "turn": turn, "utterance": utterance, "speaker": "me"}


def candidate(text: str, covers_seq: int = 10, utterance: str = "1-1") -> Message:
    return CandidateTranscript(**about(utterance), text=text, covers_seq=covers_seq)


def partial(text: str, covers_seq: int = 20) -> Message:
    return PartialTranscript(**about(), number=1, text=text, covers_seq=covers_seq)


def resumed(latest_seq: int, utterance: str = "1-1") -> Message:
    return SegmentStarted(**about(utterance), latest_seq=latest_seq)


def ended(voiced_seq: int = 8, utterance: str = "1-1") -> Message:
    return UtteranceEnded(**about(utterance), last_seq=30, voiced_seq=voiced_seq, reason="endpoint")


def final(text: str, utterance: str = "1-1") -> Message:
    return FinalTranscript(**about(utterance), last_seq=30, outcome="speech", text=text)


def written(text: str, revision: int = 0) -> list[turn_events.Event]:
    return [
        *(turn_events.Tokens(turn=1, revision=revision, text=word) for word in text.split("|")),
        turn_events.GenerationEnded(turn=1, revision=revision, outcome="stop"),
    ]


def kinds(effects: list[turn_events.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def of(effects: list[turn_events.Effect], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def test_a_candidate_is_asked_and_said_to_be_and_the_reply_is_committed_by_the_end_alone() -> None:
    talk = Talk()

    asked = talk.take(candidate("What is it?"))
    grown = talk.take(*written("Good.| Bye."))
    committed = talk.take(ended())

    assert asked == [
        turn_events.Generate(turn=1, revision=0, user="What is it?", history=History(), is_speculative=True),
        turn_events.SayReplyStarted(turn=1, revision=0, utterance="1-1", covers_seq=10, is_early=True),
    ]
    assert of(grown, turn_events.Synthesize) == []
    assert committed[:2] == [
        turn_events.Commit(1),
        turn_events.SayReplyStarted(turn=1, revision=0, utterance="1-1", covers_seq=10, is_early=False),
    ]
    assert [work.phrase for work in of(committed, turn_events.Synthesize)] == [0, 1]
    assert talk.take(final("What is it?")) == []


@pytest.mark.parametrize("speculation, phrases", [("llm", []), ("tts", [0])])
def test_only_the_first_phrase_of_a_guess_is_spoken_and_only_where_that_is_wanted(
    speculation: Speculation, phrases: list[int]
) -> None:
    talk = Talk(speculation)

    effects = talk.take(candidate("What is it?"), *written("Good.| Bye."))

    assert [work.phrase for work in of(effects, turn_events.Synthesize)] == phrases


@pytest.mark.parametrize("speculation", ["off", "asr"])
def test_without_speculation_nobody_asks_before_the_end_and_the_candidate_is_the_question_then(
    speculation: Speculation,
) -> None:
    talk = Talk(speculation)

    assert talk.take(candidate("What is it?")) == []
    effects = talk.take(ended())

    assert [(asked.user, asked.is_speculative) for asked in of(effects, turn_events.Generate)] == [
        ("What is it?", False)
    ]


def test_another_question_drops_what_was_begun_takes_its_phrases_away_and_counts_it_as_waste() -> None:
    talk = Talk("tts")
    talk.take(candidate("Who is it?"), turn_events.Tokens(turn=1, revision=0, text="A pronoun. "))

    effects = talk.take(candidate("What is the time?", covers_seq=20))

    assert kinds(effects) == ["CancelGeneration", "DropPhrases", "Generate", "SayReplyStarted"]
    [asked] = of(effects, turn_events.Generate)
    assert (asked.user, asked.revision) == ("What is the time?", 1)
    assert talk.turn.wasted == 1
    told = of(talk.take(ended(18), *written("Late.", revision=1)), turn_events.SayReplyEnded)
    assert [reply.wasted_tokens for reply in told] == [1]


def test_words_that_cannot_be_all_are_not_asked() -> None:
    talk = Talk()

    assert talk.take(candidate("What is the time in the")) == []


def test_the_same_question_in_other_spelling_changes_nothing() -> None:
    talk = Talk()
    talk.take(candidate("what is it"))

    assert talk.take(candidate("What is it?", covers_seq=20)) == []


def test_who_spoke_on_after_the_candidate_is_answered_by_the_final_alone() -> None:
    talk = Talk()
    talk.take(candidate("Who is it?"))

    assert talk.take(ended(voiced_seq=20)) == []
    effects = talk.take(final("What is the time?"))

    assert kinds(effects) == ["CancelGeneration", "Generate", "SayReplyStarted"]
    assert of(effects, turn_events.Generate)[0].user == "What is the time?"


def test_a_noise_after_the_candidate_keeps_the_reply_and_says_what_it_covers_now() -> None:
    talk = Talk()
    talk.take(candidate("What is it?"), ended(voiced_seq=20))

    effects = talk.take(final("What is it?"))

    assert kinds(effects)[:2] == ["Commit", "SayReplyStarted"]
    assert of(effects, turn_events.SayReplyStarted)[0].covers_seq == 30


@pytest.mark.parametrize(
    "text, is_kept",
    [("What is it?", True), ("What is it about", False)],
)
def test_a_partial_that_says_more_than_the_guess_ends_it(text: str, is_kept: bool) -> None:  # noqa: FBT001  # a table
    talk = Talk()
    talk.take(candidate("What is it?"))

    talk.take(partial(text))

    assert (talk.turn.reply is not None) is is_kept


def test_a_partial_from_before_the_candidate_says_nothing_about_it() -> None:
    talk = Talk()
    talk.take(candidate("What is it?", covers_seq=40))

    assert talk.take(partial("What", covers_seq=30)) == []


def test_speech_that_goes_on_ends_a_guess_before_any_words_say_so() -> None:
    talk = Talk("tts")
    talk.take(candidate("Who is it?"), turn_events.Tokens(turn=1, revision=0, text="A pronoun. "))

    assert kinds(talk.take(resumed(25))) == ["CancelGeneration", "DropPhrases"]
    [asked] = of(talk.take(candidate("Who is it for?", covers_seq=40)), turn_events.Generate)

    assert (asked.user, asked.revision) == ("Who is it for?", 1)
    assert talk.turn.wasted == 1


def test_a_pause_that_was_over_when_its_words_came_begins_nothing() -> None:
    talk = Talk()

    assert talk.take(resumed(25), candidate("Who is it?", covers_seq=10)) == []
    assert kinds(talk.take(ended(voiced_seq=8))) == ["Generate", "SayReplyStarted"]


def test_the_end_of_an_earlier_pause_that_comes_late_leaves_the_guess_of_the_next_alone() -> None:
    talk = Talk()
    talk.take(candidate("Who is it for?", covers_seq=40))

    assert talk.take(resumed(25)) == []
    assert talk.turn.reply is not None


def test_a_reply_of_which_something_was_heard_waits_for_words_before_it_is_dropped() -> None:
    talk = Talk("tts")
    talk.take(candidate("What is it?"), ended(), *written("Good.| Bye."))
    talk.take(PlaybackStarted(session="s", epoch=1, turn=1, phrase=0))
    talk.take(UtteranceStarted(**about("1-2"), continues="1-1"))

    assert talk.take(candidate("...", covers_seq=10, utterance="1-2"), resumed(25, "1-2")) == []
    assert talk.turn.reply is not None


def test_a_final_that_differs_after_the_first_phrase_takes_all_of_it_back() -> None:
    talk = Talk("tts")
    talk.take(candidate("Who is it?"), turn_events.Tokens(turn=1, revision=0, text="A pronoun. "))

    effects = talk.take(ended(voiced_seq=20), final("What is the time?"))

    assert kinds(effects) == ["CancelGeneration", "DropPhrases", "Generate", "SayReplyStarted"]
    assert [(asked.revision, asked.is_speculative) for asked in of(effects, turn_events.Generate)] == [(1, False)]


def test_a_model_that_fails_after_its_first_phrase_while_that_is_held_is_asked_again_at_the_end() -> None:
    talk = Talk("tts")
    talk.take(candidate("What is it?"), turn_events.Tokens(turn=1, revision=0, text="A box. "))

    failed = talk.take(turn_events.GenerationEnded(turn=1, revision=0, outcome="failed", reason="model_failed"))
    effects = talk.take(ended())

    assert kinds(failed) == ["DropPhrases"]
    assert [(asked.revision, asked.is_speculative) for asked in of(effects, turn_events.Generate)] == [(1, False)]
    assert of([*failed, *effects], turn_events.SayReplyEnded) == []


@pytest.mark.parametrize("is_interrupt_first", [False, True])
def test_a_commit_and_an_interrupt_that_overtake_each_other_end_the_turn_once_and_nothing_is_remembered_as_heard(
    *, is_interrupt_first: bool
) -> None:
    talk = Talk("tts")
    talk.take(candidate("What is it?"), turn_events.Tokens(turn=1, revision=0, text="A box. "))
    interrupt = InterruptTurn(session="s", epoch=1, turn=1, reason="client", phrase=-1, played_ms=0, phrase_ms=0)
    report = TurnReport(session="s", epoch=1, turn=1, speaker="me", outcome="interrupted", started_at=0, speech_ms=0)

    effects = talk.take(*([interrupt, ended()] if is_interrupt_first else [ended(), interrupt]), report)

    assert len(of(effects, turn_events.CancelGeneration)) == 1
    assert talk.state.turns == ()
    assert [(exchange.user, exchange.heard) for exchange in talk.state.history.exchanges] == [("What is it?", "")]


def test_a_guess_that_is_refused_is_asked_again_when_there_is_a_question() -> None:
    talk = Talk()
    talk.take(candidate("What is it?"))

    refused = talk.take(REFUSED)
    effects = talk.take(ended())

    assert refused == []
    assert [(asked.revision, asked.is_speculative) for asked in of(effects, turn_events.Generate)] == [(1, False)]


def test_a_guess_that_is_refused_in_the_moment_of_the_endpoint_is_asked_again_at_once() -> None:
    talk = Talk()
    talk.take(candidate("What is it?"), ended())

    effects = talk.take(REFUSED)
    talk.take(REFUSED, *written("Good.", revision=1))

    assert [(asked.revision, asked.is_speculative) for asked in of(effects, turn_events.Generate)] == [(1, False)]
    assert [(said.revision, said.is_early) for said in of(effects, turn_events.SayReplyStarted)] == [(1, False)]
    [told] = of(talk.effects, turn_events.SayReplyEnded)
    assert (told.revision, told.outcome, told.phrases) == (1, "complete", 1)


def test_a_long_utterance_warms_the_model_with_the_words_that_two_partials_agree_on() -> None:
    talk = Talk()

    first = talk.take(partial("Tell me about the rain", covers_seq=50))
    second = talk.take(partial("Tell me about the range of", covers_seq=100))
    third = talk.take(partial("Tell me about the range of mountains", covers_seq=150))

    assert first == []
    assert second == [turn_events.Warm(history=History(), user="Tell me about the")]
    assert third == []


def test_another_utterance_reopens_the_turn_and_both_are_the_question() -> None:
    talk = Talk()
    talk.take(candidate("What is the time"), ended(), *written("Noon.| It is."))

    reopened = talk.take(UtteranceStarted(**about("1-2"), continues="1-1"))
    assert reopened == []
    assert not talk.turn.is_committed
    effects = talk.take(candidate("in Paris?", utterance="1-2"), ended(utterance="1-2"))

    asked = of(effects, turn_events.Generate)
    assert [(each.user, each.revision) for each in asked] == [("What is the time in Paris?", 1)]
    assert kinds(effects)[-2:] == ["Commit", "SayReplyStarted"]


def test_a_turn_reopened_by_a_noise_keeps_its_reply() -> None:
    talk = Talk()
    talk.take(candidate("What is the time?"), ended(), *written("Noon."))

    silence = FinalTranscript(**about("1-2"), last_seq=10, outcome="silence")
    effects = talk.take(UtteranceStarted(**about("1-2"), continues="1-1"), silence, ended(utterance="1-2"))

    assert of(effects, turn_events.Generate) == []
    assert of(effects, turn_events.SayReplyStarted) == [
        turn_events.SayReplyStarted(turn=1, revision=0, utterance="1-2", covers_seq=10, is_early=False)
    ]


def test_a_turn_that_is_over_before_its_speaker_had_finished_ends_its_guess() -> None:
    talk = Talk()
    talk.take(candidate("What is it?"))

    report = TurnReport(
        session="s", epoch=1, turn=1, speaker="me", outcome="interrupted", reason="closed", started_at=0, speech_ms=0
    )

    assert kinds(talk.take(report)) == ["CancelGeneration"]
    assert talk.state.turns == ()
    assert talk.state.history == History()


@pytest.mark.parametrize(
    "guess, said, same",
    [
        ("What's the time", "what's the time?", True),
        ("안녕 하세요", "안녕하세요.", True),
        ("Ⅳ", "iv", True),
        ("What is the time", "What was the time", False),
        ("", "hello", False),
    ],
)
def test_questions_are_the_same_in_whatever_spelling(guess: str, said: str, *, same: bool) -> None:
    assert agree(guess, said) is same


@pytest.mark.parametrize(
    "before, now, agreed",
    [
        ("", "Tell me", ""),
        ("Tell me a", "Tell me about", "Tell me"),
        ("Tell me about it", "Tell me", "Tell me"),
        ("Sell me", "Tell me", ""),
    ],
)
def test_the_front_that_two_partials_share_is_stable(before: str, now: str, agreed: str) -> None:
    assert stable(before, now) == agreed


def test_a_request_is_not_worth_a_word() -> None:
    assert is_worth_warming("", "Tell me about")
    assert not is_worth_warming("Tell me about", "Tell me about the rain")


def of_turn(turn: int, utterance: str, speaker: str, name: str, text: str) -> list[Message]:
    fields: dict[str, Any] = {"session": "s", "epoch": 1, "turn": turn, "utterance": utterance, "speaker": speaker}
    return [
        UtteranceStarted(**fields, name=name),
        UtteranceEnded(**fields, last_seq=30, voiced_seq=8, reason="endpoint"),
        FinalTranscript(**fields, last_seq=30, outcome="speech", text=text),
    ]


def test_where_there_are_others_a_question_says_who_asks_it() -> None:
    talk = Talk("off")

    talk.take(*of_turn(1, "1-1", "7", "Mina", "What is rain?"))
    talk.take(*of_turn(2, "1-2", "8", "Jun", "And snow?"))

    assert [asked.user for asked in of(talk.effects, turn_events.Generate)] == ["Mina: What is rain?", "Jun: And snow?"]
    assert [exchange.user for exchange in talk.state.history.exchanges] == ["Mina: What is rain?"]


def test_whoever_began_first_and_finished_last_is_replied_to() -> None:
    talk = Talk("off")
    [long_started, *long] = of_turn(1, "1-1", "7", "Mina", "A long question")

    talk.take(long_started, *of_turn(2, "1-2", "8", "Jun", "Yes"))
    talk.take(*long)

    assert [asked.turn for asked in of(talk.effects, turn_events.Generate)] == [2, 1]
    assert [said.turn for said in of(talk.effects, turn_events.SayInterrupted)] == [2]


def test_an_agent_that_takes_over_knows_of_the_turn_that_others_have_overtaken() -> None:
    talk = Talk("off")
    [long_started, *long] = of_turn(1, "1-1", "7", "Mina", "A long question")
    talk.take(long_started, *of_turn(2, "1-2", "8", "Jun", "Yes"))
    talk.take(TurnReport(session="s", epoch=1, turn=2, speaker="8", outcome="interrupted", started_at=0, speech_ms=0))
    before = talk.state

    after = Talk("off")
    after.state = replace(after.state, history=before.history, over=before.over, behind=before.still_open)
    after.take(long_started, *long)

    assert (before.over, before.still_open) == (2, frozenset({1}))
    assert [asked.user for asked in of(after.effects, turn_events.Generate)] == ["Mina: A long question"]
    after.take(TurnReport(session="s", epoch=1, turn=1, speaker="7", outcome="answered", started_at=0, speech_ms=0))
    assert (after.state.behind, after.state.is_over(1)) == (frozenset(), True)
