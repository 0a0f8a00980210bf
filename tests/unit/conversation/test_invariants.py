"""The promises of design section 2, under every order, repetition, loss and death that the player of the game finds."""

import os
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley_agent import turn_events as agent_events
from parley_agent import turns as agent_turns
from parley_agent.history import Exchange, History
from parley_agent.turn_state import Conversation
from parley_agent.turns import Step
from parley_contract.messages import Message, TurnReport
from parley_gateway import turn_events as gateway_events
from parley_gateway import turns as gateway_turns
from parley_gateway.cues import FrameArrived
from parley_gateway.turn_events import ClientInterrupted, Effect
from parley_gateway.turn_state import TurnRules, Turns
from parley_testkit.conversation_world import Misfortune, Reducers, World

EXAMPLES = int(os.environ.get("PARLEY_EXAMPLES", "300"))
"""Games of each kind; `make chaos` plays many more."""
ANYTHING = st.lists(st.integers(0, 10**6), max_size=120)
"""Which of the possible moves is made, again and again."""


def played(world: World, choices: Sequence[int]) -> World:
    for choice in choices:
        moves = world.moves()
        if not moves:
            break
        world.make(moves[choice % len(moves)])
    world.settle()
    return world


def complaints(world: World, choices: Sequence[int]) -> list[str]:
    found = played(world, choices).complaints()
    note("\n".join(world.log))
    return found


def test_without_misfortune_every_question_is_answered_and_remembered() -> None:
    world = played(World(questions=3), [])

    assert world.complaints() == []
    assert [report.outcome for report in world.reports] == ["answered"] * 3
    assert world.agent is not None
    assert [exchange.heard for exchange in world.agent.history.exchanges] == ["One. Two."] * 3


@given(ANYTHING)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_the_order(choices: list[int]) -> None:
    assert complaints(World(questions=3, interrupts=1), choices) == []


@given(ANYTHING)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_is_lost_or_comes_twice(choices: list[int]) -> None:
    may = Misfortune(losses=3, repetitions=6)

    assert complaints(World(questions=2, interrupts=1, may=may), choices) == []


@given(ANYTHING)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whoever_dies_after_whatever_effect(choices: list[int]) -> None:
    may = Misfortune(crashes=3, losses=1, repetitions=2)

    assert complaints(World(questions=2, interrupts=1, may=may), choices) == []


def deviations(world: Callable[[], World], before: Sequence[int], window: int) -> Iterator[list[int]]:
    """Every way to leave the usual course once more, at most `window` moves after `before`."""
    course = world()
    for choice in before:
        course.make(course.moves()[choice])
    for waits in range(window):
        moves = course.moves()
        if not moves:
            return
        yield from ([*before, *[0] * waits, other] for other in range(1, len(moves)))
        course.make(moves[0])


def test_every_single_misfortune_in_every_moment_of_two_questions() -> None:
    def world() -> World:
        return World(questions=2, interrupts=1, may=Misfortune(crashes=1, losses=1, repetitions=1))

    games = list(deviations(world, [], 200))

    wrong = {tuple(game): found for game in games if (found := played(world(), game).complaints())}
    assert len(games) > 500
    assert wrong == {}


def test_every_two_misfortunes_close_to_each_other_in_one_question() -> None:
    def world() -> World:
        return World(questions=1, phrases=1, may=Misfortune(crashes=2, losses=1, repetitions=1))

    games = [
        second for first in deviations(world, [], 200) for second in deviations(world, first, 1 + EXAMPLES // 1000)
    ]

    wrong = {tuple(game): found for game in games if (found := played(world(), game).complaints())}
    assert len(games) > 1000
    assert wrong == {}


# A checker that finds nothing may be blind: each of these reducers breaks one promise, and is caught.


def gluing(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that takes the second attempt at a phrase for more of the first."""
    if isinstance(event, FrameArrived):
        event = replace(event, frame=replace(event.frame, attempt=1))
    return gateway_turns.step(state, event, now)


def talking_on(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that ends the turn when its listener wants quiet, and plays on."""
    after, effects = gateway_turns.step(state, event, now)
    return (replace(after, playback=state.playback) if isinstance(event, ClientInterrupted) else after), effects


def patient(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway whose watchdog sleeps."""
    return gateway_turns.step(replace(state, rules=TurnRules(hold_after_s=90, fail_after_s=99)), event, now)


def presumptuous(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that takes for heard what it has written."""
    state, effects = agent_turns.step(state, event, now)
    turns = tuple(
        replace(turn, reply=replace(turn.reply, shares=tuple((n, 1.0) for n in range(len(turn.reply.phrases)))))
        for turn in state.turns
        if turn.reply
    )
    return replace(state, turns=(*(turn for turn in state.turns if not turn.reply), *turns)), effects


def inattentive(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that does not listen to how turns ended."""
    return (state, ()) if isinstance(event, TurnReport) else agent_turns.step(state, event, now)


def hasty(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that writes history when a question is asked, and again when it is answered."""
    state, effects = agent_turns.step(state, event, now)
    for effect in effects:
        if isinstance(effect, agent_events.Generate):
            exchanges = (*state.history.exchanges, Exchange(effect.user, ""))
            state = replace(state, history=History(exchanges))
    return state, effects


def careless(state: Conversation, tail: Sequence[Message], now: float) -> Step:
    """An agent that takes over as if nothing had been going on."""
    del tail, now
    return state, ()


@pytest.mark.parametrize(
    "mutant",
    [
        Reducers(gateway=gluing),
        Reducers(gateway=talking_on),
        Reducers(gateway=patient),
        Reducers(agent=presumptuous),
        Reducers(agent=inattentive),
        Reducers(agent=hasty),
        Reducers(take_over=careless),
    ],
    ids=["gluing", "talking on", "patient", "presumptuous", "inattentive", "hasty", "careless"],
)
def test_a_reducer_that_breaks_a_promise_is_caught(mutant: Reducers) -> None:
    def world() -> World:
        return World(questions=2, interrupts=1, may=Misfortune(crashes=2, losses=2, repetitions=2), of=mutant)

    games = ([*first, *more] for first in deviations(world, [], 200) for more in ([], [0, 0, 0, 0, 3]))

    assert any(played(world(), game).complaints() for game in games)
