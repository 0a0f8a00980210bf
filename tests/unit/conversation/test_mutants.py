"""A checker that finds nothing may be blind: each of these reducers breaks one promise, and is caught."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from msgspec.structs import replace

from parley_agent import turn_events as agent_events
from parley_agent import turns as agent_turns
from parley_agent.history import Exchange, History
from parley_agent.replies import Step
from parley_agent.turn_state import Conversation, Heard
from parley_contract import door
from parley_contract.messages import CandidateTranscript, FinalTranscript, Message, ReplyStarted, TurnReport
from parley_gateway import turn_events as gateway_events
from parley_gateway import turns as gateway_turns
from parley_gateway.cues import FrameArrived
from parley_gateway.turn_events import ClientInterrupted, Effect
from parley_gateway.turn_state import TurnRules, Turns
from parley_testkit.conversation.circumstances import Misfortune, Person
from parley_testkit.conversation.promises import broken
from parley_testkit.conversation.reducers import Reducers
from parley_testkit.conversation.world import World, played


def dice(seed: int) -> Iterator[int]:
    random = Random(seed)
    return (random.choice((0, 0, random.randrange(10**6))) for _ in range(100))


def gluing(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that takes the second attempt at a phrase for more of the first."""
    if isinstance(event, FrameArrived):
        event = replace(event, frame=replace(event.frame, attempt=1))
    return gateway_turns.step(state, event, now)


def talking_on(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that ends the turn when its listener wants quiet, and sends what it had queued."""
    after, effects = gateway_turns.step(state, event, now)
    if isinstance(event, ClientInterrupted) and (reply := state.playback.reply) is not None:
        queued = reply.phrase(reply.current).frames
        effects += [gateway_events.Play(queued[number]) for number in sorted(queued) if number >= reply.cursor]
    return after, effects


def echoing(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that does not tell its listener to throw away what is under way."""
    after, effects = gateway_turns.step(state, event, now)
    return after, [
        effect
        for effect in effects
        if not (isinstance(effect, gateway_events.Tell) and isinstance(effect.event, door.Cut))
    ]


def patient(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway whose watchdog sleeps."""
    rules = TurnRules(playback=state.rules.playback, hold_after_s=90, fail_after_s=99)
    return gateway_turns.step(replace(state, rules=rules), event, now)


def secretive(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that keeps to itself how turns end."""
    after, effects = gateway_turns.step(state, event, now)
    return after, [effect for effect in effects if not isinstance(effect, gateway_events.Conclude)]


def hasty_of_hearing(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that takes every reply for one to all that was said."""
    if isinstance(event, ReplyStarted):
        event = replace(event, covers_seq=99)
    return gateway_turns.step(state, event, now)


def rude(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that lets a reply be heard while its speaker pauses."""
    after, effects = gateway_turns.step(state, event, now)
    turn = after.turns.get(event.turn) if isinstance(event, FrameArrived) else None
    if isinstance(event, FrameArrived) and event.frame.pcm and turn is not None and not turn.is_committed:
        effects = [*effects, gateway_events.Play(event.frame.pcm)]
    return after, effects


def nostalgic(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that takes sound of an older revision for the reply's."""
    turn = state.turns.get(event.turn) if isinstance(event, FrameArrived) else None
    if isinstance(event, FrameArrived) and turn is not None:
        event = replace(event, frame=replace(event.frame, revision=turn.revision))
    return gateway_turns.step(state, event, now)


def wistful(state: Turns, event: gateway_events.Event, now: float) -> tuple[Turns, list[Effect]]:
    """A gateway that lets an older reply sound until the newer one does."""
    reply = state.playback.reply
    if isinstance(event, ReplyStarted) and reply is not None and reply.turn == event.turn:
        reply = replace(reply, revision=max(reply.revision, event.revision))
        state = replace(state, playback=replace(state.playback, reply=reply))
    return gateway_turns.step(state, event, now)


def stubborn(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that keeps to its guess, whatever else was said."""
    if isinstance(event, FinalTranscript | CandidateTranscript) and (turn := state.find(event.turn)) and turn.reply:
        event = replace(event, text=turn.reply.user)
    return agent_turns.step(state, event, now)


def presumptuous(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that takes for heard what it has written."""
    state, effects = agent_turns.step(state, event, now)
    turns = tuple(
        replace(turn, reply=replace(turn.reply, shares=tuple((n, 1.0) for n in range(len(turn.reply.phrases)))))
        if turn.reply
        else turn
        for turn in state.turns
    )
    return replace(state, turns=turns), effects


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


def fickle(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that believes the last transcript of an utterance, not the first."""
    if isinstance(event, FinalTranscript) and (turn := state.find(event.turn)) is not None:
        heard = dict(turn.utterances)
        heard[event.utterance] = replace(heard.get(event.utterance, Heard()), final=None)
        state = state.having(replace(turn, utterances=tuple(heard.items())))
    return agent_turns.step(state, event, now)


def eager(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that asks the model at every transcript, also of a question that it answers already."""
    answering = state.find(event.turn) if isinstance(event, FinalTranscript) else None
    state, effects = agent_turns.step(state, event, now)
    if answering is not None and answering.reply is not None:
        again = agent_events.Generate(
            turn=answering.number, revision=answering.revision, user=answering.reply.user, history=state.history
        )
        effects = (*effects, again)
    return state, effects


def wasteful(state: Conversation, event: agent_events.Event, now: float) -> Step:
    """An agent that lets the model go on for nobody."""
    state, effects = agent_turns.step(state, event, now)
    return state, tuple(effect for effect in effects if not isinstance(effect, agent_events.CancelGeneration))


def careless(state: Conversation, tail: Sequence[Message], now: float) -> Step:
    """An agent that takes over as if nothing had been going on."""
    del tail, now
    return state, ()


UNLUCKY = Misfortune(crashes=2, losses=2, repetitions=2, delays=9, refusals=1)


@pytest.mark.parametrize(
    "mutant",
    [
        Reducers(gateway=gluing),
        Reducers(gateway=talking_on),
        Reducers(gateway=echoing),
        Reducers(gateway=patient),
        Reducers(gateway=secretive),
        Reducers(gateway=hasty_of_hearing),
        Reducers(gateway=rude),
        Reducers(gateway=nostalgic),
        Reducers(gateway=wistful),
        Reducers(agent=presumptuous),
        Reducers(agent=inattentive),
        Reducers(agent=hasty),
        Reducers(agent=eager),
        Reducers(agent=wasteful),
        Reducers(agent=stubborn),
        Reducers(take_over=careless),
    ],
    ids=lambda reducers: next(each.__name__ for each in reducers if each.__module__ == __name__),
)
def test_a_reducer_that_breaks_a_promise_is_caught(mutant: Reducers) -> None:
    games = (
        played(World(Person(questions=2, pauses=2, breaths=1, interrupts=1), may=UNLUCKY, of=mutant), dice(seed))
        for seed in range(1000)
    )

    caught_after = next((number for number, game in enumerate(games) if broken(game)), None)

    assert caught_after is not None


def test_an_agent_that_believes_the_last_transcript_is_caught() -> None:
    world = World(Person(breaths=1), may=Misfortune(crashes=1), of=Reducers(agent=fickle))
    for move in ("person speaks", "person speaks on", *["gateway records"] * 5, "asr dies-having-transcribed 1-0"):
        world.make(move)

    world.settle()

    assert broken(world)
