"""The record of some turns as `demo --json` writes it, and its summary. Pure.

The shape is an interface: scripts and benchmarks read it.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from parley_cli.conversation import Turn
from parley_contract.messages import Stages


class StageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in ms; null where the turn never got there. `Stages` says what each means."""

    endpoint_ms: float | None = None
    asr_ms: float | None = None
    llm_ttft_ms: float | None = None
    first_phrase_ms: float | None = None
    tts_first_audio_ms: float | None = None


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One turn."""

    wav: str
    """What was spoken into the door."""
    expected: str | None
    """Its words, where they are known."""
    transcript: str
    reply: str
    reply_wav: str | None
    """None where nothing was said."""
    e2ft_ms: float | None
    e2fa_ms: float | None
    stages: StageTimes


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All turns together."""

    turns: int
    answered: int
    """Turns in which something was said."""
    e2ft_p50_ms: float | None
    e2ft_p95_ms: float | None
    e2fa_p50_ms: float | None
    e2fa_p95_ms: float | None
    replies: str
    """Folder of the reply WAVs."""


class DemoRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `demo --json` writes."""

    turns: list[TurnRecord]
    summary: Summary


def turn_record(turn: Turn, *, wav: str, expected: str | None, reply_wav: Path | None) -> TurnRecord:
    """Account for one turn."""
    stages = turn.report.stages if turn.report else Stages()
    return TurnRecord(
        wav=legible(wav),
        expected=expected,
        transcript=turn.transcript,
        reply=turn.reply,
        reply_wav=legible(str(reply_wav)) if reply_wav else None,
        e2ft_ms=_rounded(turn.report.e2ft_ms if turn.report else None),
        e2fa_ms=_rounded(turn.report.e2fa_ms if turn.report else None),
        stages=StageTimes(**{name: _rounded(getattr(stages, name)) for name in StageTimes.__struct_fields__}),
    )


def unheard_record(*, wav: str, expected: str | None) -> TurnRecord:
    """Account for a file in which nobody was heard to speak."""
    return TurnRecord(
        wav=legible(wav),
        expected=expected,
        transcript="",
        reply="",
        reply_wav=None,
        e2ft_ms=None,
        e2fa_ms=None,
        stages=StageTimes(),
    )


def demo_record(turns: Sequence[TurnRecord], replies: Path) -> DemoRecord:
    """Put turns and their summary together."""
    return DemoRecord(
        turns=list(turns),
        summary=Summary(
            turns=len(turns),
            answered=sum(turn.reply_wav is not None for turn in turns),
            e2ft_p50_ms=percentile((turn.e2ft_ms for turn in turns), 0.5),
            e2ft_p95_ms=percentile((turn.e2ft_ms for turn in turns), 0.95),
            e2fa_p50_ms=percentile((turn.e2fa_ms for turn in turns), 0.5),
            e2fa_p95_ms=percentile((turn.e2fa_ms for turn in turns), 0.95),
            replies=legible(str(replies)),
        ),
    )


def legible(name: str) -> str:
    """Return a file's name as text that JSON can hold: bytes in it that are no UTF-8 are written as escapes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """Return the nearest-rank percentile, a value that was really measured; None if there is none."""
    known = sorted(value for value in values if value is not None)
    return known[max(0, math.ceil(share * len(known)) - 1)] if known else None


def _rounded(value_ms: float | None) -> float | None:
    """Tenths of a millisecond are below what a frame of 20 ms can tell."""
    return None if value_ms is None else round(value_ms, 1)
