"""docs/performance.md: its tables, made from the figures of the benchmarks. Pure but for `describe_machine`.

Every benchmark calls `regenerate` with its figures; what stands between the marks of its name is replaced, the prose
around it is written by hand.
"""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from _charts import Series, chart

Figures = Mapping[str, float | int | str | None]

PAGE: Final = Path(__file__).parents[1] / "docs/performance.md"

_E2FT_ROWS: Final = (
    ("E2FT", "e2ft", "last voiced sample to the model's first token"),
    ("E2FA", "e2fa", "last voiced sample to the first audible sample of the reply"),
    ("silence", "endpoint", "last voiced sample to the decision that the speaker has finished"),
    ("transcript", "asr", "that decision to the final transcript"),
    ("first token", "llm_ttft", "final transcript to the model's first token"),
    ("first phrase", "first_phrase", "first token to the first phrase that can be spoken"),
    ("first sound", "tts_first_audio", "first phrase to its first frame"),
)
_OVERHEAD_ROWS: Final = (
    ("**overhead**", "overhead", "p50"),
    ("**overhead**", "overhead", "p95"),
    ("of it to the final transcript", "asr", "p95"),
    ("from there to the first token", "llm_ttft", "p95"),
    ("from there to the first phrase", "first_phrase", "p95"),
    ("from there to the first frame", "tts_first_audio", "p95"),
    ("the first frame has reached the listener", "heard", "p95"),
    ("last voiced sample to the decision", "endpoint", "p95"),
)
_CURVE: Final = re.compile(r"curve_turns_count_(\d+)")
_ADDED_AIM_MS: Final = 3000
_ADDED_AIMS_MS: Final = {"agent": 6000, "gateway": 6000}
_MEMORY_AIMS_MB: Final = {"asr": 450, "tts": 300, "agent": 180, "gateway": 180}


def describe_machine() -> dict[str, int | str]:
    """Say what was measured on, with no name of any host."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return {"cpu": cpu, "cores": os.cpu_count() or 1, "memory_gib": memory_gib, "python": platform.python_version()}


def e2ft_tables(figures: Figures) -> str:
    """Make the section of `bench/e2ft.py`."""
    times = [
        f"| {label} | {_ms(figures, f'{key}_p50_ms')} | {_ms(figures, f'{key}_p95_ms')} | {what} |"
        for label, key, what in _E2FT_ROWS
    ]
    parts = [key.removeprefix("rss_mib_") for key in figures if key.startswith("rss_mib_")]
    memory = [f"| {name} | {_memory(figures, name)} | {_MEMORY_AIMS_MB.get(name, '')} |" for name in parts]
    counted = f"{figures['turns']} turns, {figures['answered']} answered"
    return "\n".join(
        (
            f"{counted}, of `docs/samples/laptop.yaml` on {_machine(figures)}.",
            f"Ready {figures['up_s']} s after the start, from a warm cache.",
            "",
            "| | p50, ms | p95, ms | |",
            "|---|---:|---:|---|",
            *times,
            "",
            "| resident memory, MiB | after the turns | at most | aim, MB |",
            "|---|---:|---:|---:|",
            *memory,
        )
    )


def overhead_tables(figures: Figures) -> str:
    """Make the section of `bench/overhead.py`."""
    sizes = (1, 10, 50)
    head = "".join(f" {size} |" for size in sizes)
    rows = [
        f"| {label}, {share} |" + "".join(f" {_tenths(figures, f'{key}_{share}_ms_{size}')} |" for size in sizes)
        for label, key, share in _OVERHEAD_ROWS
    ]
    parts = [key.removeprefix("core_share_50_") for key in figures if key.startswith("core_share_50_")]
    shares = [
        f"| {name} |" + "".join(f" {_percent(figures, f'core_share_{n}_{name}')} |" for n in sizes) for name in parts
    ]
    total = "| **all of ours** |" + "".join(f" **{_percent(figures, f'core_share_{size}')}** |" for size in sizes)
    return "\n".join(
        (
            f"{figures['turns_1']}, {figures['turns_10']} and {figures['turns_50']} turns on {_machine(figures)}.",
            f"Frames lost: {figures['frames_lost']}. Questions without an answer: {figures['unanswered']}.",
            "",
            f"| ms, by how many talk at once |{head}",
            "|---|---:|---:|---:|",
            *rows,
            "",
            f"| share of one core, by how many talk at once |{head}",
            "|---|---:|---:|---:|",
            *shares,
            total,
        )
    )


def operator_table(figures: Figures) -> str:
    """Make the section of `bench/operators.py`."""
    many = figures["assistants"]
    late = "" if figures.get("ready_count", many) == many else f"only {figures['ready_count']} after "
    rows = (
        ("from applying one to all its children applied, p50, ms", "apply_p50_ms_1", "500"),
        ("the same, p95, ms", "apply_p95_ms_1", "1000"),
        (f"the same among {many}, p50, ms", "apply_p50_ms_200", "500"),
        (f"the same among {many}, p95, ms", "apply_p95_ms_200", "1000"),
        (f"from applying {many} at once to all of them ready, s", "ready_200_s", "90"),
        (f"resident memory at {many}, MiB", "operator_rss_mib_200", "200"),
        (f"share of a core when nothing happens at {many}", "operator_idle_core", "0.02"),
        (f"from a restart over {many} to all of them looked at, s", "restart_s_200", "30"),
        ("writes of that restart", "restart_writes_200", "0"),
    )
    return "\n".join(
        (
            f"{many} assistants on {_machine(figures)}, beside the whole control plane.",
            "",
            "| | measured | aim, at most |",
            "|---|---:|---:|",
            *(
                f"| {what} | {late if key == 'ready_200_s' else ''}{figures.get(key)} | {aim} |"
                for what, key, aim in rows
            ),
            *_computed(figures),
        )
    )


def _computed(figures: Figures) -> tuple[str, ...]:
    """Say what each process computes until an assistant is ready, the most first."""
    prefix = "cpu_s_each_"
    each_s = {key.removeprefix(prefix): float(figures[key] or 0) for key in figures if key.startswith(prefix)}
    most_first = sorted(each_s, key=lambda name: -each_s[name])
    parts = ", ".join(f"{name} {each_s[name]:.2f}" for name in most_first)
    return ("", f"Until one of them is ready {sum(each_s.values()):.2f} s are computed: {parts}.") if each_s else ()


def idle_table(figures: Figures) -> str:
    """Make the section of `bench/idle.py`."""
    parts = [key.removeprefix("idle_core_50_") for key in figures if key.startswith("idle_core_50_")]
    return "\n".join(
        (
            f"{figures['seconds']:.0f} s on {_machine(figures)}.",
            "",
            "| share of one core | nobody | 50 silent sessions |",
            "|---|---:|---:|",
            *(
                f"| {each} | {_percent(figures, f'idle_core_0_{each}')} | {_percent(figures, f'idle_core_50_{each}')} |"
                for each in parts
            ),
            f"| **all** | **{_percent(figures, 'idle_core_0')}** | **{_percent(figures, 'idle_core_50')}** |",
        )
    )


def chaos_table(figures: Figures) -> str:
    """Make the section of `bench/chaos.py`."""
    parts = [key.removeprefix("added_p95_ms_") for key in figures if key.startswith("added_p95_ms_")]
    rows = [
        f"| {part} | {figures[f'answered_{part}']} | {figures[f'apologies_{part}']} | {figures[f'in_the_air_{part}']} |"
        f" {_ms(figures, f'added_p50_ms_{part}')} | {_ms(figures, f'added_p95_ms_{part}')} |"
        f" {_ADDED_AIMS_MS.get(part, _ADDED_AIM_MS)} |"
        for part in parts
    ]
    return "\n".join(
        (
            f"{figures['kills']} kills on {_machine(figures)}, seed {figures['seed']}.",
            f"Turns lost: {figures['turns_lost']}. The usual wait is {_ms(figures, 'usual_wait_ms')} ms.",
            "",
            "| killed | answered | apologized for | in the air | added p50, ms | added p95, ms | aim, ms |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *rows,
        )
    )


def turns_tables(figures: Figures) -> str:
    """Make the section of `bench/turns.py`."""
    rows = (
        ("E2FT, p50", f"{_ms(figures, 'turns_e2ft_p50_ms')} ms", "400 ms"),
        ("E2FT, p95", f"{_ms(figures, 'turns_e2ft_p95_ms')} ms", "800 ms"),
        ("E2FA, p50", f"{_ms(figures, 'turns_e2fa_p50_ms')} ms", "600 ms"),
        ("E2FA, p95", f"{_ms(figures, 'turns_e2fa_p95_ms')} ms", ""),
        ("false cut-offs", _percent(figures, "false_cutoff_rate"), "3 %"),
        ("taken back", _percent(figures, "taken_back_rate"), ""),
        ("of both, something was heard too early", _percent(figures, "interrupted_aloud_rate"), ""),
        ("late endpoints", _percent(figures, "late_endpoint_rate"), ""),
        ("no answer", _percent(figures, "unanswered_rate"), ""),
        ("served by speculation", _percent(figures, "speculation_hit_rate"), "80 % or more"),
        ("tokens that were written and never let out", _percent(figures, "speculation_waste"), "35 %"),
        ("with those that were let out and taken back", _percent(figures, "tokens_dropped_rate"), ""),
        ("words that are wrong", _percent(figures, "turns_wer"), ""),
    )
    counted = f"{figures['turns_count']} turns of the {figures['half']} half, {figures['turns_answered']} answered"
    parts = [key.removeprefix("turns_count_") for key in figures if key.startswith("turns_count_")]
    kinds = [
        f"| {part.replace('_', ' ')} | {figures[f'turns_count_{part}']} | {_ms(figures, f'turns_e2ft_p50_ms_{part}')} |"
        f" {_ms(figures, f'turns_e2ft_p95_ms_{part}')} | {_ms(figures, f'turns_e2fa_p50_ms_{part}')} |"
        f" {_percent(figures, f'false_cutoff_rate_{part}')} | {_percent(figures, f'taken_back_rate_{part}')} |"
        f" {_percent(figures, f'late_endpoint_rate_{part}')} | {_percent(figures, f'turns_wer_{part}')} |"
        for part in parts
    ]
    return "\n".join(
        (
            f"{counted}, on {_machine(figures)}.",
            f"{_settings(figures)}.",
            "",
            "| | | aim, at most |",
            "|---|---:|---:|",
            *(f"| {what} | {value} | {aim} |" for what, value, aim in rows),
            "",
            "| kind of turn | turns | E2FT p50, ms | p95 | E2FA p50 | cut off | taken back | late | wrong words |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            *kinds,
        )
    )


def peers_table(figures: Figures) -> str:
    """Make the section of `bench/peers.py`."""
    peer = "peer_pipecat_"
    rows = (
        ("E2FT, p50", _ms, "turns_e2ft_p50_ms", "e2ft_p50_ms"),
        ("E2FT, p95", _ms, "turns_e2ft_p95_ms", "e2ft_p95_ms"),
        ("E2FA, p50", _ms, "turns_e2fa_p50_ms", "e2fa_p50_ms"),
        ("E2FA, p95", _ms, "turns_e2fa_p95_ms", "e2fa_p95_ms"),
        ("false cut-offs", _percent, "false_cutoff_rate", "false_cutoff_rate"),
        ("taken back", _percent, "taken_back_rate", "taken_back_rate"),
        ("of both, something was heard too early", _percent, "interrupted_aloud_rate", "interrupted_aloud_rate"),
        ("no answer", _percent, "unanswered_rate", "unanswered_rate"),
        ("words that are wrong", _percent, "turns_wer", "wer"),
    )
    versions = ", ".join(
        f"{key.removeprefix('peer_version_')} {figures[key]}" for key in figures if key.startswith("peer_version_")
    )
    return "\n".join(
        (
            f"{figures['turns_count']} turns with each, on {_machine(figures)}.",
            f"Parley: {_settings(figures)}. Pipecat: {versions}.",
            "",
            "| | Parley | Pipecat |",
            "|---|---:|---:|",
            *(
                f"| {what} | {shown(figures, ours)} | {shown(figures, peer + theirs)} |"
                for what, shown, ours, theirs in rows
            ),
            "",
            f"E2FT as a share of Pipecat's at the median: {figures['e2ft_share_of_pipecat']} (aim: at most 0.5).",
            "",
            _beside_pipecat(figures),
        )
    )


def _beside_pipecat(figures: Figures) -> str:
    shown = {
        f"{who} {moment.upper()} {share}": _value(figures, f"{prefix}{moment}_{share}_ms")
        for moment in ("e2ft", "e2fa")
        for share in ("p50", "p95")
        for who, prefix in (("Parley", "turns_"), ("Pipecat", "peer_pipecat_"))
    }
    return chart("The same turns, ms", tuple(shown), "ms", Series("bar", tuple(shown.values())))


def curve_table(figures: Figures) -> str:
    """Make the section of `bench/turns.py --curve`."""
    points = [match[1] for key in figures if (match := _CURVE.fullmatch(key))]
    rows = [
        f"| {point} | {_ms(figures, f'curve_turns_e2ft_p50_ms_{point}')} |"
        f" {_ms(figures, f'curve_turns_e2ft_p95_ms_{point}')} | {_ms(figures, f'curve_turns_e2fa_p50_ms_{point}')} |"
        f" {_percent(figures, f'curve_false_cutoff_rate_{point}')} |"
        f" {_percent(figures, f'curve_taken_back_rate_{point}')} |"
        f" {_percent(figures, f'curve_late_endpoint_rate_{point}')} |"
        for point in points
    ]
    counted = " and ".join(sorted({str(figures[f"curve_turns_count_{point}"]) for point in points}))
    return "\n".join(
        (
            f"{counted} turns of the {figures['half']} half for each row, on {_machine(figures)}.",
            f"{_settings(figures)}.",
            "",
            "| endpointMs | E2FT p50, ms | p95 | E2FA p50 | cut off | taken back | late |",
            "|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
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
            Series("line", [_value(figures, f"curve_turns_e2ft_{share}_ms_{point}") for point in points])
            for share in ("p50", "p95")
        ),
    )


def _error_chart(figures: Figures, points: Sequence[str]) -> str:
    """Draw what a short wait costs: replies begun inside of a sentence, whether taken back or not."""
    begun_too_early = [
        100 * sum(_value(figures, f"curve_{rate}_{point}") for rate in ("false_cutoff_rate", "taken_back_rate"))
        for point in points
    ]
    return chart("Cut off or taken back, by endpointMs", points, "%", Series("bar", begun_too_early))


def endpoints_table(figures: Figures) -> str:
    """Make the section of `bench/endpoints.py`."""
    rows = [
        f"| {half} | {label} | {_percent(figures, f'endpoints_{name}_cut_off_{half}')} |"
        f" {_percent(figures, f'endpoints_{name}_taken_back_{half}')} |"
        f" {_ms(figures, f'endpoints_{name}_wait_p50_ms_{half}')} |"
        f" {_ms(figures, f'endpoints_{name}_wait_p95_ms_{half}')} |"
        for half in ("training", "test")
        for name, label in (("silence", "silence alone"), ("smart", "smart"), ("fitted", "smart, fitted"))
    ]
    counted = f"{figures['pauses_training']} and {figures['pauses_test']} pauses, ends of turns among them"
    names = [key.removeprefix("weight_") for key in figures if key.startswith("weight_")]
    return "\n".join(
        (
            f"{counted}; endpointMs {figures['endpoint_ms']}, reopenMs {figures['reopen_ms']}.",
            "",
            "| half | endpointing | cut off, of pauses within turns | taken back | wait at the end p50, ms | p95 |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            "",
            f"| weights | {' | '.join(names)} |",
            f"|---|{'---:|' * len(names)}",
            f"| as they are | {' | '.join(str(figures[f'weight_{name}']) for name in names)} |",
            f"| fitted on the training half | {' | '.join(str(figures[f'fitted_{name}']) for name in names)} |",
        )
    )


def asr_table(figures: Figures) -> str:
    """Make the section of `bench/asr.py`."""
    rows = (
        ("words that are wrong, window of 10 s", _percent(figures, "asr_wer"), "stock's + 1 point"),
        ("words that are wrong, window of 30 s", _percent(figures, "asr_wer_30"), "stock's + 1 point"),
        ("words that are wrong, stock", _percent(figures, "asr_wer_stock"), ""),
        ("final of 3 s, p50", f"{_tenths(figures, 'asr_final_p50_ms')} ms", ""),
        ("the same with stock, p50", f"{_tenths(figures, 'asr_stock_p50_ms')} ms", ""),
        ("ours as a share of stock's", f"{figures['asr_final_share_of_stock']}", "at most 0.3"),
        ("eight that wait, together against one by one", f"{figures['asr_batch_speedup']} times", "at least 1.4"),
        ("final of 3 s, p95, alone", f"{_tenths(figures, 'asr_final_p95_ms_alone')} ms", ""),
        ("the same while 30 minutes are uploaded", f"{_tenths(figures, 'asr_final_p95_ms_with_upload')} ms", ""),
        ("with the upload, against alone", f"{figures['asr_final_ratio_with_upload']} times", "at most 1.5"),
        ("resident memory with both models and a voice", f"{figures['asr_rss_mib']} MiB", ""),
    )
    threads = f"{figures['threads']} thread{'s' if figures['threads'] != 1 else ''} a decode"
    return "\n".join(
        (
            f"{figures['utterances']} utterances, tiny.en int8, {threads}, on {_machine(figures)}.",
            "",
            "| | | aim |",
            "|---|---:|---|",
            *(f"| {what} | {value} | {aim} |" for what, value, aim in rows),
        )
    )


def discord_table(figures: Figures) -> str:
    """Make the section of `bench/discords.py`."""
    rows = (
        ("share of a core for 20 people who speak at once, 2 % lost, 2 % late", "receive_core_20", "0.10"),
        ("the same, nothing lost", "receive_core_20_clean", ""),
        ("from when a frame was to be sent to the link's giving it out, p95, ms", "receive_added_p95_ms_20", "80"),
        ("the same, nothing lost", "receive_added_p95_ms_20_clean", ""),
        ("how late frames of 10 sessions left, p99, ms", "pacing_error_p99_ms_10", "3"),
        ("how far from their place they arrived, p99, ms", "pacing_at_listener_p99_ms_10", ""),
        ("from a reply's first frame to its datagram, p95, ms", "wire_p95_ms", "25"),
    )
    return "\n".join(
        (
            f"{figures['seconds']:.0f} s each, on {_machine(figures)}, the emulated Discord and its people beside it.",
            "",
            "| | measured | aim, at most |",
            "|---|---:|---:|",
            *(f"| {what} | {figures.get(key)} | {aim} |" for what, key, aim in rows),
        )
    )


def replaced(page: str, name: str, section: str) -> str:
    """Return the page with another section between the marks of this name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    before, found, rest = page.partition(begin)
    old, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"the page has no place for {name}: write {begin.strip()} and {end} where it belongs")
    del old
    return f"{before}{begin}{section}\n{end}{after}"


def regenerate(name: str, section: str) -> None:
    """Put a section into docs/performance.md."""
    PAGE.write_text(replaced(PAGE.read_text(), name, section))


def write(figures: Figures, json_file: Path | None) -> str:
    """Write the figures where they were asked for, and return them as JSON."""
    page = json.dumps(figures, indent=2)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(f"{page}\n")
    return page


def _ms(figures: Figures, key: str) -> str:
    value = figures[key]
    return f"{value:.0f}" if isinstance(value, int | float) else "–"


def _tenths(figures: Figures, key: str) -> str:
    value = figures[key]
    return f"{value:.1f}" if isinstance(value, int | float) else "–"


def _percent(figures: Figures, key: str) -> str:
    value = figures[key]
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"


def _value(figures: Figures, key: str) -> float:
    """Return what a chart shows; what is not there has no height."""
    value = figures[key]
    return float(value) if isinstance(value, int | float) else 0.0


def _settings(figures: Figures) -> str:
    """Say how turns were taken; a curve has no one endpoint delay."""
    delay = f", endpointMs {figures['endpoint_ms']}" if figures.get("endpoint_ms") else ""
    versions = ", ".join(
        f"{key.removeprefix('version_')} {figures[key]}" for key in figures if key.startswith("version_")
    )
    return f"endpointing {figures['endpointing']}, speculation {figures['speculation']}{delay}; {versions}"


def _machine(figures: Figures) -> str:
    return f"{figures['cores']} cores ({figures['cpu']}, {figures['memory_gib']} GiB)"


def _memory(figures: Figures, part: str) -> str:
    return f"{figures[f'rss_mib_{part}']} | {figures[f'rss_peak_mib_{part}']}"
