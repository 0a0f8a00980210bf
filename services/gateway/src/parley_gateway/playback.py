"""The reply as the listener hears it: phrases in order, paced in real time, and its position known to the frame.

Called by `sounding` with everything that concerns sound going out. Pure: `step(state, cue, now, rules)` returns the
next state and its actions (cues and actions are in `cues`, the state in `playback_state`, whose `due` says when to come
back). Here a cue is let in, or not; `sending` and `taking_back` do the rest. It owns no timer and no socket, and knows
no text.

One reply sounds at a time, that of whichever turn had something to say last: `turns` lets only the newest do so. A
phrase of an older revision, or of a turn that is over, is never heard.
What is canned stands on the same line as phrase `CANNED`, before all others, and counts as nothing of the reply.
"""

from typing import Final

import msgspec

from parley_contract.frames import FRAME_MS
from parley_gateway.cues import (
    Actions,
    Cue,
    FrameArrived,
    GiveWay,
    Pause,
    PhraseAnnounced,
    PhraseLost,
    PlaybackRules,
    PositionReported,
    ReplyComplete,
    Resume,
    Revise,
    SayAfter,
    SayBefore,
    Stop,
    TakeUp,
    TimePassed,
    Withdraw,
)
from parley_gateway.phrases import Phrase, collect, give_up
from parley_gateway.playback_state import CANNED, Playback, Reply
from parley_gateway.sending import advance
from parley_gateway.taking_back import hold_or_go_on, stop, take_back, withdraw
from parley_gateway.timeline import FRAME_S

MAX_LAG_S: Final = 2.0
"""A client that says it is further behind than this is not believed."""
_LAST_REVISION: Final = 1 << 32
"""Of a reply that nothing can be added to: above any that an agent raises."""


def step(state: Playback, cue: Cue, now: float, rules: PlaybackRules) -> tuple[Playback, Actions]:
    """Take in one cue; `now` is monotonic seconds and never goes back."""
    before: Actions = ()
    match cue:
        case PhraseAnnounced() | PhraseLost() | ReplyComplete() | Revise():
            state, before = _enter(state, cue.turn, cue.revision, now)
            state = _take_in(state, cue, cue.revision, now)
        case FrameArrived(turn, _, frame):
            state, before = _enter(state, turn, frame.revision, now)
            state = _take_in(state, cue, frame.revision, now)
        case SayBefore():
            state = _say_before(state, cue, now)
        case SayAfter():
            state = _say_after(state, cue, now)
        case Stop(turn):
            state, before = stop(state, turn, now)
        case Pause() | GiveWay() | Resume() | TakeUp():
            state, before = hold_or_go_on(state, cue, now)
        case Withdraw(turn):
            state, before = withdraw(state, turn, now)
        case PositionReported(position_ms):
            state = _follow(state, position_ms, now)
        case TimePassed():
            pass
    state, after = advance(state, now, rules)
    return state, before + after


# Fences: which reply a cue belongs to.


def _enter(state: Playback, turn: int, revision: int, now: float) -> tuple[Playback, Actions]:
    """Make `turn` at `revision` the reply that plays, if it is another one than what plays, or newer."""
    reply = state.reply
    if turn in state.over or (reply and reply.turn == turn and revision <= reply.revision):
        return state, ()
    actions: Actions = ()
    fresh = Reply(turn=turn, revision=revision, progress_at=now)
    if reply and reply.turn != turn:
        state, actions = stop(state, reply.turn, now)
    elif reply and reply.has_begun:
        _, actions = take_back(state, reply, now)
    elif reply:
        # Nothing is to be taken back of what was canned: it holds for any revision.
        canned = {number: phrase for number, phrase in reply.phrases.items() if number == CANNED}
        fresh = msgspec.structs.replace(
            fresh, line=reply.line, current=reply.current, cursor=reply.cursor, phrases=canned
        )
    return msgspec.structs.replace(state, reply=fresh), actions


def _take_in(
    state: Playback,
    cue: PhraseAnnounced | FrameArrived | PhraseLost | ReplyComplete | Revise,
    revision: int,
    now: float,
) -> Playback:
    reply = state.reply
    if reply is None or (cue.turn, revision) != (reply.turn, reply.revision):
        return state
    announced, total, phrases = reply.announced, reply.total, dict(reply.phrases)
    match cue:
        case PhraseAnnounced(phrase=number):
            announced = max(announced, number + 1)
        case ReplyComplete(phrases=count):
            total = count
        case FrameArrived(phrase=number, frame=frame) if number >= reply.current:
            phrases[number] = collect(reply.phrase(number), frame, played=reply.sent_of(number), now=now)
        case PhraseLost(phrase=number) if number >= reply.current:
            phrases[number] = give_up(reply.phrase(number), played=reply.sent_of(number))
        case _:
            return state
    reply = msgspec.structs.replace(reply, announced=announced, total=total, phrases=phrases, progress_at=now)
    return msgspec.structs.replace(state, reply=reply)


# What is canned.


def _say_before(state: Playback, cue: SayBefore, now: float) -> Playback:
    reply = state.reply or Reply(turn=cue.turn, revision=cue.revision, progress_at=now)
    if cue.turn in state.over or reply.turn != cue.turn or reply.line.sent or reply.has_begun:
        return state
    phrases = {**reply.phrases, CANNED: _canned(cue.frames)}
    return msgspec.structs.replace(state, reply=msgspec.structs.replace(reply, current=CANNED, phrases=phrases))


def _say_after(state: Playback, cue: SayAfter, now: float) -> Playback:
    if state.reply is not None:
        return state
    reply = Reply(
        turn=cue.turn,
        revision=_LAST_REVISION,
        phrases={CANNED: _canned(cue.frames)},
        total=0,
        current=CANNED,
        progress_at=now,
    )
    return msgspec.structs.replace(state, reply=reply)


def _canned(frames: tuple[bytes, ...]) -> Phrase:
    return Phrase(frames=dict(enumerate(frames)), end=len(frames))


# Where the listener is.


def _follow(state: Playback, position_ms: float, now: float) -> Playback:
    """Learn from the listener's position how far behind it is; a position at the end of the stream says nothing."""
    reply = state.reply
    if reply is None or state.is_held or reply.line.origin is None or position_ms >= state.streamed * FRAME_MS:
        return state
    on_line_s = min(now - reply.line.origin, reply.line.sent * FRAME_S)
    in_stream_s = (state.streamed - reply.line.sent) * FRAME_S + on_line_s
    return msgspec.structs.replace(state, lag_s=min(MAX_LAG_S, max(0.0, in_stream_s - position_ms / 1000)))
