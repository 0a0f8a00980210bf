"""Tables of one part by itself: speech recognition, the Discord door, the operator. Pure."""

from _cells import Figures, machine, parts, percent, table, tenths


def asr_table(figures: Figures) -> str:
    """Make the section of `bench/asr.py`."""
    rows = (
        ("words that are wrong, window of 10 s", percent(figures, "asr_wer"), "stock's + 1 point"),
        ("words that are wrong, window of 30 s", percent(figures, "asr_wer_30"), "stock's + 1 point"),
        ("words that are wrong, stock", percent(figures, "asr_wer_stock"), ""),
        ("final of 3 s, p50", f"{tenths(figures, 'asr_final_p50_ms')} ms", ""),
        ("the same with stock, p50", f"{tenths(figures, 'asr_stock_p50_ms')} ms", ""),
        ("ours as a share of stock's", figures["asr_final_share_of_stock"], "at most 0.3"),
        ("eight that wait, together against one by one", f"{figures['asr_batch_speedup']} times", "at least 1.4"),
        ("final of 3 s, p95, alone", f"{tenths(figures, 'asr_final_p95_ms_alone')} ms", ""),
        ("the same while 30 minutes are uploaded", f"{tenths(figures, 'asr_final_p95_ms_with_upload')} ms", ""),
        ("with the upload, against alone", f"{figures['asr_final_ratio_with_upload']} times", "at most 1.5"),
        ("resident memory with both models and a voice", f"{figures['asr_rss_mib']} MiB", ""),
    )
    threads = f"{figures['threads']} thread{'s' if figures['threads'] != 1 else ''} a decode"
    return "\n".join(
        (
            f"{figures['utterances']} utterances, tiny.en int8, {threads}, on {machine(figures)}.",
            "",
            *table("lrl", ("", "", "aim"), rows),
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
            f"{figures['seconds']:.0f} s each, on {machine(figures)}, the emulated Discord and its people beside it.",
            "",
            *table("lrr", ("", "measured", "aim, at most"), [(what, figures.get(key), aim) for what, key, aim in rows]),
        )
    )


def operator_table(figures: Figures) -> str:
    """Make the section of `bench/operators.py`."""
    many = figures["assistants"]
    late = "" if figures.get("ready_count", many) == many else f"only {figures['ready_count']} after "
    rows = (
        ("from applying one to all its children applied, p50, ms", figures.get("apply_p50_ms_1"), "500"),
        ("the same, p95, ms", figures.get("apply_p95_ms_1"), "1000"),
        (f"the same among {many}, p50, ms", figures.get("apply_p50_ms_200"), "500"),
        (f"the same among {many}, p95, ms", figures.get("apply_p95_ms_200"), "1000"),
        (f"from applying {many} at once to all of them ready, s", f"{late}{figures.get('ready_200_s')}", "90"),
        (f"resident memory at {many}, MiB", figures.get("operator_rss_mib_200"), "200"),
        (f"share of a core when nothing happens at {many}", figures.get("operator_idle_core"), "0.02"),
        (f"from a restart over {many} to all of them looked at, s", figures.get("restart_s_200"), "30"),
        ("writes of that restart", figures.get("restart_writes_200"), "0"),
    )
    return "\n".join(
        (
            f"{many} assistants on {machine(figures)}, beside the whole control plane.",
            "",
            *table("lrr", ("", "measured", "aim, at most"), rows),
            *_computed(figures),
        )
    )


def _computed(figures: Figures) -> tuple[str, ...]:
    """Say what each process computes until an assistant is ready, the most first."""
    each_s = {name: float(figures[f"cpu_s_each_{name}"] or 0) for name in parts(figures, "cpu_s_each_")}
    most_first = sorted(each_s, key=lambda name: -each_s[name])
    named = ", ".join(f"{name} {each_s[name]:.2f}" for name in most_first)
    return ("", f"Until one of them is ready {sum(each_s.values()):.2f} s are computed: {named}.") if each_s else ()
