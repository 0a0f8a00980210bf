"""The figures of turns, from the scores of lines: what `turns` and `peers` write. Pure."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from _corpus import KINDS, LONGEST_PAUSE_S, Dialogue
from _scores import Observed, TurnScore, judged, pauses, speculations

from parley_cli.reports import percentile
from parley_cli.scoring import Score

Figures = dict[str, float | int | str | None]

_SHARES: Final = ((50, 0.5), (95, 0.95))
_WORDS_PER_S: Final = 3.0
_REPLY_S: Final = 5.0
"""About what a reply of 24 tokens takes to be heard."""


def figures(observations: Sequence[Observed]) -> Figures:
    """Return all figures of an assistant of ours."""
    scores = [judged(observed) for observed in observations]
    spoken = speculations(observations)
    return {
        **of_person(scores, "turns_"),
        "late_endpoint_rate": _rate(score.is_late for score in scores),
        "speculation_hit_rate": _rounded(spoken.hit_rate),
        "speculation_waste": _rounded(spoken.waste),
        "tokens_dropped_rate": _rounded(spoken.dropped),
        **_by_kind(scores),
        **_by_noise(scores),
    }


def of_person(scores: Sequence[TurnScore], prefix: str) -> Figures:
    """Return what can be said of any assistant from what a person hears.

    Args:
        scores: of its lines.
        prefix: of the names of times; rates of ours have none, so that they read as the aims do.
    """
    rates = "" if prefix == "turns_" else prefix
    return {
        f"{prefix}count": len(scores),
        f"{prefix}answered": sum(score.is_answered for score in scores),
        **_percentiles(f"{prefix}e2ft", [score.e2ft_ms for score in scores]),
        **_percentiles(f"{prefix}e2fa", [score.e2fa_ms for score in scores]),
        f"{rates}false_cutoff_rate": _rate(score.is_cut_off for score in scores),
        f"{rates}taken_back_rate": _rate(score.is_taken_back for score in scores),
        f"{rates}interrupted_aloud_rate": _rate(score.was_interrupted_aloud for score in scores),
        f"{rates}unanswered_rate": _rate(not score.is_answered and not score.is_cut_off for score in scores),
        f"{prefix}wer": _wer(scores),
    }


def curve(points: Mapping[int, Sequence[Observed]]) -> Figures:
    """Return latency against false cut-offs, by `endpointMs`."""
    found: Figures = {}
    for endpoint_ms, observations in points.items():
        of_point = figures(observations)
        found |= {
            f"curve_{name}_{endpoint_ms}": of_point[name]
            for name in (
                "turns_count",
                "turns_e2ft_p50_ms",
                "turns_e2ft_p95_ms",
                "turns_e2fa_p50_ms",
                "false_cutoff_rate",
                "taken_back_rate",
                "late_endpoint_rate",
            )
        }
    return found


def compared(ours: Sequence[TurnScore], theirs: Sequence[TurnScore]) -> Figures:
    """Return our median latencies as shares of a peer's."""
    shares: Figures = {}
    for name, of in (("e2ft", _e2ft_ms), ("e2fa", _e2fa_ms)):
        here, there = (percentile([of(score) for score in scores], 0.5) for scores in (ours, theirs))
        shares[f"{name}_share_of_pipecat"] = round(here / there, 3) if here and there else None
    return shares


def labelled_pauses(observations: Iterable[Observed]) -> bytes:
    """Return all pauses as JSON lines."""
    found = [msgspec.json.encode(pause) for observed in observations for pause in pauses(observed)]
    return b"".join(b"%s\n" % line for line in found)


def expected_s(dialogues: Iterable[Dialogue]) -> float:
    """Return about how long it takes to hold dialogues, said before anybody waits for it."""
    turns = [line for dialogue in dialogues for line in dialogue.turns]
    pauses_s = sum(part.pause_s for line in turns for part in line.parts)
    words = sum(len(line.words.split()) for line in turns)
    return pauses_s + words / _WORDS_PER_S + len(turns) * (LONGEST_PAUSE_S + _REPLY_S)


def told(observed: Observed, score: TurnScore) -> str:
    """Say in a line how a turn went."""
    times = f"E2FT {_ms(score.e2ft_ms)}  E2FA {_ms(score.e2fa_ms)}"
    remarks = (
        (score.is_cut_off, "CUT OFF"),
        (score.is_taken_back, "taken back"),
        (score.was_interrupted_aloud, "aloud"),
        (score.is_late, "late"),
        (not score.is_answered and not score.is_cut_off, "no answer"),
    )
    found = ", ".join(remark for applies, remark in remarks if applies)
    return f"{times}  {observed.kind:11} {observed.dialogue:9} {found}".rstrip()


def _by_kind(scores: Sequence[TurnScore]) -> Figures:
    found: Figures = {}
    for kind in KINDS:
        of_kind = [score for score in scores if score.kind == kind]
        if of_kind:
            found |= _part(of_kind, kind)
    return found


def _by_noise(scores: Sequence[TurnScore]) -> Figures:
    found: Figures = {}
    for name, is_noisy in (("clean", False), ("noisy", True)):
        part = [score for score in scores if score.noisy == is_noisy]
        if part:
            found |= _part(part, name)
    return found


def _part(scores: Sequence[TurnScore], name: str) -> Figures:
    return {
        f"turns_count_{name}": len(scores),
        **{f"{key}_{name}": value for key, value in _percentiles("turns_e2ft", [s.e2ft_ms for s in scores]).items()},
        f"turns_e2fa_p50_ms_{name}": percentile([score.e2fa_ms for score in scores], 0.5),
        f"false_cutoff_rate_{name}": _rate(score.is_cut_off for score in scores),
        f"taken_back_rate_{name}": _rate(score.is_taken_back for score in scores),
        f"late_endpoint_rate_{name}": _rate(score.is_late for score in scores),
        f"turns_wer_{name}": _wer(scores),
    }


def _percentiles(name: str, values: Sequence[float | None]) -> Figures:
    return {f"{name}_p{percent}_ms": percentile(values, share) for percent, share in _SHARES}


def _e2ft_ms(score: TurnScore) -> float | None:
    return score.e2ft_ms


def _e2fa_ms(score: TurnScore) -> float | None:
    return score.e2fa_ms


def _wer(scores: Iterable[TurnScore]) -> float | None:
    return _rounded(sum((score.words for score in scores), Score()).words.rate)


def _rate(applies: Iterable[bool]) -> float | None:
    counted, whole = itertools.tee(applies)
    total = sum(1 for _ in whole)
    return _rounded(sum(counted) / total) if total else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ms(value_ms: float | None) -> str:
    return "    –" if value_ms is None else f"{value_ms:5.0f}"
