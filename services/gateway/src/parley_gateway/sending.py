"""What is due of a reply goes out, and what was heard of it is settled: how playback goes on by itself.

Used by `playback` after every cue. Pure.
"""

from typing import Final

import msgspec

from parley_contract.frames import FRAME_MS, RATE_HZ
from parley_gateway.cues import (
    Action,
    Actions,
    CannedBegan,
    PhraseBegan,
    PlaybackRules,
    RanDry,
    ReplyOver,
    Send,
    Sounded,
)
from parley_gateway.phrases import Phrase, give_up
from parley_gateway.playback_state import CANNED, Playback, Reply, phrase_over
from parley_gateway.timeline import EPSILON_S

AUDIBLE: Final = 100
"""Amplitude of the first audible sample, -50 dB of full scale: above the noise floor that voices begin with."""


def advance(state: Playback, now: float, rules: PlaybackRules) -> tuple[Playback, Actions]:
    """Send and settle all that is due; nothing while it is held."""
    reply = state.reply
    if reply is None or state.is_held:
        return state, ()
    actions: list[Action] = []
    while not reply.is_sent:
        phrase = reply.phrase(reply.current)
        if phrase.end is not None and reply.cursor >= phrase.end:
            reply = _past(reply, phrase)
            continue
        is_due = now >= reply.lost_at() - EPSILON_S
        pcm = phrase.at(reply.cursor, is_due=is_due)
        if pcm is not None:
            if now < reply.sends_at(rules) - EPSILON_S:
                break
            reply, sent = _send(reply, pcm, now, at_ms=state.streamed * FRAME_MS)
            actions += sent
            state = msgspec.structs.replace(state, streamed=state.streamed + 1)
        elif (phrase.is_broken_off and is_due) or (reply.is_owed and now >= reply.stalls_at(rules) - EPSILON_S):
            phrases = {**reply.phrases, reply.current: give_up(phrase, played=reply.cursor)}
            reply = msgspec.structs.replace(reply, phrases=phrases)
        else:
            break
    line, settled = reply.line.settle(reply.line.heard(now, state.lag_s))
    actions += (phrase_over(state, reply, piece) for piece in settled if piece.phrase != CANNED)
    if reply.is_sent and not line.pieces:
        actions.append(ReplyOver(reply.turn, line.played * FRAME_MS, is_complete=True))
        return state.without(reply.turn), tuple(actions)
    phrases = {n: phrase for n, phrase in reply.phrases.items() if n not in {piece.phrase for piece in settled}}
    reply = msgspec.structs.replace(reply, line=line, phrases=phrases)
    return msgspec.structs.replace(state, reply=reply), tuple(actions)


def _send(reply: Reply, pcm: bytes, now: float, *, at_ms: int) -> tuple[Reply, list[Action]]:
    actions: list[Action] = []
    if reply.has_begun and reply.line.sent and now > reply.line.dry_at() + EPSILON_S:
        actions.append(RanDry(reply.turn))
    if reply.cursor == 0 and reply.current == CANNED:
        actions.append(CannedBegan(reply.turn, at_ms))
    elif reply.cursor == 0:
        actions.append(PhraseBegan(reply.turn, reply.revision, reply.current, at_ms))
    line = reply.line.with_open(reply.current).with_frame(now)
    actions.append(Send(pcm))
    sound = None if reply.has_sounded or reply.current == CANNED else _first_audible(pcm)
    if sound is not None:
        actions.append(Sounded(reply.turn, line.heard_at(reply.line.sent, 0.0) + sound / RATE_HZ))
    audible_from = reply.audible_from if sound is None else reply.line.sent
    return msgspec.structs.replace(reply, line=line, cursor=reply.cursor + 1, audible_from=audible_from), actions


def _past(reply: Reply, phrase: Phrase) -> Reply:
    """Go on with the next phrase; one that had no frame leaves an empty piece, so that its end is told in order."""
    line = reply.line.with_open(reply.current).with_closed(is_whole=phrase.is_whole)
    return msgspec.structs.replace(reply, line=line, current=reply.current + 1, cursor=0)


def _first_audible(pcm: bytes) -> int | None:
    samples = memoryview(pcm).cast("h")
    return next((index for index, sample in enumerate(samples) if abs(sample) >= AUDIBLE), None)
