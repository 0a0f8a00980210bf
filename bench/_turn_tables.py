"""Tables and charts of turns: as Parley takes them, as a peer does, by endpoint delay, and by pauses alone. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from _cells import Figures, height, machine, ms, parts, percent, table, versions
from _charts import Series, chart

_CURVE: Final = re.compile(r"curve_turns_count_(\d+)")
_PEER: Final = "peer_pipecat_"


def turns_tables(figures: Figures) -> str:
    """Make the section of `bench/turns.py`."""
    rows = (
        ("E2FT, p50", f"{ms(figures, 'turns_e2ft_p50_ms')} ms", "400 ms"),
        ("E2FT, p95", f"{ms(figures, 'turns_e2ft_p95_ms')} ms", "800 ms"),
        ("E2FA, p50", f"{ms(figures, 'turns_e2fa_p50_ms')} ms", "600 ms"),
        ("E2FA, p95", f"{ms(figures, 'turns_e2fa_p95_ms')} ms", ""),
        ("false cut-offs", percent(figures, "false_cutoff_rate"), "3 %"),
        ("taken back", percent(figures, "taken_back_rate"), ""),
        ("of both, something was heard too early", percent(figures, "interrupted_aloud_rate"), ""),
        ("late endpoints", percent(figures, "late_endpoint_rate"), ""),
        ("no answer", percent(figures, "unanswered_rate"), ""),
        ("served by speculation", percent(figures, "speculation_hit_rate"), "80 % or more"),
        ("tokens that were written and never let out", percent(figures, "speculation_waste"), "35 %"),
        ("with those that were let out and taken back", percent(figures, "tokens_dropped_rate"), ""),
        ("words that are wrong", percent(figures, "turns_wer"), ""),
    )
    kinds = [
        (
            part.replace("_", " "),
            figures[f"turns_count_{part}"],
            *(ms(figures, f"turns_{key}_ms_{part}") for key in ("e2ft_p50", "e2ft_p95", "e2fa_p50")),
            *(percent(figures, f"{rate}_rate_{part}") for rate in ("false_cutoff", "taken_back", "late_endpoint")),
            percent(figures, f"turns_wer_{part}"),
        )
        for part in parts(figures, "turns_count_")
    ]
    head = ("kind of turn", "turns", "E2FT p50, ms", "p95", "E2FA p50", "cut off", "taken back", "late", "wrong words")
    counted = f"{figures['turns_count']} turns of the {figures['half']} half, {figures['turns_answered']} answered"
    return "\n".join(
        (
            f"{counted}, on {machine(figures)}.",
            f"{_settings(figures)}.",
            "",
            *table("lrr", ("", "", "aim, at most"), rows),
            "",
            *table("lrrrrrrrr", head, kinds),
        )
    )


def peers_table(figures: Figures) -> str:
    """Make the section of `bench/peers.py`."""
    rows = (
        ("E2FT, p50", ms, "turns_e2ft_p50_ms", "e2ft_p50_ms"),
        ("E2FT, p95", ms, "turns_e2ft_p95_ms", "e2ft_p95_ms"),
        ("E2FA, p50", ms, "turns_e2fa_p50_ms", "e2fa_p50_ms"),
        ("E2FA, p95", ms, "turns_e2fa_p95_ms", "e2fa_p95_ms"),
        ("false cut-offs", percent, "false_cutoff_rate", "false_cutoff_rate"),
        ("taken back", percent, "taken_back_rate", "taken_back_rate"),
        ("of both, something was heard too early", percent, "interrupted_aloud_rate", "interrupted_aloud_rate"),
        ("no answer", percent, "unanswered_rate", "unanswered_rate"),
        ("words that are wrong", percent, "turns_wer", "wer"),
    )
    shown = [(what, cell(figures, ours), cell(figures, _PEER + theirs)) for what, cell, ours, theirs in rows]
    return "\n".join(
        (
            f"{figures['turns_count']} turns with each, on {machine(figures)}.",
            f"Parley: {_settings(figures)}. Pipecat: {versions(figures, 'peer_version_')}.",
            "",
            *table("lrr", ("", "Parley", "Pipecat"), shown),
            "",
            f"E2FT as a share of Pipecat's at the median: {figures['e2ft_share_of_pipecat']} (aim: at most 0.5).",
            "",
            _beside_pipecat(figures),
        )
    )


def _beside_pipecat(figures: Figures) -> str:
    shown = {
        f"{who} {moment.upper()} {share}": height(figures, f"{prefix}{moment}_{share}_ms")
        for moment in ("e2ft", "e2fa")
        for share in ("p50", "p95")
        for who, prefix in (("Parley", "turns_"), ("Pipecat", _PEER))
    }
    return chart("The same turns, ms", tuple(shown), "ms", Series("bar", tuple(shown.values())))


def curve_table(figures: Figures) -> str:
    """Make the section of `bench/turns.py --curve`."""
    points = [match[1] for key in figures if (match := _CURVE.fullmatch(key))]
    rows = [
        (
            point,
            *(ms(figures, f"curve_turns_{key}_ms_{point}") for key in ("e2ft_p50", "e2ft_p95", "e2fa_p50")),
            *(
                percent(figures, f"curve_{rate}_rate_{point}")
                for rate in ("false_cutoff", "taken_back", "late_endpoint")
            ),
        )
        for point in points
    ]
    head = ("endpointMs", "E2FT p50, ms", "p95", "E2FA p50", "cut off", "taken back", "late")
    counted = " and ".join(sorted({str(figures[f"curve_turns_count_{point}"]) for point in points}))
    return "\n".join(
        (
            f"{counted} turns of the {figures['half']} half for each row, on {machine(figures)}.",
            f"{_settings(figures)}.",
            "",
            *table("rrrrrrr", head, rows),
            "",
            _latency_chart(figures, points),
            "",
            _error_chart(figures, points),
        )
    )


def _latency_chart(figures: Figures, points: Sequence[str]) -> str:
    return chart(
        "E2FT by endpointMs: p95 above p50",
        points,
        "ms",
        *(
            Series("line", [height(figures, f"curve_turns_e2ft_{share}_ms_{point}") for point in points])
            for share in ("p50", "p95")
        ),
    )


def _error_chart(figures: Figures, points: Sequence[str]) -> str:
    """Draw what a short wait costs: replies begun inside of a sentence, whether taken back or not."""
    begun_too_early = [
        100 * sum(height(figures, f"curve_{rate}_{point}") for rate in ("false_cutoff_rate", "taken_back_rate"))
        for point in points
    ]
    return chart("Cut off or taken back, by endpointMs", points, "%", Series("bar", begun_too_early))


def endpoints_table(figures: Figures) -> str:
    """Make the section of `bench/endpoints.py`."""
    rows = [
        (
            half,
            label,
            *(percent(figures, f"endpoints_{name}_{rate}_{half}") for rate in ("cut_off", "taken_back")),
            *(ms(figures, f"endpoints_{name}_wait_{share}_ms_{half}") for share in ("p50", "p95")),
        )
        for half in ("training", "test")
        for name, label in (("silence", "silence alone"), ("smart", "smart"), ("fitted", "smart, fitted"))
    ]
    head = ("half", "endpointing", "cut off, of pauses within turns", "taken back", "wait at the end p50, ms", "p95")
    names = parts(figures, "weight_")
    weights = [
        (label, *(figures[f"{prefix}_{name}"] for name in names))
        for label, prefix in (("as they are", "weight"), ("fitted on the training half", "fitted"))
    ]
    counted = f"{figures['pauses_training']} and {figures['pauses_test']} pauses, ends of turns among them"
    return "\n".join(
        (
            f"{counted}; endpointMs {figures['endpoint_ms']}, reopenMs {figures['reopen_ms']}.",
            "",
            *table("llrrrr", head, rows),
            "",
            *table("l" + "r" * len(names), ("weights", *names), weights),
        )
    )


def _settings(figures: Figures) -> str:
    """Say how turns were taken; a curve has no one endpoint delay."""
    delay = f", endpointMs {figures['endpoint_ms']}" if figures.get("endpoint_ms") else ""
    how = f"endpointing {figures['endpointing']}, speculation {figures['speculation']}{delay}"
    return f"{how}; {versions(figures, 'version_')}"
