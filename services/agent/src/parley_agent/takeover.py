"""Going on with a session in the middle of a turn, after the agent that led it died. Pure; called by `worker`.

What is left of it is its record, with the history, and the tail of EVENTS: all that the gateway, asr, tts and the dead
agent itself have said about the turns since. Told again in the order in which it was stored, it makes the conversation
that the dead agent had in its memory. Then every open turn goes on: a question without a reply is asked again, a reply
that was being written ends with what it has, and what was not synthesized yet is.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from parley_agent import questions, replies, turns
from parley_agent.phrasing import Phrase
from parley_agent.turn_events import Effect, KeepHistory, SayReplyEnded
from parley_agent.turn_state import Conversation, Reply, Turn
from parley_contract.messages import (
    Message,
    PhraseReady,
    ReplyEnded,
    ReplyStarted,
    TurnDismissed,
    TurnInterrupted,
    TurnMessage,
)


def take_over(state: Conversation, tail: Iterable[Message], now: float) -> replies.Step:
    """Make the conversation anew and decide what follows.

    Args:
        state: as the session's record has it.
        tail: messages of the session, oldest first; those of turns that are over, or of other epochs, are passed over.
        now: seconds on the agent's monotonic clock.
    """
    known = state.history
    state = recall(state, tail, now)
    effects: list[Effect] = [] if state.history == known else [KeepHistory(state.history)]
    for turn in state.turns:
        if turn.reply is not None and turn.is_committed:
            state, more = _go_on(state, turn, turn.reply)
            effects += more
        elif turn.reply is not None:
            # What was begun on a guess is gone with its generation.
            state = state.having(replace(turn, reply=None, revision=turn.revision + 1))
    return state, tuple(effects)


def recall(state: Conversation, tail: Iterable[Message], now: float) -> Conversation:
    """Take in what is on record, whether it was heard before or not; arguments as in `take_over`."""
    for message in tail:
        state = _recall(state, message, now)
    return state


def _recall(state: Conversation, message: Message, now: float) -> Conversation:
    """Take in what was said, by others or by the agent itself; what followed from it has happened already."""
    match message:
        case ReplyStarted() | PhraseReady() | ReplyEnded() | TurnInterrupted() | TurnDismissed():
            if message.epoch == state.epoch and not state.is_over(message.turn):
                return _recall_own(state, message)
        case TurnMessage():
            return turns.step(state, message, now)[0]
        case _:
            pass
    return state


def _recall_own(
    state: Conversation, message: ReplyStarted | PhraseReady | ReplyEnded | TurnInterrupted | TurnDismissed
) -> Conversation:
    turn = state.find(message.turn)
    if turn is None:
        return state
    is_over = isinstance(message, TurnInterrupted | TurnDismissed)
    if not turn.is_committed and not is_over and (turn.reply is None or message.revision > turn.revision):
        # A guess that was not made again in the same way: another revision follows.
        return state.having(replace(turn, reply=None, revision=max(turn.revision, message.revision)))
    if turn.reply is None or isinstance(message, TurnInterrupted | TurnDismissed):
        # A reply that is over, or one to a question of which nothing is left.
        return state.without(turn) if turn.reply is None else replies.close(state, turn)[0]
    reply = turn.reply
    if message.revision > turn.revision:
        turn, reply = replace(turn, revision=message.revision), Reply(user=reply.user)
    match message:
        case PhraseReady() if message.phrase == len(reply.phrases):
            # The spaces around it were left out when it was said.
            text = f" {message.text}" if reply.phrases else message.text
            reply = replace(reply, phrases=(*reply.phrases, Phrase(text, ends_sentence=True)))
        case ReplyEnded():
            reply = replace(reply, is_generated=True)
        case _:
            pass
    return state.having(replace(turn, reply=reply))


def _go_on(state: Conversation, turn: Turn, reply: Reply) -> replies.Step:
    effects: list[Effect] = []
    if not reply.is_generated and not reply.phrases:
        turn, asked = questions.ask(state, replace(turn, revision=turn.revision + 1, reply=None), reply.user)
        return state.having(turn), asked
    if not reply.is_generated:
        reply = replace(reply, is_generated=True)
        effects.append(
            SayReplyEnded(
                turn=turn.number,
                revision=turn.revision,
                phrases=len(reply.phrases),
                outcome="cut",
                reason="agent_died",
            )
        )
    # Which of the rest were handed out is not known. Those that were are kept once, under their ids.
    reply = replace(reply, sent=reply.playing + 1)
    state, more = replies.dispatch(state, replace(turn, reply=reply))
    return state, (*effects, *more)
