"""Transcripts become a turn: the agent's state machine for one session.

One pure reducer, `step(state, event, now) -> (state, effects)`; `worker` feeds it and carries out what it decides.
Delivery is at least once and in any order between services, so every event may be late, early or twice: a turn
commits when its utterances have ended and each has a transcript, whichever came last. The agent alone raises
`revision`. History is written only for what was played, when the turn is over. The reducer knows no clock, no bus
and no model.
"""

from typing import Final, Literal

from msgspec.structs import replace

from parley_agent.history import Exchange, max_history_chars
from parley_agent.phrasing import Phrase, cut
from parley_agent.turn_events import (
    AccountFor,
    CancelGeneration,
    Dismiss,
    Effect,
    Event,
    GatewayLost,
    Generate,
    GenerationEnded,
    KeepHistory,
    SayDelta,
    SayInterrupted,
    SayPhrase,
    SayReplyEnded,
    SessionEnded,
    Synthesize,
    Tokens,
)
from parley_agent.turn_state import Conversation, Heard, Reply, Turn
from parley_contract.frames import FRAME_MS
from parley_contract.messages import (
    FinalTranscript,
    InterruptTurn,
    PhraseFailed,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    TurnMessage,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.reasons import Reason

PHRASES_AHEAD: Final = 2
"""Synthesis runs at most this many phrases ahead of playback (design section 2)."""

_CORRECTABLE: Final = 4
"""Replies of which it may still be told how far they were heard: what is recorded about one comes within moments."""

Step = tuple[Conversation, tuple[Effect, ...]]


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
        return _correct(state, event)
    match event:
        case UtteranceStarted() | UtteranceEnded() | FinalTranscript():
            return _hear(state, event, now)
        case Tokens() | GenerationEnded():
            return _grow(state, event)
        case PlaybackStarted() | PhrasePlayed() | PhraseSynthesized() | PhraseFailed():
            return _play(state, event, now)
        case InterruptTurn():
            return _interrupt_by_gateway(state, event)
        case TurnReport():
            return _settle(state, event, now)
        case _:
            return state, ()


# Hearing.


def _hear(state: Conversation, event: UtteranceStarted | UtteranceEnded | FinalTranscript, now: float) -> Step:
    turn = state.find(event.turn) or Turn(number=event.turn, speaker=event.speaker, began_at=now)
    if turn.reply is not None:
        return state, ()
    heard = dict(turn.utterances)
    before = heard.get(event.utterance, Heard())
    match event:
        case UtteranceEnded():
            heard[event.utterance] = replace(before, ended=before.ended or event)
        case FinalTranscript():
            heard[event.utterance] = replace(before, final=before.final or event)
        case UtteranceStarted() if not before.has_begun:
            heard.pop(event.utterance, None)
            heard[event.utterance] = replace(before, has_begun=True)
        case UtteranceStarted():
            pass
    turn = replace(turn, utterances=tuple(heard.items()))
    state = state.having(turn)
    return _commit(state, turn, now) if _is_complete(turn) else (state, ())


def _is_complete(turn: Turn) -> bool:
    """Whether the endpointer committed the turn and every utterance of it has a transcript."""
    reasons = [heard.ended.reason for _, heard in turn.utterances if heard.ended]
    return (
        all(heard.ended and heard.final for _, heard in turn.utterances)
        and any(reason != "max_length" for reason in reasons)
    )  # fmt: skip


def _commit(state: Conversation, turn: Turn, now: float) -> Step:
    finals = [heard.final for _, heard in turn.utterances if heard.final]
    user = " ".join(final.text.strip() for final in finals if final.text.strip())
    if not user:
        failed = next((final for final in finals if final.outcome == "failed"), None)
        effect = Dismiss(
            turn=turn.number,
            revision=turn.revision,
            outcome="failed" if failed else "empty",
            reason="transcript_failed" if failed else "silence",
            detail=failed.reason if failed else "",
        )
        return state.without(turn), (effect,)
    if turn.number < max((state.over, *(other.number for other in state.turns if other.reply is not None))):
        # Its transcript was so late that a newer turn has a reply: that is what is heard, and this is only remembered.
        state, kept = close(state, replace(turn, reply=Reply(user=user)))
        return state, (SayInterrupted(turn=turn.number, revision=turn.revision + 1, reason="speech"), *kept)
    effects: list[Effect] = []
    for older in state.turns:
        if older.number < turn.number and older.reply is not None:
            state, ended = _interrupt(state, _guessed(older, now), "speech")
            effects += ended
    turn = replace(turn, reply=Reply(user=user))
    effects.append(Generate(turn=turn.number, revision=turn.revision, user=user, history=state.history))
    return state.having(turn), tuple(effects)


# Replying.


def _grow(state: Conversation, event: Tokens | GenerationEnded) -> Step:
    turn = state.find(event.turn)
    if turn is None or turn.reply is None or turn.revision != event.revision or turn.reply.is_generated:
        return state, ()
    reply, effects = turn.reply, list[Effect]()
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
    while reply.sent < len(reply.phrases) and reply.sent <= reply.playing + PHRASES_AHEAD:
        text = reply.phrases[reply.sent].text.strip()
        effects.append(Synthesize(turn=turn.number, revision=turn.revision, phrase=reply.sent, text=text))
        reply = replace(reply, sent=reply.sent + 1)
    state = state.having(replace(turn, reply=reply))
    if reply.is_generated and not reply.phrases:
        state, kept = close(state, replace(turn, reply=reply))
        effects += kept
    return state, tuple(effects)


# Being heard.


def _play(
    state: Conversation, event: PlaybackStarted | PhrasePlayed | PhraseSynthesized | PhraseFailed, now: float
) -> Step:
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
    if isinstance(event, PhrasePlayed) and reply.is_generated and event.phrase >= len(reply.phrases) - 1:
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


def _interrupt_by_gateway(state: Conversation, event: InterruptTurn) -> Step:
    turn = state.find(event.turn)
    if turn is None or turn.reply is None or event.revision != turn.revision:
        return state, ()
    reply = turn.reply
    share = event.played_ms / event.phrase_ms if event.phrase_ms else _share(reply, event.phrase, event.played_ms)
    reply = replace(reply, shares=(*reply.shares, (event.phrase, share)))
    return _interrupt(state, replace(turn, reply=reply), event.reason)


def _guessed(turn: Turn, now: float) -> Turn:
    """Take the phrase that plays right now for heard as far as its time allows, until the gateway says how far."""
    reply = turn.reply
    if reply is None or reply.playing < 0 or reply.playing in dict(reply.shares):
        return turn
    guess = _share(reply, reply.playing, (now - reply.playing_since) * 1000)
    return replace(turn, reply=replace(reply, guess=guess))


def _interrupt(state: Conversation, turn: Turn, reason: Reason) -> tuple[Conversation, tuple[Effect, ...]]:
    """End a reply early."""
    reply = turn.reply
    assert reply is not None  # noqa: S101  # for the type checker
    effects: list[Effect] = [] if reply.is_generated else [CancelGeneration(turn.number)]
    effects.append(SayInterrupted(turn=turn.number, revision=turn.revision + 1, reason=reason))
    state, kept = close(state, turn)
    return state, (*effects, *kept)


def _settle(state: Conversation, report: TurnReport, now: float) -> Step:
    """The gateway has accounted for the turn, so nothing more of it will be heard."""
    turn = state.find(report.turn) or Turn(number=report.turn, began_at=now)
    if turn.reply is None:
        # Also one that was not heard of yet: what was said in it may come later than what became of it.
        return state.without(turn).accounted(turn.number), ()
    effects: tuple[Effect, ...] = () if turn.reply.is_generated else (CancelGeneration(turn.number),)
    state, kept = close(state, turn)
    return state.accounted(turn.number), (*effects, *kept)


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
    return replace(state.without(turn), history=history, latest_replies=latest), (KeepHistory(history),)


def _correct(state: Conversation, event: TurnMessage) -> Step:
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


def _end_all(state: Conversation, event: SessionEnded | GatewayLost, now: float) -> Step:
    """Nothing more is heard; a gateway that is gone cannot account for its turns, so that is done here."""
    effects: list[Effect] = []
    for turn in state.turns:
        if turn.reply is None:
            state = state.without(turn)
        else:
            state, ended = _interrupt(state, turn, "closed")
            effects += ended
    if isinstance(event, GatewayLost):
        for turn in state.latest_replies:
            if turn.reply is not None and turn.reply.guess:
                # Nobody will ever say how far it was heard.
                state, corrected = _corrected(state, turn.reply, replace(turn.reply, guess=0.0))
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
    return replace(state, unaccounted=()), tuple(effects)
