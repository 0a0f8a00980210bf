"""The promises of design section 2, under every order, delay, repetition, loss and death that the player finds."""

import os

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from parley_contract.messages import TurnReport
from parley_testkit.conversation.circumstances import NONE, Misfortune, Person
from parley_testkit.conversation.exploration import explore
from parley_testkit.conversation.promises import broken
from parley_testkit.conversation.reducers import GATEWAY_RULES
from parley_testkit.conversation.world import World, played

EXAMPLES = int(os.environ.get("PARLEY_EXAMPLES", "200"))
"""Games of each kind; `make chaos` plays many more, other ones each time."""
IS_DEEP = EXAMPLES > 1000
ANY_GAME = st.lists(st.integers(0, 10**6), max_size=150)
"""Which of the possible moves is made, again and again."""
AT_ANY_TIME = 99

TWO = (Person(questions=2, pauses=1, interrupts=1), Person(breaths=1))
PLAYS: dict[str, tuple[Person | tuple[Person, ...], Misfortune]] = {
    "whatever the order": (Person(questions=3, interrupts=1), NONE),
    "whatever is lost or comes twice": (Person(questions=2, interrupts=1), Misfortune(losses=3, repetitions=6)),
    "whatever comes again much later": (Person(questions=2, interrupts=1), Misfortune(echoes=6)),
    "whoever dies after whatever effect": (Person(questions=2, interrupts=1), Misfortune(crashes=3, losses=1)),
    "whoever fails or stays silent": (Person(questions=2, interrupts=1), Misfortune(refusals=2)),
    "however long somebody speaks": (Person(questions=2, breaths=3), Misfortune(repetitions=1)),
    "however often somebody pauses": (Person(questions=2, pauses=3, interrupts=1), Misfortune(losses=2, repetitions=1)),
    "whatever is refused while somebody pauses": (Person(questions=2, pauses=2, interrupts=1), Misfortune(refusals=3)),
    "whoever dies while somebody pauses": (Person(questions=2, pauses=2), Misfortune(crashes=2, echoes=2, refusals=1)),
    "however often the listener leaves": (Person(questions=2, absences=2, says_goodbye=True), NONE),
    "however two people talk at once": (TWO, NONE),
    "whatever goes wrong while two people talk": (TWO, Misfortune(crashes=1, losses=1, repetitions=1, refusals=1)),
    "whatever comes together": (
        Person(questions=3, breaths=1, pauses=1, interrupts=1, absences=1, says_goodbye=True),
        Misfortune(crashes=2, losses=2, repetitions=2, echoes=2, refusals=1),
    ),
}


def test_without_misfortune_every_question_is_answered_and_remembered() -> None:
    world = played(World(Person(questions=3)), [])

    assert broken(world) == []
    reports = [event for event in world.record.events if isinstance(event, TurnReport)]
    assert [report.outcome for report in reports] == ["answered"] * 3
    assert world.agent is not None
    assert [exchange.heard for exchange in world.agent.history.exchanges] == ["One two. Three four."] * 3


@pytest.mark.parametrize("play", [*PLAYS])
@given(choices=ANY_GAME)
@settings(max_examples=EXAMPLES, derandomize=not IS_DEEP, database=None)
def test_no_game_breaks_a_promise(play: str, choices: list[int]) -> None:
    people, may = PLAYS[play]

    world = played(World(*_all(people), may=may._replace(delays=AT_ANY_TIME)), choices)

    note("\n".join(world.log))
    assert broken(world) == []


def _all(people: Person | tuple[Person, ...]) -> tuple[Person, ...]:
    return (people,) if isinstance(people, Person) else people


def test_of_two_who_talk_at_once_the_one_who_finishes_last_is_answered_whoever_began_first() -> None:
    world = World(Person(), Person())
    for move in ("person speaks", "other speaks", "other stops speaking"):
        world.make(move)

    world.settle()

    assert broken(world) == []
    reports = {event.speaker: event for event in world.record.events if isinstance(event, TurnReport)}
    assert reports["person"].outcome == "answered"
    assert world.agent is not None
    assert world.agent.history.exchanges[-1].heard == "One two. Three four."


def test_who_goes_on_and_on_holds_up_the_reply_to_somebody_else_for_no_more_than_two_seconds() -> None:
    world = World(Person(), Person())
    for move in ("person speaks", "other speaks", "other stops speaking"):
        world.make(move)
    finished_at = world.now

    while not world.listener.sounds and world.now < 10:
        usual = [move for move in world.moves() if not move.startswith("person")]
        world.make(usual[0])

    assert world.listener.sounds[0].turn == 2
    assert world.listener.sounds[0].at - finished_at <= GATEWAY_RULES.take_up_after_s + 0.01


def test_a_guess_that_loses_its_place_while_it_becomes_certain_costs_nobody_the_reply() -> None:
    world = World(Person(pauses=1), may=Misfortune(refusals=1))
    for move in ("person speaks", "person pauses"):
        world.make(move)
    while "model refuses 1" not in world.moves():
        world.make(next(move for move in world.moves() if not move.startswith("person")))
    for move in ("model refuses 1", "person stops speaking"):
        world.make(move)
    while world.agent is not None and not any(turn.is_committed for turn in world.agent.turns):
        world.make(next(move for move in world.moves() if not move.startswith(("person", "model"))))

    world.settle()

    assert broken(world) == []
    [report] = [event for event in world.record.events if isinstance(event, TurnReport)]
    assert (report.outcome, report.reason) == ("answered", "")


SMALL = {
    "one timer too early": (Person(), Misfortune(delays=1), 1),
    "one interrupt": (Person(interrupts=1), NONE, 1),
    "one death": (Person(), Misfortune(crashes=1), 1),
    "two refusals": (Person(), Misfortune(refusals=2), 1),
    "one loss and one repetition": (Person(), Misfortune(losses=1, repetitions=1), 1),
    "one echo": (Person(), Misfortune(echoes=1), 1),
    "one absence": (Person(absences=1), NONE, 1),
    "one goodbye": (Person(says_goodbye=True), NONE, 1),
    "one breath": (Person(breaths=1), NONE, 1),
}
"""Who speaks, what may go wrong, and phrases of a reply, of one frame each. Two people have more games than anybody can
play: those are drawn, above."""
LESS_SMALL = {
    "two deaths": (Person(), Misfortune(crashes=2), 1),
    "an interrupt and a death": (Person(interrupts=1), Misfortune(crashes=1), 1),
    "an interrupt and a loss": (Person(interrupts=1), Misfortune(losses=1), 1),
    "a refusal and a timer too early": (Person(), Misfortune(refusals=1, delays=1), 1),
    "one pause": (Person(pauses=1), NONE, 1),
    "two phrases": (Person(), NONE, 2),
}
TOO_LARGE = "an interrupt and a death"
"""Of this scope a million situations are looked at; there are more."""


@pytest.mark.parametrize("scope", [*SMALL, *LESS_SMALL] if IS_DEEP else [*SMALL])
def test_all_games_of_a_small_scope_keep_every_promise(scope: str) -> None:
    person, may, phrases = SMALL[scope] if scope in SMALL else LESS_SMALL[scope]

    found = explore(World(person, phrases=phrases, frames=1, may=may), limit=1_000_000)

    assert "\n".join(found.counterexample) == ""
    assert found.endings > 1
    assert found.is_all or scope == TOO_LARGE
