"""What was sent ahead of its time is taken back: to be sent again later, or because the reply is over.

Used by `playback`. Pure.
"""

import msgspec

from parley_contract.frames import FRAME_MS
from parley_gateway.cues import Actions, Cut, GiveWay, Pause, ReplyOver, Resume, TakeUp
from parley_gateway.playback_state import CANNED, Playback, Reply, phrase_over
from parley_gateway.timeline import Piece, Timeline


def take_back(state: Playback, reply: Reply, now: float) -> tuple[Timeline, Actions]:
    """Take off the line what is not heard yet, and tell the listener to throw it away."""
    if state.is_held:
        return reply.line, ()
    line = reply.line.taken_back(reply.line.heard(now, state.lag_s))
    under_way = reply.line.sent - line.sent
    cut = Cut(reply.turn, (state.streamed - under_way) * FRAME_MS, state.streamed * FRAME_MS)
    return line, (cut,) if under_way else ()


def hold_or_go_on(state: Playback, cue: Pause | GiveWay | Resume | TakeUp, now: float) -> tuple[Playback, Actions]:
    """Hold the reply where it is heard now, or let it go on from there once nothing holds it any more."""
    match cue:
        case Pause():
            state, actions = _hold(state, now)
            return msgspec.structs.replace(state, is_paused=True), actions
        case GiveWay():
            state, actions = _hold(state, now)
            return msgspec.structs.replace(state, gives_way=True), actions
        case TakeUp():
            return _go_on(state, msgspec.structs.replace(state, gives_way=False), now), ()
        case Resume(is_new_stream):
            stream = {"streamed": 0, "lag_s": 0.0} if is_new_stream else {}
            return _go_on(state, msgspec.structs.replace(state, is_paused=False, **stream), now), ()


def _hold(state: Playback, now: float) -> tuple[Playback, Actions]:
    """Take back what is under way, so that it can be sent again."""
    reply = state.reply
    if reply is None or state.is_held:
        return state, ()
    line, actions = take_back(state, reply, now)
    current, cursor = reply.current, reply.cursor
    if line.pieces and not line.pieces[-1].is_closed:
        current, cursor = line.pieces[-1].phrase, line.pieces[-1].frames
    elif len(line.pieces) < len(reply.line.pieces):
        current, cursor = reply.line.pieces[len(line.pieces)].phrase, 0
    audible_from = None if (reply.audible_from or 0) >= line.sent else reply.audible_from
    reply = msgspec.structs.replace(reply, line=line, current=current, cursor=cursor, audible_from=audible_from)
    return msgspec.structs.replace(state, reply=reply), actions


def _go_on(before: Playback, state: Playback, now: float) -> Playback:
    """Let the line go on from now, if this ended what held it."""
    reply = state.reply
    if reply is None or state.is_held or not before.is_held:
        return state
    reply = msgspec.structs.replace(reply, line=reply.line.resumed(now), progress_at=now)
    return msgspec.structs.replace(state, reply=reply)


def withdraw(state: Playback, turn: int, now: float) -> tuple[Playback, Actions]:
    """Take a turn's reply back as if nothing of it had been said."""
    reply = state.reply
    if reply is None or reply.turn != turn:
        return state, ()
    _, actions = take_back(state, reply, now)
    return msgspec.structs.replace(state, reply=None), actions


def stop(state: Playback, turn: int, now: float) -> tuple[Playback, Actions]:
    """End a turn's reply where it is heard now, and say how much of it was."""
    reply = state.reply
    if reply is None or reply.turn != turn:
        return state.without(turn), ()
    line, cut = take_back(state, reply, now)
    line, heard = line.settle(line.sent)
    pieces = tuple(piece for piece in (*heard, *line.pieces) if piece.phrase != CANNED)
    last = pieces[-1] if pieces else line.latest
    last = None if last and last.phrase == CANNED else last
    ended = ReplyOver(
        reply.turn,
        line.sent * FRAME_MS,
        is_complete=False,
        phrase=last.phrase if last else -1,
        phrase_played_ms=last.played_ms if last else 0,
        phrase_ms=_length(reply, last) * FRAME_MS if last else 0,
    )
    overs = tuple(phrase_over(state, reply, piece) for piece in pieces)
    return state.without(turn), (*cut, *overs, ended)


def _length(reply: Reply, piece: Piece) -> int:
    """Return how many frames the phrase of a piece has, 0 while that is not known."""
    phrase = reply.phrase(piece.phrase)
    if piece.is_closed:
        return piece.frames if piece.is_whole else 0
    return phrase.end if phrase.end is not None and phrase.is_whole else 0
