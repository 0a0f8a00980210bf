"""Speech becomes a question, and perhaps a guess before it is whole: a part of the `turns` reducer. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from parley_agent.replies import Step, close, dispatch, drop, guessed, interrupt
from parley_agent.speculation import agree, is_worth_warming, stable
from parley_agent.turn_events import (
    Commit,
    Dismiss,
    Effect,
    Generate,
    GenerationEnded,
    SayInterrupted,
    SayReplyStarted,
    Warm,
)
from parley_agent.turn_state import Conversation, Heard, Reply, Turn
from parley_contract.endings import ending
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    PartialTranscript,
    SegmentStarted,
    UtteranceEnded,
    UtteranceStarted,
)

Hearing = (
    UtteranceStarted | SegmentStarted | UtteranceEnded | PartialTranscript | CandidateTranscript | FinalTranscript
)  # fmt: skip


def hear(state: Conversation, event: Hearing, now: float) -> Step:
    """Take in that somebody speaks, what they said as far as it is understood, and that they have finished."""
    turn = state.find(event.turn) or Turn(number=event.turn, speaker=event.speaker, began_at=now)
    heard = dict(turn.utterances)
    if turn.is_committed and event.utterance in heard:
        return state, ()
    if isinstance(event, UtteranceStarted) and event.name:
        turn = replace(turn, name=event.name)
    before = heard.get(event.utterance, Heard())
    if isinstance(event, UtteranceEnded) and before.ended is None and event.reason != "max_length":
        state = replace(state, finished=state.finished + 1)
        turn = replace(turn, place=state.finished)
    heard[event.utterance] = _with(before, event)
    # Ids are minted in order and alike, so a longer one is a later one.
    utterances = tuple(sorted(heard.items(), key=lambda item: (len(item[0]), item[0])))
    turn = replace(turn, utterances=utterances, is_committed=False)
    state = state.having(turn)
    if _is_complete(turn):
        return _commit(state, turn, now)
    match event:
        case CandidateTranscript():
            return _speculate(state, turn)
        case PartialTranscript():
            return _anticipate(state, turn, event)
        case SegmentStarted():
            return _forgo(state, turn)
        case _:
            return state, ()


def _with(heard: Heard, event: Hearing) -> Heard:
    """Return what is known of an utterance with this; whichever end and final came first stands."""
    match event:
        case SegmentStarted(latest_seq=latest_seq):
            return replace(heard, resumed_seq=max(heard.resumed_seq, latest_seq))
        case UtteranceEnded():
            return replace(heard, ended=heard.ended or event)
        case CandidateTranscript() if heard.candidate is None or event.covers_seq > heard.candidate.covers_seq:
            return replace(heard, candidate=event)
        case FinalTranscript():
            return replace(heard, final=heard.final or event)
        case _:
            return heard


def _is_complete(turn: Turn) -> bool:
    """Whether the endpointer committed the turn and every utterance of it has a transcript."""
    reasons = [heard.ended.reason for _, heard in turn.utterances if heard.ended]
    return (
        all(heard.ended and heard.transcript for _, heard in turn.utterances)
        and any(reason != "max_length" for reason in reasons)
    )  # fmt: skip


def _commit(state: Conversation, turn: Turn, now: float) -> Step:
    turn = replace(turn, is_committed=True)
    transcripts = [heard.transcript for _, heard in turn.utterances if heard.transcript]
    user = _joined(turn, (transcript.text for transcript in transcripts))
    if not user:
        failed = next((each for _, each in turn.utterances if each.final and each.final.outcome == "failed"), None)
        turn, dropped = drop(turn)
        effect = Dismiss(
            turn=turn.number,
            revision=turn.revision,
            outcome="failed" if failed else "empty",
            reason="transcript_failed" if failed else "silence",
            detail=failed.final.reason if failed and failed.final else "",
        )
        return state.without(turn), (*dropped, effect)
    if turn.place < max((state.replied, *(other.place for other in state.turns if other.is_replied_to))):
        # Its transcript was so late that a newer turn has a reply: that is what is heard, and this is only remembered.
        turn, dropped = drop(turn)
        state, kept = close(state, replace(turn, reply=Reply(user=user)))
        return state, (*dropped, SayInterrupted(turn=turn.number, revision=turn.revision + 1, reason="speech"), *kept)
    effects: list[Effect] = []
    for older in state.turns:
        if older.place < turn.place and older.is_replied_to:
            state, ended = interrupt(state, guessed(older, now), "speech")
            effects += ended
    if turn.reply is not None and agree(turn.reply.user, user):
        effects += (Commit(turn.number), _started(turn))
    else:
        turn, asked = ask(state, turn, user)
        effects += asked
    state, more = dispatch(state, turn)
    return state, (*effects, *more)


def ask(state: Conversation, turn: Turn, user: str) -> tuple[Turn, tuple[Effect, ...]]:
    """Have the model reply to this, and to nothing else."""
    turn, dropped = drop(turn)
    generate = Generate(
        turn=turn.number,
        revision=turn.revision,
        user=user,
        history=state.history,
        is_speculative=not turn.is_committed,
    )
    return replace(turn, reply=Reply(user=user)), (*dropped, generate, _started(turn))


def refuse(state: Conversation, event: GenerationEnded) -> Step:
    """A guess had no place at the model: it is asked again once there certainly is a question, which may be by now.

    Somebody else's question takes the place at the very moment at which two people have finished.
    """
    turn = state.find(event.turn)
    reply = turn.reply if turn is not None and turn.revision == event.revision else None
    if turn is None or reply is None or reply.is_generated:
        return state, ()
    if turn.is_committed:
        turn, effects = ask(state, turn, reply.user)
    else:
        turn, effects = drop(replace(turn, reply=replace(reply, is_generated=True)))
    return state.having(turn), effects


def _started(turn: Turn) -> SayReplyStarted:
    """Say what the reply is a reply to: all that was said in the turn so far."""
    utterance, heard = turn.utterances[-1]
    match heard.transcript or heard.candidate:
        case FinalTranscript(last_seq=last_seq):
            covers_seq = last_seq
        case candidate:
            covers_seq = candidate.covers_seq if candidate else -1
    return SayReplyStarted(
        turn=turn.number,
        revision=turn.revision,
        utterance=utterance,
        covers_seq=covers_seq,
        is_early=not turn.is_committed,
    )


def _joined(turn: Turn, texts: Iterable[str]) -> str:
    """Return what was said in a turn, and by whom where there are others."""
    said = " ".join(text.strip() for text in texts if text.strip())
    return f"{turn.name}: {said}" if turn.name and said else said


# Guessing.


def _so_far(turn: Turn, latest: str) -> str | None:
    """Return all that was said in the turn, if `latest` is what its last utterance says; None if more is missing."""
    before = [heard.transcript for _, heard in turn.utterances[:-1]]
    if any(transcript is None for transcript in before):
        return None
    return _joined(turn, [*(transcript.text for transcript in before if transcript), latest])


def _speculate(state: Conversation, turn: Turn) -> Step:
    """Begin the reply to what was said up to a pause, if it may have been all."""
    _, heard = turn.utterances[-1]
    candidate = heard.candidate
    user = _so_far(turn, candidate.text) if candidate else None
    if candidate is None or user is None or (turn.reply is not None and agree(turn.reply.user, user)):
        return state, ()
    is_likely_all = ending(candidate.text, state.rules.language) != "open" and not heard.is_stale
    if state.rules.speculation not in {"llm", "tts"} or not user or not is_likely_all:
        turn, effects = drop(turn)
        return state.having(turn), effects
    turn, effects = ask(state, turn, user)
    return state.having(turn), effects


def _forgo(state: Conversation, turn: Turn) -> Step:
    """Give up what was begun in a pause that is over: most of it would be written before any words say so.

    What has been heard already stays until there are words: if these are none, it goes on.
    """
    _, heard = turn.utterances[-1]
    if not heard.is_stale or turn.reply is None or turn.reply.playing >= 0:
        return state, ()
    turn, effects = drop(turn)
    return state.having(turn), effects


def _anticipate(state: Conversation, turn: Turn, event: PartialTranscript) -> Step:
    """While somebody speaks on: what they said since makes a guess stale, and may fill the model's prefix cache."""
    utterance, heard = turn.utterances[-1]
    if utterance != event.utterance or (heard.candidate and heard.candidate.covers_seq >= event.covers_seq):
        return state, ()
    effects: tuple[Effect, ...] = ()
    user = _so_far(turn, event.text)
    if turn.reply is not None and user is not None and not agree(turn.reply.user, user):
        turn, effects = drop(turn)
    words = _so_far(turn, stable(turn.partial, event.text)) or ""
    turn = replace(turn, partial=event.text)
    if state.rules.speculation in {"llm", "tts"} and turn.reply is None and is_worth_warming(turn.warmed, words):
        turn = replace(turn, warmed=words)
        effects = (*effects, Warm(history=state.history, user=words))
    return state.having(turn), effects
