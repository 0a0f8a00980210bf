"""The agent, by its real reducer, announcements and takeover, and its model, which says the same words every time."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from parley_agent import turn_events, turn_state
from parley_agent.announcements import Speaker, announce
from parley_agent.engines import Usage
from parley_contract.subjects import Subjects
from parley_testkit.conversation import broker
from parley_testkit.conversation.reducers import AGENT_RULES
from parley_testkit.conversation.situations import SESSION, Saved, Situation

PHRASES: Final = ("One two.", "Three four.")
"""All that a model ever says."""


def do(here: Situation, verb: str) -> None:
    """Let the agent die, or another one take the session over from what was kept."""
    if verb == "dies":
        here.spend(crashes=1)
        _kill(here)
        return
    saved = here.saved.conversation
    here.agent = turn_state.Conversation(
        rules=AGENT_RULES,
        epoch=here.saved.epoch,
        history=saved.history,
        over=saved.over,
        behind=saved.still_open,
        unaccounted=saved.unaccounted,
        latest_replies=saved.latest_replies,
    )
    here.agent, effects = here.of.take_over(here.agent, here.record.events, here.now)
    _carry_out(here, effects, "")


def take(here: Situation, event: turn_events.Event, fatal: str) -> None:
    """Give it an event; with `fatal` it dies after so many of the effects."""
    if here.agent is None:
        return
    here.agent, effects = here.of.agent(here.agent, event, here.now)
    _carry_out(here, effects, fatal)


def _carry_out(here: Situation, effects: Sequence[turn_events.Effect], fatal: str) -> None:
    for number, effect in enumerate(effects):
        if fatal and number >= int(fatal):
            break
        _act(here, effect)
    if fatal:
        _kill(here)


def _kill(here: Situation) -> None:
    here.agent = None
    here.generations, here.guesses = {}, frozenset()
    broker.drop_queues(here, "agent")


def _act(here: Situation, effect: turn_events.Effect) -> None:
    if here.agent is None:
        return
    match effect:
        case turn_events.Generate():
            here.generations = {**here.generations, effect.turn: _reply(here, effect.turn, effect.revision)}
            here.guesses = here.guesses - {effect.turn} | ({effect.turn} if effect.is_speculative else set())
        case turn_events.CancelGeneration():
            _stop_generation(here, effect.turn)
        case turn_events.KeepHistory():
            here.saved = Saved(here.agent.epoch, here.agent)
        case turn_events.DropPhrases():
            _purge(here, effect.turn)
        case turn_events.Commit():
            here.guesses -= {effect.turn}
        case turn_events.Warm():
            pass
        case _:
            speaker = Speaker(Subjects("w"), SESSION, here.agent.epoch, "en", "scripted")
            said = announce(effect, speaker, usage=Usage(), at=here.now)
            if isinstance(effect, turn_events.SayInterrupted):
                _purge(here, effect.turn)
            if said.message_id is None:
                broker.publish(here, "agent", said.message)
            else:
                broker.keep(here, "agent", said.message, said.message_id)


def _purge(here: Situation, turn: int) -> None:
    here.tts = tuple((work, attempt) for work, attempt in here.tts if work.turn != turn)


def _stop_generation(here: Situation, turn: int) -> None:
    here.generations = {other: events for other, events in here.generations.items() if other != turn}


def _reply(here: Situation, turn: int, revision: int) -> tuple[turn_events.Event, ...]:
    texts = PHRASES[: here.phrases]
    tokens = [turn_events.Tokens(turn=turn, revision=revision, text=f"{text} ") for text in texts]
    return (*tokens, turn_events.GenerationEnded(turn=turn, revision=revision, outcome="stop"))


def model_does(here: Situation, verb: str, turn: int, fatal: str) -> None:
    """Let the model say the next thing about a turn, or what else models do."""
    if verb == "refuses":
        _refuse(here, turn)
        return
    event, *rest = here.generations[turn]
    assert isinstance(event, turn_events.Tokens | turn_events.GenerationEnded)  # noqa: S101  # for the type checker
    ended = turn_events.GenerationEnded(turn=turn, revision=event.revision, outcome="length")
    match verb:
        case "hangs":
            here.spend(refusals=1)
            here.generations = {**here.generations, turn: ()}
            return
        case "fails":
            here.spend(refusals=1)
            event, rest = replace(ended, outcome="failed", reason="model_failed"), []
        case "breaks-off":
            here.spend(refusals=1)
            event, rest = ended, []
        case _:
            pass
    here.generations = {**here.generations, turn: tuple(rest)}
    if not rest:
        _stop_generation(here, turn)
    take(here, event, fatal)


def _refuse(here: Situation, turn: int) -> None:
    """Somebody else needs the place of a guess; it may be certain by the time at which the agent learns of that."""
    asked = here.agent.find(turn) if here.agent else None
    refused = turn_events.GenerationEnded(turn=turn, revision=asked.revision if asked else 0, outcome="refused")
    here.spend(refusals=1)
    here.generations, here.guesses = {**here.generations, turn: (refused,)}, here.guesses - {turn}
