"""The reply as the listener hears it: phrases in order, paced in real time, and its position known to the frame.

Called by `turns` with everything that concerns sound going out. Pure: `step(state, cue, now, rules)` returns the next
state and its actions (both in `cues`); `due` says when to come back. It owns no timer and no socket, and knows no text.

One reply sounds at a time, that of whichever turn had something to say last: `turns` lets only the newest do so. A
phrase of an older revision, or of a turn that is over, is never heard.
What is canned stands on the same line as phrase `CANNED`, before all others, and counts as nothing of the reply.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.frames import FRAME_MS, RATE_HZ
from parley_gateway.cues import (
    Action,
    CannedBegan,
    Cue,
    Cut,
    FrameArrived,
    GiveWay,
    Pause,
    PhraseAnnounced,
    PhraseBegan,
    PhraseLost,
    PhraseOver,
    PlaybackRules,
    PositionReported,
    RanDry,
    ReplyComplete,
    ReplyOver,
    Resume,
    Revise,
    SayAfter,
    SayBefore,
    Send,
    Sounded,
    Stop,
    TakeUp,
    TimePassed,
    Withdraw,
)
from parley_gateway.phrases import REORDER_S, Phrase, collect, give_up
from parley_gateway.timeline import EPSILON_S, FRAME_S, Piece, Timeline

AUDIBLE: Final = 100
"""Amplitude of the first audible sample, -50 dB of full scale: above the noise floor that voices begin with."""
MAX_LAG_S: Final = 2.0
"""A client that says it is further behind than this is not believed."""
CANNED: Final = -1
_REMEMBERED: Final = 16
"""Turns that are over; what is still under way of one comes within seconds."""
_NOTHING: Final = Phrase()
_LAST_REVISION: Final = 1 << 32
"""Of a reply that nothing can be added to: above any that an agent raises."""

Actions = tuple[Action, ...]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply that is being played."""

    turn: int
    revision: int
    phrases: Mapping[int, Phrase] = {}
    """What is here of each phrase that was not heard to its end."""
    announced: int = 0
    """One more than the highest phrase known to exist."""
    total: int | None = None
    current: int = 0
    """The phrase that is being sent."""
    cursor: int = 0
    """Its next frame."""
    line: Timeline = Timeline()
    progress_at: float
    """When something last arrived."""
    audible_from: int | None = None
    """The frame of the line that has its first audible sample; None before that is sent."""

    def phrase(self, number: int) -> Phrase:
        """Return what is here of a phrase."""
        return self.phrases.get(number, _NOTHING)

    def sent_of(self, number: int) -> int:
        """Return how many frames of a phrase, the current one or later, were sent."""
        return self.cursor if number == self.current else 0

    @property
    def has_begun(self) -> bool:
        """Whether anything of it was sent or passed over, beside what is canned."""
        return (self.current, self.cursor) > (0, 0)

    @property
    def has_sounded(self) -> bool:
        """Whether anything audible of it was sent and not taken back."""
        return self.audible_from is not None

    @property
    def is_sent(self) -> bool:
        """Whether there is nothing more to send, now or later."""
        return self.total is not None and self.current >= self.total

    @property
    def is_owed(self) -> bool:
        """Whether the current phrase is known to exist."""
        return self.current < max(self.announced, self.total or 0)

    def lost_at(self) -> float:
        """Return when the next frame is to be played without, if it is missing and others are here."""
        return max(self.line.dry_at() - FRAME_S, self.phrase(self.current).began_at + REORDER_S)

    def stalls_at(self, rules: PlaybackRules) -> float:
        """Return when waiting for the current phrase's next frame makes no sense any more."""
        return max(self.line.dry_at(), self.progress_at) + rules.stall_s


class Playback(msgspec.Struct, frozen=True, kw_only=True):
    """All sound that goes to one listener."""

    reply: Reply | None = None
    over: tuple[int, ...] = ()
    """The latest turns that were over: they are never played again."""
    streamed: int = 0
    """Frames ever sent on this connection."""
    lag_s: float = 0.0
    """How far the listener's own playback is behind, as it says."""
    is_paused: bool = False
    """Whether nobody is there to listen."""
    gives_way: bool = False
    """Whether somebody speaks."""

    @property
    def is_held(self) -> bool:
        """Whether nothing is sent."""
        return self.is_paused or self.gives_way


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
            state, before = _stop(state, turn, now)
        case Pause() | GiveWay() | Resume() | TakeUp():
            state, before = _hold_or_go_on(state, cue, now)
        case Withdraw(turn):
            state, before = _withdraw(state, turn, now)
        case PositionReported(position_ms):
            state = _follow(state, position_ms, now)
        case TimePassed():
            pass
    state, after = _advance(state, now, rules)
    return state, before + after


def due(state: Playback, rules: PlaybackRules) -> float | None:
    """Return when to send TimePassed unless something else comes first; None while there is nothing to wait for."""
    reply = state.reply
    if reply is None or state.is_held:
        return None
    times: list[float] = []
    if reply.line.pieces and reply.line.pieces[0].is_closed:
        times.append(reply.line.heard_at(reply.line.pieces[0].end, state.lag_s))
    if not reply.is_sent:
        phrase = reply.phrase(reply.current)
        if phrase.at(reply.cursor, is_due=False) is not None:
            times.append(reply.line.dry_at() - _lead_s(rules))
        elif phrase.is_broken_off or phrase.at(reply.cursor, is_due=True) is not None:
            times.append(reply.lost_at())
        elif reply.is_owed:
            times.append(reply.stalls_at(rules))
    return min(times, default=None)


# Fences: which reply a cue belongs to.


def _enter(state: Playback, turn: int, revision: int, now: float) -> tuple[Playback, Actions]:
    """Make `turn` at `revision` the reply that plays, if it is another one than what plays, or newer."""
    reply = state.reply
    if turn in state.over or (reply and reply.turn == turn and revision <= reply.revision):
        return state, ()
    actions: Actions = ()
    fresh = Reply(turn=turn, revision=revision, progress_at=now)
    if reply and reply.turn != turn:
        state, actions = _stop(state, reply.turn, now)
    elif reply and reply.has_begun:
        _, actions = _take_back(state, reply, now)
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


# Holding, taking back, ending.


def _take_back(state: Playback, reply: Reply, now: float) -> tuple[Timeline, Actions]:
    """Take off the line what is not heard yet, and tell the listener to throw it away."""
    if state.is_held:
        return reply.line, ()
    line = reply.line.taken_back(reply.line.heard(now, state.lag_s))
    under_way = reply.line.sent - line.sent
    cut = Cut(reply.turn, (state.streamed - under_way) * FRAME_MS, state.streamed * FRAME_MS)
    return line, (cut,) if under_way else ()


def _hold_or_go_on(state: Playback, cue: Pause | GiveWay | Resume | TakeUp, now: float) -> tuple[Playback, Actions]:
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
    line, actions = _take_back(state, reply, now)
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


def _withdraw(state: Playback, turn: int, now: float) -> tuple[Playback, Actions]:
    reply = state.reply
    if reply is None or reply.turn != turn:
        return state, ()
    _, actions = _take_back(state, reply, now)
    return msgspec.structs.replace(state, reply=None), actions


def _stop(state: Playback, turn: int, now: float) -> tuple[Playback, Actions]:
    reply = state.reply
    state = _with_over(state, turn)
    if reply is None or reply.turn != turn:
        return state, ()
    line, cut = _take_back(state, reply, now)
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
    overs = tuple(_over(state, reply, piece) for piece in pieces)
    return msgspec.structs.replace(state, reply=None), (*cut, *overs, ended)


def _with_over(state: Playback, turn: int) -> Playback:
    others = tuple(other for other in state.over if other != turn)
    return msgspec.structs.replace(state, over=(*others, turn)[-_REMEMBERED:])


def _length(reply: Reply, piece: Piece) -> int:
    """Return how many frames the phrase of a piece has, 0 while that is not known."""
    phrase = reply.phrase(piece.phrase)
    if piece.is_closed:
        return piece.frames if piece.is_whole else 0
    return phrase.end if phrase.end is not None and phrase.is_whole else 0


def _follow(state: Playback, position_ms: float, now: float) -> Playback:
    """Learn from the listener's position how far behind it is; a position at the end of the stream says nothing."""
    reply = state.reply
    if reply is None or state.is_held or reply.line.origin is None or position_ms >= state.streamed * FRAME_MS:
        return state
    on_line_s = min(now - reply.line.origin, reply.line.sent * FRAME_S)
    in_stream_s = (state.streamed - reply.line.sent) * FRAME_S + on_line_s
    return msgspec.structs.replace(state, lag_s=min(MAX_LAG_S, max(0.0, in_stream_s - position_ms / 1000)))


# Going on.


def _advance(state: Playback, now: float, rules: PlaybackRules) -> tuple[Playback, Actions]:
    """Send and settle all that is due."""
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
            if now < reply.line.dry_at() - _lead_s(rules) - EPSILON_S:
                break
            reply, sent = _send(reply, pcm, now, at_ms=state.streamed * FRAME_MS)
            actions += sent
            state = msgspec.structs.replace(state, streamed=state.streamed + 1)
        elif (phrase.is_broken_off and is_due) or (reply.is_owed and now >= reply.stalls_at(rules) - EPSILON_S):
            reply = _with(reply, give_up(phrase, played=reply.cursor))
        else:
            break
    line, settled = reply.line.settle(reply.line.heard(now, state.lag_s))
    actions += (_over(state, reply, piece) for piece in settled if piece.phrase != CANNED)
    phrases = {n: phrase for n, phrase in reply.phrases.items() if n not in {piece.phrase for piece in settled}}
    reply = msgspec.structs.replace(reply, line=line, phrases=phrases)
    if reply.is_sent and not line.pieces:
        actions.append(ReplyOver(reply.turn, line.played * FRAME_MS, is_complete=True))
        return msgspec.structs.replace(_with_over(state, reply.turn), reply=None), tuple(actions)
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


def _with(reply: Reply, phrase: Phrase) -> Reply:
    return msgspec.structs.replace(reply, phrases={**reply.phrases, reply.current: phrase})


def _over(state: Playback, reply: Reply, piece: Piece) -> PhraseOver:
    at_ms = (state.streamed - reply.line.sent + piece.end) * FRAME_MS
    return PhraseOver(reply.turn, reply.revision, piece.phrase, piece.played_ms, piece.is_whole, at_ms)


def _first_audible(pcm: bytes) -> int | None:
    samples = memoryview(pcm).cast("h")
    return next((index for index, sample in enumerate(samples) if abs(sample) >= AUDIBLE), None)


def _lead_s(rules: PlaybackRules) -> float:
    """How long before it is heard a frame may be sent, so that with it no more than `ahead_ms` are under way."""
    return max(0, rules.ahead_ms - FRAME_MS) / 1000
