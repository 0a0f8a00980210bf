"""What is known of a speaker's sound, and what can be judged from that alone: whether it was silent for long enough.

The state of the `utterances` reducer, which alone makes new ones. Pure. Positions are samples at 16 kHz since the
speaker was first heard.
"""

from typing import Final

import msgspec

from parley_contract.frames import FRAME_SAMPLES, RATE_HZ
from parley_gateway.endpointing import Evidence, SmartRules, needed_ms
from parley_gateway.segments import Segment, SegmentRules

_JITTER_S: Final = 0.06
"""Frames that are this late are late, not absent."""


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


class Running(msgspec.Struct, frozen=True):
    """An utterance that has begun and not ended."""

    first_frame: int
    first_voiced: int
    """Position of its turn's first voiced sample."""
    last_voiced: int
    """One past the last one so far."""
    voiced_until: float
    """When that was heard, in monotonic seconds, as if no frame were ever late."""
    evidence: Evidence = Evidence()
    """Of the silence since the last voiced sample."""

    def seq_of(self, last_voiced: int) -> int:
        """Return the sequence of the frame that ends with a position, or holds the sample before it."""
        return (last_voiced - 1) // FRAME_SAMPLES - self.first_frame


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

    @property
    def is_pausing(self) -> bool:
        """Whether no segment goes on."""
        return self.segment.phase == "silent"

    @property
    def silence_ms(self) -> float:
        """How long nothing voiced came within the running utterance, by the media clock."""
        return (self.frames * FRAME_SAMPLES - self.running.last_voiced) * 1000 / RATE_HZ if self.running else 0.0

    def time_of(self, position: int) -> float:
        """Return when a sample of the latest frames was heard: positions stand still while a door sends nothing."""
        return self.heard_at - (self.frames * FRAME_SAMPLES - position) / RATE_HZ

    def needed_ms(self, rules: UtteranceRules) -> float:
        """Return the silence after which the speaker has finished, by what is known so far."""
        if rules.smart is None or self.running is None:
            return rules.endpoint_ms
        return needed_ms(self.running.evidence, self.own_pause_ms, rules.endpoint_ms, rules.smart)

    def has_finished(self, rules: UtteranceRules) -> bool:
        """Whether the speaker has, by the media clock."""
        return self.is_pausing and self.silence_ms >= self.needed_ms(rules)


def due(state: Hearing, rules: UtteranceRules) -> float | None:
    """Return when to send TimePassed unless a frame comes first; None while nobody speaks."""
    if state.running is None:
        return None
    wanted_ms = state.needed_ms(rules)
    if not state.is_pausing:
        wanted_ms = max(wanted_ms, rules.stall_ms)
    return state.heard_at + max(_JITTER_S, (wanted_ms - state.silence_ms) / 1000)
