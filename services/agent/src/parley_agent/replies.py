"""A reply as it grows, is spoken and is heard, and what goes into history: a part of the `turns` reducer. Pure."""

from typing import Final, Literal

from msgspec.structs import replace

from parley_agent.history import Exchange, max_history_chars
from parley_agent.phrasing import Phrase, cut
from parley_agent.turn_events import (
    CancelGeneration,
    DropPhrases,
    Effect,
    GenerationEnded,
    KeepHistory,
    SayDelta,
    SayInterrupted,
    SayPhrase,
    SayReplyEnded,
    Synthesize,
    Tokens,
)
from parley_agent.turn_state import Conversation, Reply, Turn
from parley_contract.frames import FRAME_MS
from parley_contract.messages import (
    InterruptTurn,
    PhraseFailed,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    TurnMessage,
    TurnReport,
)
from parley_contract.reasons import Reason

PHRASES_AHEAD: Final = 2
"""Synthesis runs at most this many phrases ahead of playback (design section 2)."""
_CORRECTABLE: Final = 4
"""Replies of which it may still be told how far they were heard: what is recorded about one comes within moments."""

Step = tuple[Conversation, tuple[Effect, ...]]


def grow(state: Conversation, event: Tokens | GenerationEnded) -> Step:
    """Take in what the model wrote."""
    turn = state.find(event.turn)
    if turn is None or turn.reply is None or turn.revision != event.revision or turn.reply.is_generated:
        return state, ()
    reply, effects = turn.reply, list[Effect]()
    if isinstance(event, GenerationEnded) and event.outcome == "failed" and not turn.is_committed:
        # The model is asked again once there certainly is a question.
        turn, dropped = drop(replace(turn, reply=replace(reply, is_generated=True)))
        return state.having(turn), dropped
    if isinstance(event, Tokens):
        delta = SayDelta(turn=turn.number, revision=turn.revision, index=reply.deltas, text=event.text)
        effects.append(delta)
        done = cut(reply.rest + event.text, is_first=not reply.phrases, language=state.rules.language)
        reply = replace(reply, rest=done.rest, deltas=reply.deltas + 1)
        for phrase in done.phrases:
            reply, said = _say(turn, reply, phrase)
            effects += said
    else:
        outcome = _outcome(reply, event)
        if outcome != "cut" and any(character.isalnum() for character in reply.rest):
            reply, said = _say(turn, reply, Phrase(reply.rest, ends_sentence=True))
            effects += said
        reply = replace(reply, rest="", is_generated=True)
        effects.append(
            SayReplyEnded(
                turn=turn.number,
                revision=turn.revision,
                phrases=len(reply.phrases),
                outcome=outcome,
                reason=event.reason,
                detail=event.detail,
                wasted_tokens=turn.wasted,
            )
        )
    state, more = dispatch(state, replace(turn, reply=reply))
    return state, (*effects, *more)


def _outcome(reply: Reply, event: GenerationEnded) -> Literal["complete", "cut", "failed"]:
    if event.outcome == "failed":
        return "failed"
    # Half a sentence sounds broken, so it is left out, unless its first half was said already.
    ends_well = bool(reply.phrases) and reply.phrases[-1].ends_sentence
    return "cut" if event.outcome == "length" and ends_well else "complete"


def _say(turn: Turn, reply: Reply, phrase: Phrase) -> tuple[Reply, list[Effect]]:
    number = len(reply.phrases)
    said = SayPhrase(turn=turn.number, revision=turn.revision, phrase=number, text=phrase.text.strip())
    return replace(reply, phrases=(*reply.phrases, phrase)), [said]


def dispatch(state: Conversation, turn: Turn) -> Step:
    """Hand out the phrases that playback has credit for, and close the turn once everything was played."""
    assert turn.reply is not None  # noqa: S101  # for the type checker
    reply, effects = turn.reply, list[Effect]()
    while reply.sent < len(reply.phrases) and reply.sent <= _credit(state, turn, reply):
        text = reply.phrases[reply.sent].text.strip()
        effects.append(Synthesize(turn=turn.number, revision=turn.revision, phrase=reply.sent, text=text))
        reply = replace(reply, sent=reply.sent + 1)
    state = state.having(replace(turn, reply=reply))
    if turn.is_committed and reply.is_generated and not reply.phrases:
        state, kept = close(state, replace(turn, reply=reply))
        effects += kept
    return state, tuple(effects)


def _credit(state: Conversation, turn: Turn, reply: Reply) -> int:
    """Return the last phrase that may be synthesized now: of a guess only the first one, and where that is wanted."""
    if turn.is_committed:
        return reply.playing + PHRASES_AHEAD
    return 0 if state.rules.speculation == "tts" and reply.playing < 0 else -1


def drop(turn: Turn) -> tuple[Turn, tuple[Effect, ...]]:
    """Throw away what was begun on another question; the next revision is another reply."""
    reply = turn.reply
    if reply is None:
        return turn, ()
    effects: list[Effect] = [] if reply.is_generated else [CancelGeneration(turn.number)]
    if reply.sent:
        effects.append(DropPhrases(turn.number))
    wasted = turn.wasted + reply.deltas
    return replace(turn, reply=None, revision=turn.revision + 1, wasted=wasted), tuple(effects)


def play(
    state: Conversation, event: PlaybackStarted | PhrasePlayed | PhraseSynthesized | PhraseFailed, now: float
) -> Step:
    """Take in how far a reply is spoken and heard."""
    turn = state.find(event.turn)
    if turn is None or turn.reply is None or event.revision != turn.revision:
        return state, ()
    reply = turn.reply
    match event:
        case PlaybackStarted() if event.phrase > reply.playing:
            reply = replace(reply, playing=event.phrase, playing_since=now)
        case PhraseSynthesized():
            reply = _with_duration(reply, event)
        case PhrasePlayed():
            reply = replace(_with_played(reply, event), playing=max(reply.playing, event.phrase))
        case PhraseFailed():
            # Nothing of it will play, and waiting for it would hold back the phrases after it.
            reply = replace(reply, playing=max(reply.playing, event.phrase))
        case _:
            pass
    turn = replace(turn, reply=reply)
    is_last = reply.is_generated and isinstance(event, PhrasePlayed) and event.phrase >= len(reply.phrases) - 1
    if is_last and turn.is_committed:
        return close(state, turn)
    return dispatch(state, turn)


def _with_duration(reply: Reply, event: PhraseSynthesized) -> Reply:
    duration = (event.phrase, event.frames * FRAME_MS / 1000)
    return replace(reply, durations_s=(*reply.durations_s, duration))


def _with_played(reply: Reply, event: PhrasePlayed) -> Reply:
    if not event.whole and event.phrase not in dict(reply.durations_s):
        return reply
    share = 1.0 if event.whole else _share(reply, event.phrase, event.played_ms)
    return replace(reply, shares=(*reply.shares, (event.phrase, share)))


def _share(reply: Reply, phrase: int, played_ms: float) -> float:
    """Return how much of a phrase `played_ms` is; 0 while its length is unknown."""
    duration_s = dict(reply.durations_s).get(phrase, 0.0)
    return played_ms / 1000 / duration_s if duration_s else 0.0


def interrupt_by_gateway(state: Conversation, event: InterruptTurn) -> Step:
    """The gateway has stopped a reply."""
    turn = state.find(event.turn)
    if turn is None or turn.reply is None or not turn.is_committed or event.revision != turn.revision:
        return state, ()
    reply = turn.reply
    share = event.played_ms / event.phrase_ms if event.phrase_ms else _share(reply, event.phrase, event.played_ms)
    reply = replace(reply, shares=(*reply.shares, (event.phrase, share)))
    return interrupt(state, replace(turn, reply=reply), event.reason)


def guessed(turn: Turn, now: float) -> Turn:
    """Take the phrase that plays right now for heard as far as its time allows, until the gateway says how far."""
    reply = turn.reply
    if reply is None or reply.playing < 0 or reply.playing in dict(reply.shares):
        return turn
    guess = _share(reply, reply.playing, (now - reply.playing_since) * 1000)
    return replace(turn, reply=replace(reply, guess=guess))


def interrupt(state: Conversation, turn: Turn, reason: Reason) -> tuple[Conversation, tuple[Effect, ...]]:
    """End a reply early."""
    reply = turn.reply
    assert reply is not None  # noqa: S101  # for the type checker
    effects: list[Effect] = [] if reply.is_generated else [CancelGeneration(turn.number)]
    effects.append(SayInterrupted(turn=turn.number, revision=turn.revision + 1, reason=reason))
    state, kept = close(state, turn)
    return state, (*effects, *kept)


def close(state: Conversation, turn: Turn) -> tuple[Conversation, tuple[Effect, ...]]:
    """The turn is over: what was said and heard goes into history."""
    assert turn.reply is not None  # noqa: S101  # for the type checker
    rules = state.rules
    history = state.history.add(
        Exchange(turn.reply.user, turn.reply.heard),
        max_turns=rules.max_context_turns,
        max_chars=max_history_chars(rules.num_ctx, rules.num_predict, rules.system_prompt),
    )
    latest = (*state.latest_replies, turn)[-_CORRECTABLE:]
    replied = max(state.replied, turn.place)
    return replace(state.without(turn), history=history, replied=replied, latest_replies=latest), (
        KeepHistory(history),
    )


def correct(state: Conversation, event: TurnMessage) -> Step:
    """Take in what comes late about a turn that is over: its report, and how far its reply was really heard."""
    if isinstance(event, TurnReport):
        state = state.accounted(event.turn)
    turn = next((turn for turn in state.latest_replies if turn.number == event.turn), None)
    if turn is None or turn.reply is None:
        return state, ()
    match event:
        case TurnReport():
            reply = replace(turn.reply, guess=0.0)
        case PhrasePlayed() if event.revision == turn.revision:
            reply = _with_played(turn.reply, event)
        case PhraseSynthesized() if event.revision == turn.revision:
            reply = _with_duration(turn.reply, event)
        case _:
            return state, ()
    return _corrected(state, turn.reply, reply)


def _corrected(state: Conversation, before: Reply, reply: Reply) -> Step:
    latest = tuple(replace(each, reply=reply) if each.reply is before else each for each in state.latest_replies)
    state = replace(state, latest_replies=latest)
    if reply.heard == before.heard:
        return state, ()
    history = state.history.correct(Exchange(reply.user, before.heard), reply.heard)
    return replace(state, history=history), (KeepHistory(history),)


def forgo_guess(state: Conversation, reply: Reply) -> Step:
    """Nobody will ever say how far this reply was heard beyond what was said."""
    return _corrected(state, reply, replace(reply, guess=0.0))
