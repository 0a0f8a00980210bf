"""Segments become utterances: who is still speaking, and who has finished. One reducer per speaker.

Called by `inbound` for every frame, and by its timer when frames stop coming. Pure: `step(state, event, now, rules)`
returns the next state and what happened. It knows frames by number only; turns and ids are given in `turns`.

How much silence it takes is `endpoint_ms`, or with `smart` what `endpointing` says of what is known of the pause:
evidence comes in while it lasts, each piece with the position up to which it heard, and counts only while nothing
voiced came after that.

Silence is measured on two clocks. While frames come, on the media clock: samples since the last voiced one. A door
may send nothing while nobody speaks (Discord), or stop in the middle of a word (a bad network); so when frames stay
away the wall clock goes on counting, after a pause at once, within a word only after `stall_ms`.
"""

from typing import Final, Literal

import msgspec

from parley_contract.endings import Ending
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ
from parley_contract.messages import Endpoint
from parley_gateway import segments
from parley_gateway.endpointing import Evidence, SmartRules, learned, needed_ms
from parley_gateway.segments import Segment, SegmentRules, SpeechStarted, SpeechStopped, SpeechWindow

MEMORY_FRAMES: Final = 100
"""How far back an utterance may begin, 2 s: pre-roll plus the time it takes to be sure that it is speech."""
_JITTER_S: Final = 0.06
"""Frames that are this late are late, not absent."""
_SOFT_SHARE: Final = 0.8
"""From this share of the longest utterance on, the next pause is taken to cut it."""


class UtteranceRules(msgspec.Struct, frozen=True, kw_only=True):
    """How utterances begin and end."""

    segments: SegmentRules = SegmentRules()
    endpoint_ms: int = 500
    """Silence after which the speaker has finished (LiveKit 550, RealtimeSTT 600)."""
    smart: SmartRules | None = None
    """How evidence makes that shorter or longer; None if silence alone decides."""
    pre_roll_ms: int = 300
    """Sound before the first voiced sample that goes along: first consonants come before the model's certainty."""
    max_utterance_s: float = 30.0
    """An utterance longer than this is cut; its turn goes on in the next."""
    reopen_ms: int = 1000
    """Who goes on within this of the endpoint had only paused; what follows from that is for `turns` to say."""
    stall_ms: int = 800
    """How long frames may stay away in the middle of a word before that counts as silence."""


class FrameHeard(msgspec.Struct, frozen=True):
    """The next 20 ms frame of this speaker, with the windows that it completed."""

    windows: tuple[SpeechWindow, ...] = ()


class SoundJudged(msgspec.Struct, frozen=True):
    """The audio turn model has judged a pause."""

    until: int
    """Position up to which it heard; no less than the last voiced sample before the pause."""
    audio: float
    """How complete the turn sounded, in [0, 1]."""


class WordsJudged(msgspec.Struct, frozen=True):
    """A transcript of what was said before a pause has come."""

    until: int
    """Position up to which it heard."""
    ending: Ending


class TimePassed(msgspec.Struct, frozen=True):
    """Nothing but time; send it at `due`."""


class DoorClosed(msgspec.Struct, frozen=True):
    """No more frames will come."""


class Began(msgspec.Struct, frozen=True):
    """An utterance begins with frame number `first_frame`, its sequence 0."""

    first_frame: int
    first_voiced: int
    """Position of its first voiced sample, of the turn's for one that goes on."""
    continues: bool = False
    """Whether it goes on from the one that just ended, in the same turn."""
    reopens: bool = False
    """Whether it comes so soon after an endpoint that its speaker had only paused."""


class Paused(msgspec.Struct, frozen=True):
    """A segment ended; the utterance goes on until the endpoint."""

    last_seq: int
    """Sequence of the frame with the last voiced sample."""
    last_voiced: int
    """One past that sample."""


class Resumed(msgspec.Struct, frozen=True):
    """The next segment of it began."""

    latest_seq: int
    """Sequence of the frame by which that is certain."""
    first_voiced: int


class Ended(msgspec.Struct, frozen=True):
    """The utterance is over."""

    last_seq: int
    """Sequence of its last frame."""
    voiced_seq: int
    """Sequence of the frame with its last voiced sample; -1 if it has none itself."""
    last_voiced: int
    """One past its last voiced sample; of the utterance it continues, if it has none itself."""
    reason: Literal["endpoint", "max_length", "closed"]
    endpoint: Endpoint | None = None
    """By what it was decided; None unless it was an endpoint."""


Event = FrameHeard | SoundJudged | WordsJudged | TimePassed | DoorClosed
Happening = Began | Paused | Resumed | Ended


class Running(msgspec.Struct, frozen=True):
    """An utterance that has begun and not ended."""

    first_frame: int
    first_voiced: int
    last_voiced: int
    voiced_until: float
    """When that was heard, in monotonic seconds, as if no frame were ever late."""
    evidence: Evidence = Evidence()
    """Of the silence since the last voiced sample."""


class Decided(msgspec.Struct, frozen=True):
    """The latest endpoint."""

    at: float
    """Monotonic seconds."""
    wait_ms: float
    """The silence that it took."""


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a speaker's sound."""

    segment: Segment = Segment()
    frames: int = 0
    """How many frames were heard: the number of the next one."""
    heard_at: float = 0.0
    """Monotonic seconds at which the latest came."""
    floor_frame: int = 0
    """The first frame that the next utterance may take: nothing voiced is transcribed twice."""
    running: Running | None = None
    decided: Decided | None = None
    own_pause_ms: float | None = None
    """How long this speaker's pauses within turns are; None while there was none."""


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


def due(state: Hearing, rules: UtteranceRules) -> float | None:
    """Return when to send TimePassed unless a frame comes first; None while nobody speaks."""
    if state.running is None:
        return None
    in_word = state.segment.phase != "silent"
    wanted_ms = _needed_ms(state, state.running, rules)
    if in_word:
        wanted_ms = max(wanted_ms, rules.stall_ms)
    return state.heard_at + max(_JITTER_S, (wanted_ms - _silence_ms(state)) / 1000)


def _needed_ms(state: Hearing, running: Running, rules: UtteranceRules) -> float:
    if rules.smart is None:
        return rules.endpoint_ms
    return needed_ms(running.evidence, state.own_pause_ms, rules.endpoint_ms, rules.smart)


def _silence_ms(state: Hearing) -> float:
    """Return how long nothing voiced came, by the media clock."""
    return (state.frames * FRAME_SAMPLES - state.running.last_voiced) * 1000 / RATE_HZ if state.running else 0.0


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
                running, last_voiced=last, voiced_until=_heard_at(state, last), evidence=Evidence()
            )
        state = msgspec.structs.replace(state, segment=segment, running=running)
        match change:
            case SpeechStarted(first_voiced) if state.running is None:
                state, began = _begin(state, first_voiced, rules)
                happened.append(began)
            case SpeechStarted(first_voiced) if before is not None:
                state = _learn(state, (_heard_at(state, first_voiced) - before.voiced_until) * 1000)
                happened.append(Resumed(state.frames - 1 - before.first_frame, first_voiced))
            case SpeechStopped(last_voiced) if running and last_voiced > running.first_frame * FRAME_SAMPLES:
                happened.append(Paused(_seq_of(last_voiced, running), last_voiced))
    if state.running:
        state, ended = _judge(state, state.running, now, rules)
        happened += ended
    return state, tuple(happened)


def _heard_at(state: Hearing, position: int) -> float:
    """Return when a sample of the latest frames was heard: positions stand still while a door sends nothing."""
    return state.heard_at - (state.frames * FRAME_SAMPLES - position) / RATE_HZ


def _begin(state: Hearing, first_voiced: int, rules: UtteranceRules) -> tuple[Hearing, Began]:
    decided, reopens = state.decided, False
    if decided is not None:
        since_ms = (_heard_at(state, first_voiced) - decided.at) * 1000
        if reopens := since_ms <= rules.reopen_ms:
            state = _learn(state, decided.wait_ms + since_ms)
    pre_roll = rules.pre_roll_ms * RATE_HZ // 1000
    wanted = max(0, first_voiced - pre_roll) // FRAME_SAMPLES
    first_frame = max(wanted, state.floor_frame, state.frames - MEMORY_FRAMES)
    last_voiced = state.segment.last_voiced
    running = Running(first_frame, first_voiced, last_voiced, _heard_at(state, last_voiced))
    return msgspec.structs.replace(state, running=running), Began(first_frame, first_voiced, reopens=reopens)


def _learn(state: Hearing, pause_ms: float) -> Hearing:
    return msgspec.structs.replace(state, own_pause_ms=learned(state.own_pause_ms, pause_ms))


def _judge(
    state: Hearing, running: Running, now: float, rules: UtteranceRules
) -> tuple[Hearing, tuple[Happening, ...]]:
    """End or cut the running utterance if it is time, by the media clock."""
    pausing = state.segment.phase == "silent"
    if pausing and _silence_ms(state) >= _needed_ms(state, running, rules):
        return _end(state, "endpoint", now)
    length_s = (state.frames - running.first_frame) * FRAME_SAMPLES / RATE_HZ
    if length_s >= rules.max_utterance_s or (pausing and length_s >= _SOFT_SHARE * rules.max_utterance_s):
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
    is_over = state.segment.phase == "silent" and _silence_ms(state) >= _needed_ms(state, running, rules)
    return _end(state, "endpoint", now) if is_over else (state, ())


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
        wait_ms = round(_silence_ms(state) + waited_ms, 1)
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
    return Ended(last_seq, max(-1, _seq_of(running.last_voiced, running)), running.last_voiced, reason)


def _seq_of(last_voiced: int, running: Running) -> int:
    """Return the sequence of the frame that ends with a position, or holds the sample before it."""
    return (last_voiced - 1) // FRAME_SAMPLES - running.first_frame
