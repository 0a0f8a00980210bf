"""The record of one turn: when what happened, and the one TurnReport that is made of it.

`turns` notes the moments as they come; `tracing` draws spans from them. Pure. All moments are monotonic seconds of
this process, so that no other machine's clock is in any figure. A moment that never came stays None, and so does
every figure that needs it.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from parley_contract.messages import Stages, TurnReport

Outcome = Literal["answered", "not_addressed", "empty", "interrupted", "failed"]


Stretch = tuple[float, float]
"""From when to when."""


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
    gives_way_from: float | None = None
    """Somebody spoke over its reply, and it is not known yet what to make of it."""
    gave_way: tuple[Stretch, ...] = ()
    taken_back: tuple[Stretch, ...] = ()
    """When replies could be seen or heard whose speaker went on after all."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose turn it was."""

    session: str
    epoch: int
    turn: int
    revision: int
    speaker: str


class Verdict(NamedTuple):
    """How it went."""

    outcome: Outcome
    reason: str
    """A code of `reasons`; one that an agent gave may be a newer version's."""
    detail: str = ""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How much was heard."""

    played_ms: float = 0.0
    phrases: int = 0
    underruns: int = 0


class Guessed(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun before its speaker had finished, and what became of it."""

    speculation: Literal["", "hit", "miss"] = ""
    taken_back: int = 0
    output_tokens: int = 0
    wasted_tokens: int = 0
    unreleased_tokens: int = 0


def report(
    identity: Identity,
    moments: Moments,
    played: Played,
    guessed: Guessed,
    verdict: Verdict,
    *,
    unix_offset_s: float,
) -> TurnReport:
    """Account for a turn. `unix_offset_s` is what turns this process's monotonic seconds into Unix seconds."""
    return TurnReport(
        session=identity.session,
        epoch=identity.epoch,
        turn=identity.turn,
        revision=identity.revision,
        speaker=identity.speaker,
        outcome=verdict.outcome,
        reason=verdict.reason,
        detail=verdict.detail,
        started_at=moments.began_at + unix_offset_s,
        speech_ms=_ms(moments.began_at, moments.voiced_until) or 0.0,
        stages=_stages(moments),
        e2ft_ms=_ms(moments.voiced_until, moments.first_token_at),
        e2fa_ms=_ms(moments.voiced_until, moments.sounded_at),
        played_ms=played.played_ms,
        phrases=played.phrases,
        underruns=played.underruns,
        speculation=guessed.speculation,
        taken_back=guessed.taken_back,
        output_tokens=guessed.output_tokens,
        wasted_tokens=guessed.wasted_tokens,
        unreleased_tokens=guessed.unreleased_tokens,
    )


def _stages(moments: Moments) -> Stages:
    """Split the time into stages that add up, also where one overlapped the next or messages overtook each other.

    What this process measured itself stands: the decision, and the ends of E2FT and E2FA. A message between them that
    came out of order is taken to have come with its neighbour, because nobody waited for it.
    """
    ends = [moments.voiced_until, moments.decided_at]
    ends += _between(moments.decided_at, [moments.transcribed_at], moments.first_token_at)
    ends.append(moments.first_token_at)
    ends += _between(moments.first_token_at, [moments.first_phrase_at, moments.first_frame_at], moments.sounded_at)
    ends.append(moments.sounded_at)
    return Stages(**dict(zip(Stages.__struct_fields__, (_ms(a, b) for a, b in pairwise(ends)), strict=True)))


def _between(start: float | None, moments: list[float | None], end: float | None) -> list[float | None]:
    """Move moments, which belong in this order, in between `start` and `end`, as far as these are known."""
    placed: list[float | None] = []
    for moment in moments:
        if moment is not None:
            latest = moment if end is None else min(moment, end)
            start = latest if start is None else max(latest, start)
        placed.append(None if moment is None else start)
    return placed


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round((end - start) * 1000, 1)
