"""Puts the frames of one utterance in order, whichever way and however often they came. No I/O; owned by `utterances`.

A worker reads the same frames twice, stored and live, and asks for what is missing; here they are merged by sequence.
Nothing is decided here about waiting or asking: this page only knows what is there, what is missing and what is not
ours.
"""

import enum
from collections import deque
from typing import Final, NamedTuple

import numpy as np

from parley_asr.engines import Samples
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ, Frame

MAX_FRAMES: Final = 120 * RATE_HZ // FRAME_SAMPLES
"""Two minutes: beyond `maxUtteranceS` (at most 90 s) with its pre-roll, so a higher sequence is an error."""
_S16_SCALE: Final = np.float32(1 / 32768)
_QUIET_FRAMES: Final = 5
"""100 ms: longer than the quiet inside a word usually is."""
_QUIET_BELOW_LOUDEST: Final = 0.01
"""In power, so 20 dB: quiet syllables come that near to the loudest one, a pause in a room lies below."""


class Taken(enum.Enum):
    """What became of a frame."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """Already there, as replay and live reading overlap."""
    STALE = "stale"
    """Of another epoch: the session has moved to another gateway, or this frame is from before."""
    BEYOND = "beyond"
    """After the closing frame, or further on than any utterance is long."""


class Gap(NamedTuple):
    """Missing sequences, `first` to `last` inclusive."""

    first: int
    last: int


class FramesIn:
    """The frames of one utterance so far."""

    def __init__(self, *, epoch: int) -> None:
        """Take frames of this epoch only; the header carries its lower 16 bits."""
        self._epoch = epoch & 0xFFFF
        self._pcm = bytearray()
        self._in_order = 0
        self._early: dict[int, bytes] = {}
        self._end_seq: int | None = None
        self._latest_powers: deque[float] = deque(maxlen=_QUIET_FRAMES)
        self._loudest_power = 0.0

    def take(self, frame: Frame) -> Taken:
        """Put a frame in its place and say what it was."""
        if frame.epoch != self._epoch:
            return Taken.STALE
        sequence = frame.sequence
        if frame.is_end:
            return self._close(sequence)
        if sequence >= (MAX_FRAMES if self._end_seq is None else self._end_seq):
            return Taken.BEYOND
        if sequence < self._in_order or sequence in self._early:
            return Taken.DUPLICATE
        self._early[sequence] = frame.pcm
        self._advance()
        return Taken.NEW

    def _close(self, sequence: int) -> Taken:
        if self._end_seq is not None:
            return Taken.DUPLICATE if sequence == self._end_seq else Taken.BEYOND
        if sequence > MAX_FRAMES or sequence < self.known:
            return Taken.BEYOND
        self._end_seq = sequence
        return Taken.NEW

    def _advance(self) -> None:
        """Append what has become contiguous."""
        while (pcm := self._early.pop(self._in_order, None)) is not None:
            self._pcm += pcm
            self._in_order += 1
            self._latest_powers.append(float(np.mean(np.square(_floats(pcm)))))
            self._loudest_power = max(self._loudest_power, self._latest_powers[-1])

    @property
    def in_order(self) -> int:
        """How many frames there are from the first one on without a hole: the sequence that is waited for."""
        return self._in_order

    @property
    def known(self) -> int:
        """One past the highest sequence that arrived, the closing frame not counted."""
        return max(self._early, default=self._in_order - 1) + 1

    @property
    def end_seq(self) -> int | None:
        """Sequence of the closing frame, so the number of audio frames there are; None until it arrived."""
        return self._end_seq

    @property
    def is_complete(self) -> bool:
        """Whether the closing frame and everything before it are here."""
        return self._end_seq == self._in_order

    @property
    def is_quiet(self) -> bool:
        """Whether the last 100 ms without a hole are a pause, beside the loudest frame so far."""
        return max(self._latest_powers, default=0.0) < _QUIET_BELOW_LOUDEST * self._loudest_power

    @property
    def missing(self) -> int:
        """How many frames are known to exist and are not here."""
        return self._horizon - self._in_order - len(self._early)

    @property
    def _horizon(self) -> int:
        return self.known if self._end_seq is None else self._end_seq

    def gaps(self) -> tuple[Gap, ...]:
        """Runs of sequences that are known to exist and are not here, in order."""
        gaps: list[Gap] = []
        expected = self._in_order
        for sequence in (*sorted(self._early), self._horizon):
            if sequence > expected:
                gaps.append(Gap(expected, sequence - 1))
            expected = sequence + 1
        return tuple(gaps)

    def samples(self) -> Samples:
        """All samples from the first frame to the first hole; a copy."""
        return _floats(self._pcm)

    def samples_with_holes(self) -> Samples:
        """All samples to the end, with 20 ms of silence in the place of each missing frame; a copy."""
        silence = bytes(2 * FRAME_SAMPLES)
        rest = (self._early.get(sequence, silence) for sequence in range(self._in_order, self._horizon))
        return _floats(b"".join((self._pcm, *rest)))


def _floats(pcm: bytes | bytearray) -> Samples:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) * _S16_SCALE
