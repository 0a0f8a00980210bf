"""A conversation made anew from its record and the tail of EVENTS, after a death at any moment."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import pytest

from parley_agent import takeover, turn_events, turns
from parley_agent.announcements import Speaker, announce
from parley_agent.engines import Usage
from parley_agent.history import Exchange, History
from parley_agent.turn_state import Conversation, Rules
from parley_contract.messages import (
    FinalTranscript,
    InterruptTurn,
    Message,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.subjects import Subjects

RULES = Rules(language="en", system_prompt="Be kind.", num_predict=60, max_context_turns=6, num_ctx=2048)
SPEAKER = Speaker(Subjects("test_libra"), "s", 1, "en", "scripted")


def of_turn(turn: int) -> dict[str, Any]:
    return {"session": "s", "epoch": 1, "turn": turn}


def asked(text: str, turn: int = 1) -> list[Message]:
    speech = {**of_turn(turn), "utterance": f"1-{turn}", "speaker": "me"}
    return [
        UtteranceStarted(**speech),
        UtteranceEnded(**speech, last_seq=9, reason="endpoint"),
        FinalTranscript(**speech, last_seq=9, outcome="speech", text=text),
    ]


def written(*pieces: str, turn: int = 1, revision: int = 0) -> list[turn_events.Event]:
    tokens = [turn_events.Tokens(turn=turn, revision=revision, text=piece) for piece in pieces]
    return [*tokens, turn_events.GenerationEnded(turn=turn, revision=revision, outcome="stop")]


def heard(phrase: int, turn: int = 1, revision: int = 0) -> list[Message]:
    fence = {**of_turn(turn), "revision": revision, "phrase": phrase}
    return [
        PhraseSynthesized(**fence, frames=50, engine="toy", first_audio_s=0.1, synthesis_s=0.2),
        PlaybackStarted(**fence),
        PhrasePlayed(**fence, played_ms=1000, whole=True),
    ]


def report(turn: int, outcome: Literal["answered", "interrupted", "failed"] = "answered") -> Message:
    return TurnReport(**of_turn(turn), speaker="me", outcome=outcome, started_at=0, speech_ms=1000)


class Life(NamedTuple):
    """What an agent came to, what of it was saved, and what EVENTS has."""

    state: Conversation
    saved: Conversation
    tail: list[Message]
    effects: list[turn_events.Effect]


def lived(events: Iterable[turn_events.Event], *, dies_after: int = 10**6, saves: bool = True) -> Life:
    """Let an agent live until it has carried out so many effects."""
    state = saved = Conversation(rules=RULES, epoch=1)
    tail: list[Message] = []
    done: list[turn_events.Effect] = []
    for event in events:
        if isinstance(event, Message) and not isinstance(event, InterruptTurn):
            tail.append(event)
        state, effects = turns.step(state, event, 0.0)
        for effect in effects:
            if len(done) == dies_after:
                return Life(state, saved, tail, done)
            done.append(effect)
            match effect:
                case turn_events.KeepHistory():
                    saved = state if saves else saved
                case turn_events.Generate() | turn_events.CancelGeneration() | turn_events.Synthesize():
                    pass
                case turn_events.Commit() | turn_events.Warm() | turn_events.DropPhrases():
                    pass
                case _:
                    tail.append(announce(effect, SPEAKER, usage=Usage(), at=0).message)
    return Life(state, saved, tail, done)


def successor(life: Life) -> tuple[Conversation, tuple[turn_events.Effect, ...]]:
    """Let another agent take over from what is left."""
    record = Conversation(rules=RULES, epoch=1, history=life.saved.history, over=life.saved.over)
    return takeover.take_over(record, life.tail, now=5.0)


def kinds(effects: Sequence[turn_events.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


WHOLE = [
    *asked("hello there"),
    *written("Hi.", " How are you?"),
    *heard(0),
    *heard(1),
    report(1),
    *asked("fine", turn=2),
    *written("Good.", turn=2),
    *heard(0, turn=2),
    report(2),
]
WHOLE_HISTORY = (Exchange("hello there", "Hi. How are you?"), Exchange("fine", "Good."))


def test_a_question_without_a_reply_is_asked_again_under_a_new_revision() -> None:
    life = lived(asked("hello there"), dies_after=0)

    state, effects = successor(life)

    generate, started = effects
    assert isinstance(started, turn_events.SayReplyStarted)
    assert generate == turn_events.Generate(turn=1, revision=1, user="hello there", history=History())
    assert state.turns[0].revision == 1


def test_a_reply_of_which_only_tokens_came_is_written_anew() -> None:
    life = lived([*asked("hello there"), turn_events.Tokens(turn=1, revision=0, text="Well")])

    _, effects = successor(life)

    assert kinds(effects) == ["Generate", "SayReplyStarted"]


def test_a_reply_in_the_middle_ends_with_what_it_has_and_all_of_that_is_spoken() -> None:
    begun = written("Hi.", " How are you? ", "I")[:-1]
    life = lived([*asked("hello there"), *begun])

    state, effects = successor(life)

    ended, *rest = effects
    assert isinstance(ended, turn_events.SayReplyEnded)
    assert (ended.phrases, ended.outcome, ended.reason, ended.revision) == (2, "cut", "agent_died", 0)
    assert [effect.text for effect in rest if isinstance(effect, turn_events.Synthesize)] == ["Hi.", "How are you?"]
    after, kept = turns.step(state, heard(1)[-1], 6.0)
    assert kinds(kept) == ["KeepHistory"]
    assert after.history.exchanges[0].user == "hello there"


def test_what_was_played_is_not_spoken_again() -> None:
    life = lived([*asked("hello there"), *written("Hi.", " How are you?", " Good?", " Yes?"), *heard(0)])

    _, effects = successor(life)

    assert [effect.phrase for effect in effects if isinstance(effect, turn_events.Synthesize)] == [1, 2]


def test_a_turn_that_ended_while_nobody_led_the_session_is_in_the_history() -> None:
    begun = [*asked("hello there"), *written("Hi.")]
    life = lived(begun)
    life.tail.extend([*heard(0), report(1)])

    state, effects = successor(life)

    assert state.history.exchanges == (Exchange("hello there", "Hi."),)
    assert kinds(effects) == ["KeepHistory"]


def test_half_an_utterance_waits_for_the_rest() -> None:
    life = lived(asked("hello there")[:2])

    state, effects = successor(life)
    _, then = turns.step(state, asked("hello there")[2], 6.0)

    assert effects == ()
    assert kinds(then) == ["Generate", "SayReplyStarted"]


def test_a_turn_of_another_epoch_is_no_business_of_this_one() -> None:
    life = lived(asked("hello there"))
    record = Conversation(rules=RULES, epoch=2)

    state, effects = takeover.take_over(record, life.tail, now=5.0)

    assert (state.turns, effects) == ((), ())


def test_an_interrupt_that_was_carried_out_is_remembered() -> None:
    interrupt = InterruptTurn(**of_turn(1), reason="client", phrase=0, played_ms=1000, phrase_ms=1000)
    life = lived([*asked("hello there"), *written("Hi.", " How are you?"), *heard(0), interrupt], saves=False)

    state, effects = successor(life)

    assert state.turns == ()
    assert state.history.exchanges == (Exchange("hello there", "Hi."),)
    assert kinds(effects) == ["KeepHistory"]


@pytest.mark.parametrize("saves", [True, False])
def test_the_history_is_that_of_the_dead_agent_whenever_it_died(*, saves: bool) -> None:
    for dies_after in range(len(lived(WHOLE).effects) + 1):
        life = lived(WHOLE, dies_after=dies_after, saves=saves)

        state, _ = successor(life)

        assert state.history == life.state.history, dies_after
        assert {turn.number for turn in state.turns} == {turn.number for turn in life.state.turns}, dies_after


def test_whenever_it_died_the_conversation_comes_to_the_same_end() -> None:
    """The successor hears the rest; a reply that it has to write anew is the same one."""
    for dies_after in range(len(lived(WHOLE).effects) + 1):
        life = lived(WHOLE, dies_after=dies_after)
        state, effects = successor(life)
        missed = WHOLE[_events_until(dies_after) :]
        for effect in effects:
            if isinstance(effect, turn_events.Generate):
                pieces = ["Hi.", " How are you?"] if effect.turn == 1 else ["Good."]
                for event in written(*pieces, turn=effect.turn, revision=effect.revision):
                    state, _ = turns.step(state, event, 6.0)

        for event in missed:
            state, _ = turns.step(state, event, 6.0)

        assert [exchange.user for exchange in state.history.exchanges] == ["hello there", "fine"], dies_after
        assert state.turns == (), dies_after


def _events_until(dies_after: int) -> int:
    """How many events of WHOLE an agent has taken in when it dies."""
    state, done = Conversation(rules=RULES, epoch=1), 0
    for number, event in enumerate(WHOLE):
        state, effects = turns.step(state, event, 0.0)
        done += len(effects)
        if done > dies_after:
            return number + 1
    return len(WHOLE)


def test_a_successor_corrects_what_the_dead_agent_had_guessed() -> None:
    begun = [*asked("hello"), *written("Hi."), *heard(0)[:2]]
    state = Conversation(rules=RULES, epoch=1)
    for event in begun:
        state, _ = turns.step(state, event, 0.0)
    for event in asked("stop", turn=2):
        state, _ = turns.step(state, event, 9.0)
    known = Conversation(
        rules=RULES, epoch=1, history=state.history, over=state.over, latest_replies=state.latest_replies
    )
    told = PhrasePlayed(**of_turn(1), phrase=0, played_ms=0, whole=False)

    after, effects = takeover.take_over(known, [*asked("hello"), told], 0.0)

    assert known.history.exchanges == (Exchange("hello", "Hi."),)
    assert after.history.exchanges == (Exchange("hello", ""),)
    assert turn_events.KeepHistory(after.history) in effects
