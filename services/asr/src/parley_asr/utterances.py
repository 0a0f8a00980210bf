"""What to do about one utterance, frame by frame and wait by wait: the reducer behind `worker`.

Fed with frames, with what the gateway says of pauses and of the end, and with the time, it answers with effects: ask
for missing frames, decode a partial, a candidate or the final, give up. No I/O, no clock, no tasks; `worker` owns one
per claimed utterance and carries out what it says. Every wait has its value in `Patience`. Not here: merging
(`frames_in`), decoding (`hearing`).
"""

from typing import Final, NamedTuple

import msgspec

from parley_asr.engines import Samples
from parley_asr.frames_in import MAX_FRAMES, FramesIn, Gap, Taken
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ, Frame

FRAMES_PER_S: Final = RATE_HZ / FRAME_SAMPLES
_PARTIAL_PATIENCE: Final = 0.2
"""How long a partial waits for the decoder, as a share of its interval. One that begins the moment the decoder is free,
however late, would keep it busy for ever under load, and every final would have to wait for some partial's end."""


_AGAIN_FRAMES: Final = 6
"""How much more silence a candidate gets in which nothing was heard: tiny.en hears no "Right." before 100 or 150 ms of
it, and does before 200."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long an utterance is waited for, in seconds; the settings of the same names say why."""

    partial_interval_s: float = 1.0
    resend_after_s: float = 0.1
    resend_every_s: float = 0.25
    frames_wait_s: float = 1.5
    ended_wait_s: float = 0.3
    stall_after_s: float = 1.0
    stall_wait_s: float = 8.0


class AskAgain(NamedTuple):
    """Ask the gateway to publish frames again: `from_seq` to `to_seq` inclusive, None for all that follow."""

    from_seq: int
    to_seq: int | None


class DecodePartial(NamedTuple):
    """Decode what there is: the first `frames` of them."""

    frames: int


class ShedPartial(NamedTuple):
    """The decoder has no time for the partial that is due; the next one is due an interval later."""


class DecodeCandidate(NamedTuple):
    """Decode the first `frames` in the silence: they may have been all. A candidate before it is of no more use."""

    frames: int


class TakeCandidate(NamedTuple):
    """Nothing was said after the latest candidate: it is the final."""


class DecodeFinal(NamedTuple):
    """Decode all there will be. `note` is empty where nothing was missing."""

    missing: int
    note: str


class GiveUp(NamedTuple):
    """Publish a failed outcome: nothing can be decoded, or nobody waits for it any more."""

    reason: str


Ending = TakeCandidate | DecodeFinal | GiveUp
Effect = AskAgain | DecodePartial | ShedPartial | DecodeCandidate | Ending


class _Hole(NamedTuple):
    gap: Gap
    since: float


class Utterance:
    """One claimed utterance. All times are of one monotonic clock, in seconds."""

    def __init__(self, *, epoch: int, deadline: float, patience: Patience, now: float) -> None:
        """Start waiting for frames; `deadline` is when a transcript becomes useless."""
        self._frames = FramesIn(epoch=epoch)
        self._deadline = deadline
        self._patience = patience
        self._heard_at = now
        self._holes: tuple[_Hole, ...] = ()
        self._asked_at = float("-inf")
        self._is_partial_running = False
        self._partial_frames = 0
        self._paused_seq = -1
        self._candidate_frames = 0
        self._is_candidate_running = False
        self._again_at = MAX_FRAMES
        self._voiced_seq: int | None = None
        self._completed_at: float | None = None
        self._is_over = False

    @property
    def frames(self) -> FramesIn:
        """What has arrived."""
        return self._frames

    @property
    def is_over(self) -> bool:
        """Whether the final decode or the failed outcome has been ordered: nothing more will be."""
        return self._is_over

    def take(self, frame: Frame, now: float) -> Taken:
        """Take a frame, replayed or live; `advance` says what follows from it."""
        taken = self._frames.take(frame)
        if taken is Taken.NEW:
            self._heard_at = now
        return taken

    def paused(self, voiced_seq: int) -> None:
        """The speaker is silent after this frame, for now."""
        self._paused_seq = max(self._paused_seq, voiced_seq)

    def ended(self, voiced_seq: int) -> None:
        """The speaker has finished, and this was the last voiced frame of the utterance."""
        self._voiced_seq = voiced_seq

    def partial_done(self) -> None:
        """The partial that was ordered has been published or dropped; the next one may be ordered."""
        self._is_partial_running = False

    def candidate_done(self, frames: int, *, heard_nothing: bool = False) -> None:
        """The candidate of so many frames has been published or dropped, perhaps because there was nothing in it."""
        if frames == self._candidate_frames:
            self._is_candidate_running = False
            self._again_at = frames + _AGAIN_FRAMES if heard_nothing else MAX_FRAMES

    def samples(self) -> Samples:
        """What the final is decoded from: everything, silence where frames are missing."""
        return self._frames.samples_with_holes()

    def advance(self, now: float, *, is_decoder_idle: bool) -> tuple[Effect, ...]:
        """Decide what to do now. Call it after frames were taken, and no later than `wakes_at`."""
        if self._is_over:
            return ()
        self._holes = _aged(self._frames.gaps(), self._holes, now)
        ending = self._ending(now)
        if ending is not None:
            self._is_over = True
            return (ending,)
        return (*self._asking(now), *self._anticipating(), *self._refining(is_decoder_idle=is_decoder_idle))

    def _anticipating(self) -> tuple[DecodeCandidate, ...]:
        """Whether to decode in the silence: for each pause when all that was said before it is here, mostly once."""
        frames = self._frames
        is_new = self._candidate_frames <= self._paused_seq < frames.in_order
        if frames.end_seq is not None or not (is_new or frames.in_order >= self._again_at):
            return ()
        self._candidate_frames, self._again_at = frames.in_order, MAX_FRAMES
        self._is_candidate_running = True
        return (DecodeCandidate(frames.in_order),)

    def _refining(self, *, is_decoder_idle: bool) -> tuple[DecodePartial | ShedPartial, ...]:
        """Whether a partial is due, and whether there is time for it."""
        intervals = (self._frames.in_order - self._partial_frames) / (self._patience.partial_interval_s * FRAMES_PER_S)
        # In a pause the end may be near, and a partial would keep the final waiting.
        if intervals < 1 or self._frames.end_seq is not None or self._frames.is_quiet:
            return ()
        if is_decoder_idle and not (self._is_partial_running or self._is_candidate_running):
            self._is_partial_running = True
            self._partial_frames = self._frames.in_order
            return (DecodePartial(self._frames.in_order),)
        if intervals < 1 + _PARTIAL_PATIENCE:
            return ()
        self._partial_frames = self._frames.in_order
        return (ShedPartial(),)

    def wakes_at(self) -> float:
        """When `advance` must be called even if no frame arrives."""
        if self._is_over:
            return float("inf")
        patience = self._patience
        times = [self._deadline]
        next_ask = self._asked_at + patience.resend_every_s
        times.extend(max(hole.since + patience.resend_after_s, next_ask) for hole in self._holes)
        if self._frames.end_seq is None:
            times.append(self._heard_at + patience.stall_wait_s)
            times.append(max(self._heard_at + patience.stall_after_s, next_ask))
        elif self._frames.is_complete:
            times.append((self._completed_at or 0.0) + patience.ended_wait_s)
        else:
            times.append(self._all_holes_waited_for_at())
        return min(times)

    def _all_holes_waited_for_at(self) -> float:
        return max((hole.since + self._patience.frames_wait_s for hole in self._holes), default=float("inf"))

    def _ending(self, now: float) -> Ending | None:
        """The last thing to do, if it is time for it."""
        frames, patience = self._frames, self._patience
        if now >= self._deadline:
            return GiveUp("the deadline passed before all of the utterance was heard")
        if frames.is_complete and not frames.in_order:
            return GiveUp("the utterance was closed without a frame")
        if frames.is_complete:
            return self._complete(now)
        if frames.end_seq is not None:
            if now < self._all_holes_waited_for_at():
                return None
            return self._with_holes(f"{frames.missing} frames did not come within {patience.frames_wait_s} s")
        if now >= self._heard_at + patience.stall_wait_s:
            return self._with_holes(f"no frame and no closing frame for {patience.stall_wait_s} s")
        return None

    def _complete(self, now: float) -> TakeCandidate | DecodeFinal | None:
        """Everything is here. What was said after the candidate only the gateway knows, which says it any moment."""
        self._completed_at = now if self._completed_at is None else self._completed_at
        if self._candidate_frames and self._voiced_seq is None:
            is_overdue = now >= self._completed_at + self._patience.ended_wait_s
            return DecodeFinal(0, "") if is_overdue else None
        is_covered = self._voiced_seq is not None and self._voiced_seq < self._candidate_frames
        return TakeCandidate() if self._candidate_frames and is_covered else DecodeFinal(0, "")

    def _with_holes(self, note: str) -> DecodeFinal | GiveUp:
        return DecodeFinal(self._frames.missing, note) if self._frames.known else GiveUp(note)

    def _asking(self, now: float) -> tuple[AskAgain, ...]:
        """What to ask the gateway for: old enough holes, and where nothing comes at all, whatever comes next."""
        patience = self._patience
        if now < self._asked_at + patience.resend_every_s:
            return ()
        asking = [AskAgain(*hole.gap) for hole in self._holes if now >= hole.since + patience.resend_after_s]
        if self._frames.end_seq is None and now >= self._heard_at + patience.stall_after_s:
            asking.append(AskAgain(self._frames.known, None))
        if asking:
            self._asked_at = now
        return tuple(asking)


def _aged(gaps: tuple[Gap, ...], before: tuple[_Hole, ...], now: float) -> tuple[_Hole, ...]:
    """Give each gap its age: that of the oldest hole it is left over from."""
    return tuple(
        _Hole(
            gap,
            min(
                (hole.since for hole in before if hole.gap.first <= gap.last and gap.first <= hole.gap.last),
                default=now,
            ),
        )
        for gap in gaps
    )
