"""Transcripts become a turn: the agent's state machine for one session.

One pure reducer, `step(state, event, now) -> (state, effects)`; `worker` feeds it and carries out what it decides.
Delivery is at least once and in any order between services, so every event may be late, early or twice: a turn
commits when its utterances have ended and each has a transcript, whichever came last. Before that its reply may be
begun on what was understood up to a pause, and it is the reply if nothing else was said; the gateway lets nobody hear
it earlier. Another utterance of a turn that was committed reopens it. The agent alone raises `revision`. History is
written only for what was played, when the turn is over. `questions` and `replies` are its parts; it knows no clock, no
bus and no model.
"""

from msgspec.structs import replace

from parley_agent.questions import Hearing, hear, refuse
from parley_agent.replies import Step, close, correct, drop, forgo_guess, grow, interrupt, interrupt_by_gateway, play
from parley_agent.turn_events import (
    AccountFor,
    CancelGeneration,
    Effect,
    Event,
    GatewayLost,
    GenerationEnded,
    SessionEnded,
    Tokens,
)
from parley_agent.turn_state import Conversation, Turn
from parley_contract.messages import (
    InterruptTurn,
    PhraseFailed,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    TurnMessage,
    TurnReport,
)


def step(state: Conversation, event: Event, now: float) -> Step:
    """Decide what follows from an event.

    Args:
        state: the session so far.
        event: a message of the bus, or what the model or the session did.
        now: seconds on the agent's monotonic clock.
    """
    if isinstance(event, SessionEnded | GatewayLost):
        return _end_all(state, event, now)
    if isinstance(event, TurnMessage) and event.epoch != state.epoch:
        return state, ()
    if isinstance(event, TurnMessage) and state.is_over(event.turn):
        return correct(state, event)
    if isinstance(event, Hearing):
        return hear(state, event, now)
    match event:
        case GenerationEnded(outcome="refused"):
            return refuse(state, event)
        case Tokens() | GenerationEnded():
            return grow(state, event)
        case PlaybackStarted() | PhrasePlayed() | PhraseSynthesized() | PhraseFailed():
            return play(state, event, now)
        case InterruptTurn():
            return interrupt_by_gateway(state, event)
        case TurnReport():
            return _settle(state, event, now)
        case _:
            return state, ()


def _settle(state: Conversation, report: TurnReport, now: float) -> Step:
    """The gateway has accounted for the turn, so nothing more of it will be heard."""
    turn = state.find(report.turn) or Turn(number=report.turn, began_at=now)
    if turn.reply is None or not turn.is_committed:
        # Also one that was not heard of yet: what was said in it may come later than what became of it.
        turn, dropped = drop(turn)
        return state.without(turn).accounted(turn.number), dropped
    effects: tuple[Effect, ...] = () if turn.reply.is_generated else (CancelGeneration(turn.number),)
    state, kept = close(state, turn)
    return state.accounted(turn.number), (*effects, *kept)


def _end_all(state: Conversation, event: SessionEnded | GatewayLost, now: float) -> Step:
    """Nothing more is heard; a gateway that is gone cannot account for its turns, so that is done here."""
    effects: list[Effect] = []
    for turn in state.turns:
        if not turn.is_replied_to:
            dropped = drop(turn)[1]
            state = state.without(turn)
            effects += dropped
        else:
            state, ended = interrupt(state, turn, "closed")
            effects += ended
    if isinstance(event, GatewayLost):
        for turn in state.latest_replies:
            if turn.reply is not None and turn.reply.guess:
                # Nobody will ever say how far it was heard.
                state, corrected = forgo_guess(state, turn.reply)
                effects += corrected
        effects += (
            AccountFor(
                turn=each.turn,
                revision=each.revision,
                speaker=each.speaker,
                reason="gateway_died",
                age_s=max(0.0, now - each.began_at),
            )
            for each in state.unaccounted
        )
    return replace(state, unaccounted=(), behind=frozenset()), tuple(effects)
