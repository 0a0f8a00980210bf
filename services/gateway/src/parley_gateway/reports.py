"""The record of one turn: when what happened, and the one TurnReport that is made of it.

`turns` notes the moments as they come; `tracing` draws spans from them. Pure. All moments are monotonic seconds of
this process, so that no other machine's clock is in any figure. A moment that never came stays None, and so does
every figure that needs it.
"""

from itertools import pairwise
from typing import Literal

import msgspec

from parley_contract.messages import Stages, TurnReport

Outcome = Literal["answered", "not_addressed", "empty", "interrupted", "failed"]


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """When each stage of a turn came to its end."""

    began_at: float
    """The first voiced sample was captured."""
    voiced_until: float | None = None
    """The last one was."""
    decided_at: float | None = None
    """The endpointer decided that the speaker has finished."""
    transcribed_at: float | None = None
    """The last final transcript came."""
    first_token_at: float | None = None
    first_phrase_at: float | None = None
    first_frame_at: float | None = None
    """The first frame of the reply came."""
    played_from: float | None = None
    """Its first frame went out."""
    sounded_at: float | None = None
    """Its first audible sample is heard."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose turn it was."""

    session: str
    epoch: int
    turn: int
    revision: int
    speaker: str


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How much was heard."""

    played_ms: float = 0.0
    phrases: int = 0
    underruns: int = 0


def report(
    identity: Identity, moments: Moments, played: Played, outcome: Outcome, reason: str, *, unix_offset_s: float
) -> TurnReport:
    """Account for a turn. `unix_offset_s` is what turns this process's monotonic seconds into Unix seconds."""
    return TurnReport(
        session=identity.session,
        epoch=identity.epoch,
        turn=identity.turn,
        revision=identity.revision,
        speaker=identity.speaker,
        outcome=outcome,
        reason=reason,
        started_at=moments.began_at + unix_offset_s,
        speech_ms=_ms(moments.began_at, moments.voiced_until) or 0.0,
        stages=_stages(moments),
        e2ft_ms=_ms(moments.voiced_until, moments.first_token_at),
        e2fa_ms=_ms(moments.voiced_until, moments.sounded_at),
        played_ms=played.played_ms,
        phrases=played.phrases,
        underruns=played.underruns,
    )


def _stages(moments: Moments) -> Stages:
    """Split the time into stages that add up, also where one overlaps the next or messages overtook each other."""
    ends = [
        moments.voiced_until,
        moments.decided_at,
        moments.transcribed_at,
        moments.first_token_at,
        moments.first_phrase_at,
        moments.first_frame_at,
        moments.sounded_at,
    ]
    # A stage cannot end after the next one has: what is later than its successor was not waited for.
    latest: float | None = None
    for index in range(len(ends) - 1, -1, -1):
        moment = ends[index]
        if moment is not None:
            latest = moment if latest is None else min(moment, latest)
            ends[index] = latest
    return Stages(**dict(zip(Stages.__struct_fields__, (_ms(a, b) for a, b in pairwise(ends)), strict=True)))


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round((end - start) * 1000, 1)
