"""Segments become utterances: who is still speaking, and who has finished. One reducer per speaker.

Called by `inbound` for every frame, and by its timer when frames stop coming. Pure: `step(state, event, now, rules)`
returns the next state and what happened (`utterance_state` and `utterance_events`). It knows frames by number only;
turns and ids are given in `turns`.

How much silence it takes is `endpoint_ms`, or with `smart` what `endpointing` says of what is known of the pause:
evidence comes in while it lasts, each piece with the position up to which it heard, and counts only while nothing
voiced came after that.

Silence is measured on two clocks. While frames come, on the media clock: samples since the last voiced one. A door
may send nothing while nobody speaks (Discord), or stop in the middle of a word (a bad network); so when frames stay
away the wall clock goes on counting, after a pause at once, within a word only after `stall_ms`.
"""

from typing import Final, Literal

import msgspec

from parley_contract.frames import FRAME_SAMPLES, RATE_HZ
from parley_contract.messages import Endpoint
from parley_gateway import segments
from parley_gateway.endpointing import Evidence, learned
from parley_gateway.segments import SpeechStarted, SpeechStopped, SpeechWindow
from parley_gateway.utterance_events import (
    Began,
    DoorClosed,
    Ended,
    Event,
    FrameHeard,
    Happening,
    Paused,
    Resumed,
    SoundJudged,
    TimePassed,
    WordsJudged,
)
from parley_gateway.utterance_state import Decided, Hearing, Running, UtteranceRules, due

MEMORY_FRAMES: Final = 100
"""How far back an utterance may begin, 2 s: pre-roll plus the time it takes to be sure that it is speech."""
_SOFT_SHARE: Final = 0.8
"""From this share of the longest utterance on, the next pause is taken to cut it."""


def step(state: Hearing, event: Event, now: float, rules: UtteranceRules) -> tuple[Hearing, tuple[Happening, ...]]:
    """Take in one event; `now` is monotonic seconds and never goes back."""
    match event:
        case FrameHeard(windows):
            return _hear(state, windows, now, rules)
        case SoundJudged(until, audio):
            return _weigh(state, until, Evidence(audio=audio), now, rules)
        case WordsJudged(until, ending):
            return _weigh(state, until, Evidence(ending=ending), now, rules)
        case TimePassed():
            deadline = due(state, rules)
            if deadline is None or now < deadline:
                return state, ()
            return _end(state, "endpoint", now, waited_ms=(now - state.heard_at) * 1000)
        case DoorClosed():
            return _end(state, "closed", now) if state.running else (_quiet(state), ())


def _hear(
    state: Hearing, windows: tuple[SpeechWindow, ...], now: float, rules: UtteranceRules
) -> tuple[Hearing, tuple[Happening, ...]]:
    state = msgspec.structs.replace(state, frames=state.frames + 1, heard_at=now)
    happened: list[Happening] = []
    for window in windows:
        segment, change = segments.step(state.segment, window, rules.segments)
        before = running = state.running
        if running and segment.phase == "speaking" and segment.last_voiced > running.last_voiced:
            last = segment.last_voiced
            running = msgspec.structs.replace(
                running, last_voiced=last, voiced_until=state.time_of(last), evidence=Evidence()
            )
        state = msgspec.structs.replace(state, segment=segment, running=running)
        match change:
            case SpeechStarted(first_voiced) if state.running is None:
                state, began = _begin(state, first_voiced, rules)
                happened.append(began)
            case SpeechStarted(first_voiced) if before is not None:
                state = _learn(state, (state.time_of(first_voiced) - before.voiced_until) * 1000)
                happened.append(Resumed(state.frames - 1 - before.first_frame, first_voiced))
            case SpeechStopped(last_voiced) if running and last_voiced > running.first_frame * FRAME_SAMPLES:
                happened.append(Paused(running.seq_of(last_voiced), last_voiced))
    if state.running:
        state, ended = _judge(state, state.running, now, rules)
        happened += ended
    return state, tuple(happened)


def _begin(state: Hearing, first_voiced: int, rules: UtteranceRules) -> tuple[Hearing, Began]:
    decided, reopens = state.decided, False
    if decided is not None:
        since_ms = (state.time_of(first_voiced) - decided.at) * 1000
        if reopens := since_ms <= rules.reopen_ms:
            state = _learn(state, decided.wait_ms + since_ms)
    pre_roll = rules.pre_roll_ms * RATE_HZ // 1000
    wanted = max(0, first_voiced - pre_roll) // FRAME_SAMPLES
    first_frame = max(wanted, state.floor_frame, state.frames - MEMORY_FRAMES)
    last_voiced = state.segment.last_voiced
    running = Running(first_frame, first_voiced, last_voiced, state.time_of(last_voiced))
    return msgspec.structs.replace(state, running=running), Began(first_frame, first_voiced, reopens=reopens)


def _learn(state: Hearing, pause_ms: float) -> Hearing:
    return msgspec.structs.replace(state, own_pause_ms=learned(state.own_pause_ms, pause_ms))


def _judge(
    state: Hearing, running: Running, now: float, rules: UtteranceRules
) -> tuple[Hearing, tuple[Happening, ...]]:
    """End or cut the running utterance if it is time, by the media clock."""
    if state.has_finished(rules):
        return _end(state, "endpoint", now)
    length_s = (state.frames - running.first_frame) * FRAME_SAMPLES / RATE_HZ
    if length_s >= rules.max_utterance_s or (state.is_pausing and length_s >= _SOFT_SHARE * rules.max_utterance_s):
        return _cut(state, running)
    return state, ()


def _weigh(
    state: Hearing, until: int, found: Evidence, now: float, rules: UtteranceRules
) -> tuple[Hearing, tuple[Happening, ...]]:
    """Take in evidence, unless its pause is over or nobody asked for it; it may end the utterance at once."""
    running = state.running
    if running is None or rules.smart is None or until < running.last_voiced:
        return state, ()
    known = running.evidence
    audio = known.audio if found.audio is None else found.audio
    evidence = Evidence(audio=audio, ending=found.ending or known.ending)
    running = msgspec.structs.replace(running, evidence=evidence)
    state = msgspec.structs.replace(state, running=running)
    return _end(state, "endpoint", now) if state.has_finished(rules) else (state, ())


def _cut(state: Hearing, running: Running) -> tuple[Hearing, tuple[Happening, ...]]:
    """End the utterance and go on in another at once: in a pause it is not known yet whether more will come."""
    ended = _ended(state, running, "max_length")
    following = msgspec.structs.replace(running, first_frame=state.frames)
    after = msgspec.structs.replace(state, running=following)
    return after, (ended, Began(state.frames, running.first_voiced, continues=True))


def _end(
    state: Hearing, reason: Literal["endpoint", "closed"], now: float, *, waited_ms: float = 0.0
) -> tuple[Hearing, tuple[Happening, ...]]:
    """End the utterance; `waited_ms` is silence that no frame has told of yet."""
    running = state.running
    if running is None:
        return state, ()
    ended = _ended(state, running, reason)
    if reason == "endpoint":
        wait_ms = round(state.silence_ms + waited_ms, 1)
        endpoint = Endpoint(
            wait_ms=wait_ms,
            audio=None if running.evidence.audio is None else round(running.evidence.audio, 3),
            ending=running.evidence.ending or "",
            own_pause_ms=None if state.own_pause_ms is None else round(state.own_pause_ms, 1),
        )
        ended = msgspec.structs.replace(ended, endpoint=endpoint)
        state = msgspec.structs.replace(state, decided=Decided(now, wait_ms))
    return _quiet(state), (ended,)


def _quiet(state: Hearing) -> Hearing:
    """Forget the running utterance and any suspicion of speech, but not how far the media clock has come."""
    floor = state.floor_frame
    if state.running:
        # The silence that ended it may serve as pre-roll of the next; what was voiced may not.
        floor = max(-(-state.running.last_voiced // FRAME_SAMPLES), state.running.first_frame)
    segment = segments.silence(state.segment.noise_db)
    return msgspec.structs.replace(state, segment=segment, floor_frame=floor, running=None)


def _ended(state: Hearing, running: Running, reason: Literal["endpoint", "max_length", "closed"]) -> Ended:
    last_seq = state.frames - 1 - running.first_frame
    return Ended(last_seq, max(-1, running.seq_of(running.last_voiced)), running.last_voiced, reason)
