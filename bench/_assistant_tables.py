"""Tables of a whole assistant: how soon it answers, what it adds to its models, at rest, and under blows. Pure."""

from typing import Final

from _cells import Figures, machine, ms, parts, percent, table, tenths

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
_SIZES: Final = (1, 10, 50)
"""How many talk at once."""
_ADDED_AIM_MS: Final = 3000
_ADDED_AIMS_MS: Final = {"agent": 6000, "gateway": 6000}
_MEMORY_AIMS_MB: Final = {"asr": 450, "tts": 300, "agent": 180, "gateway": 180}


def e2ft_tables(figures: Figures) -> str:
    """Make the section of `bench/e2ft.py`."""
    times = [
        (label, ms(figures, f"{key}_p50_ms"), ms(figures, f"{key}_p95_ms"), what) for label, key, what in _E2FT_ROWS
    ]
    memory = [
        (name, figures[f"rss_mib_{name}"], figures[f"rss_peak_mib_{name}"], _MEMORY_AIMS_MB.get(name, ""))
        for name in parts(figures, "rss_mib_")
    ]
    counted = f"{figures['turns']} turns, {figures['answered']} answered"
    return "\n".join(
        (
            f"{counted}, of `docs/samples/laptop.yaml` on {machine(figures)}.",
            f"Ready {figures['up_s']} s after the start, from a warm cache.",
            "",
            *table("lrrl", ("", "p50, ms", "p95, ms", ""), times),
            "",
            *table("lrrr", ("resident memory, MiB", "after the turns", "at most", "aim, MB"), memory),
        )
    )


def overhead_tables(figures: Figures) -> str:
    """Make the section of `bench/overhead.py`."""
    times = [
        (f"{label}, {share}", *(tenths(figures, f"{key}_{share}_ms_{size}") for size in _SIZES))
        for label, key, share in _OVERHEAD_ROWS
    ]
    shares = [
        (name, *(percent(figures, f"core_share_{size}_{name}") for size in _SIZES))
        for name in parts(figures, "core_share_50_")
    ]
    total = ("**all of ours**", *(f"**{percent(figures, f'core_share_{size}')}**" for size in _SIZES))
    return "\n".join(
        (
            f"{figures['turns_1']}, {figures['turns_10']} and {figures['turns_50']} turns on {machine(figures)}.",
            f"Frames lost: {figures['frames_lost']}. Questions without an answer: {figures['unanswered']}.",
            "",
            *table("lrrr", ("ms, by how many talk at once", *map(str, _SIZES)), times),
            "",
            *table("lrrr", ("share of one core, by how many talk at once", *map(str, _SIZES)), [*shares, total]),
        )
    )


def idle_table(figures: Figures) -> str:
    """Make the section of `bench/idle.py`."""
    shares = [
        (name, *(percent(figures, f"idle_core_{sessions}_{name}") for sessions in (0, 50)))
        for name in parts(figures, "idle_core_50_")
    ]
    total = ("**all**", *(f"**{percent(figures, f'idle_core_{sessions}')}**" for sessions in (0, 50)))
    return "\n".join(
        (
            f"{figures['seconds']:.0f} s on {machine(figures)}.",
            "",
            *table("lrr", ("share of one core", "nobody", "50 silent sessions"), [*shares, total]),
        )
    )


def chaos_table(figures: Figures) -> str:
    """Make the section of `bench/chaos.py`."""
    head = ("killed", "answered", "apologized for", "in the air", "added p50, ms", "added p95, ms", "aim, ms")
    rows = [
        (
            part,
            *(figures[f"{what}_{part}"] for what in ("answered", "apologies", "in_the_air")),
            *(ms(figures, f"added_{share}_ms_{part}") for share in ("p50", "p95")),
            _ADDED_AIMS_MS.get(part, _ADDED_AIM_MS),
        )
        for part in parts(figures, "added_p95_ms_")
    ]
    return "\n".join(
        (
            f"{figures['kills']} kills on {machine(figures)}, seed {figures['seed']}.",
            f"Turns lost: {figures['turns_lost']}. The usual wait is {ms(figures, 'usual_wait_ms')} ms.",
            "",
            *table("lrrrrrr", head, rows),
        )
    )
