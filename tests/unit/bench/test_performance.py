"""The page of figures."""

import _assistant_tables
import _part_tables
import _performance
import _turn_tables
import pytest

FIGURES: dict[str, float | int | str | None] = {
    "turns": 30,
    "answered": 29,
    **{
        f"{key}_{share}_ms": 100.4
        for key in ("e2ft", "e2fa", "endpoint", "asr", "llm_ttft", "first_phrase", "tts_first_audio")
        for share in ("p50", "p95")
    },
    "e2fa_p95_ms": None,
    "rss_mib_asr": 300,
    "rss_peak_mib_asr": 320,
    "up_s": 4.5,
    "cores": 2,
    "cpu": "Some CPU",
    "memory_gib": 24,
}


def test_a_section_takes_the_place_of_the_one_before_and_nothing_else_changes() -> None:
    page = "# Page\n<!-- begin e2ft -->\nold\n<!-- end e2ft -->\nwords\n<!-- begin other -->\n<!-- end other -->\n"

    assert _performance.replaced(page, "e2ft", "new") == (
        "# Page\n<!-- begin e2ft -->\nnew\n<!-- end e2ft -->\nwords\n<!-- begin other -->\n<!-- end other -->\n"
    )


def test_replacing_twice_is_replacing_once() -> None:
    once = _performance.replaced("<!-- begin a -->\n<!-- end a -->", "a", "x")

    assert _performance.replaced(once, "a", "x") == once


def test_a_page_without_a_place_is_an_error_that_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match="<!-- begin e2ft -->"):
        _performance.replaced("# Page", "e2ft", "new")


def test_the_page_of_this_repository_has_a_place_for_the_figures() -> None:
    page = _performance.PAGE.read_text()

    assert "| E2FT |" in _performance.replaced(page, "e2ft", _assistant_tables.e2ft_tables(FIGURES))


def test_the_tables_name_machine_times_memory_and_aims() -> None:
    tables = _assistant_tables.e2ft_tables(FIGURES)

    assert "30 turns, 29 answered" in tables
    assert "2 cores (Some CPU, 24 GiB)" in tables
    assert "| E2FT | 100 | 100 |" in tables
    assert "| E2FA | 100 | – |" in tables
    assert "| asr | 300 | 320 | 450 |" in tables


OVERHEAD: dict[str, float | int | str | None] = {
    "frames_lost": 0,
    "unanswered": 2,
    "cores": 2,
    "cpu": "Some CPU",
    "memory_gib": 24,
    **{f"turns_{size}": 40 + size for size in (1, 10, 50)},
    **{
        f"{key}_{share}_ms_{size}": size / 2
        for key in ("overhead", "heard", "endpoint", "asr", "llm_ttft", "first_phrase", "tts_first_audio")
        for share in ("p50", "p95")
        for size in (1, 10, 50)
    },
    **{f"core_share_{size}": size / 100 for size in (1, 10, 50)},
    **{f"core_share_{size}_gateway": size / 200 for size in (1, 10, 50)},
}


def test_the_table_of_overhead_has_a_column_for_every_size_and_tells_what_was_lost() -> None:
    tables = _assistant_tables.overhead_tables(OVERHEAD)

    assert "41, 50 and 90 turns on 2 cores (Some CPU, 24 GiB)." in tables
    assert "Frames lost: 0. Questions without an answer: 2." in tables
    assert "| **overhead**, p95 | 0.5 | 5.0 | 25.0 |" in tables
    assert "| gateway | 0.5 % | 5.0 % | 25.0 % |" in tables
    assert "| **all of ours** | **1.0 %** | **10.0 %** | **50.0 %** |" in tables


def test_the_table_of_silence_compares_fifty_sessions_with_nobody() -> None:
    figures: dict[str, float | int | str | None] = {
        "seconds": 60.0,
        "cores": 2,
        "cpu": "Some CPU",
        "memory_gib": 24,
        "idle_core_0": 0.01,
        "idle_core_50": 0.04,
        "idle_core_0_nats": 0.002,
        "idle_core_50_nats": 0.012,
    }

    table = _assistant_tables.idle_table(figures)

    assert "| nats | 0.2 % | 1.2 % |" in table
    assert "| **all** | **1.0 %** | **4.0 %** |" in table


@pytest.mark.parametrize("name", ["overhead", "idle", "turns", "turns-curve", "endpoints", "peers"])
def test_every_benchmark_has_a_place_on_the_page(name: str) -> None:
    assert "new" in _performance.replaced(_performance.PAGE.read_text(), name, "new")


def test_what_deaths_cost_stands_beside_what_they_may() -> None:
    counts = {f"{what}_agent": n for what, n in (("answered", 18), ("apologies", 2), ("in_the_air", 0))}
    added = {"added_p50_ms_agent": 1200.4, "added_p95_ms_agent": 5800.0, "usual_wait_ms": 1100}

    table = _assistant_tables.chaos_table({**FIGURES, **counts, **added, "kills": 20, "turns_lost": 0, "seed": 1})

    assert "20 kills on 2 cores (Some CPU, 24 GiB), seed 1." in table
    assert "| agent | 18 | 2 | 0 | 1200 | 5800 | 6000 |" in table


TAKING: dict[str, float | int | str | None] = {
    "half": "test",
    "endpointing": "smart",
    "speculation": "llm",
    "version_ollama": "0.34.0",
    "cores": 2,
    "cpu": "Some CPU",
    "memory_gib": 24,
}


def test_the_table_of_turns_tells_settings_aims_and_every_kind() -> None:
    times = {f"turns_{key}_{share}_ms": 390.4 for key in ("e2ft", "e2fa") for share in ("p50", "p95")}
    rates = ("false_cutoff", "taken_back", "interrupted_aloud", "late_endpoint", "unanswered", "speculation_hit")
    of_kind = {
        "turns_count_one_word": 9,
        "turns_e2ft_p50_ms_one_word": 400.0,
        "turns_e2ft_p95_ms_one_word": None,
        "turns_e2fa_p50_ms_one_word": 500.0,
        "false_cutoff_rate_one_word": 0.0,
        "taken_back_rate_one_word": 0.125,
        "late_endpoint_rate_one_word": 0.0,
        "turns_wer_one_word": 0.05,
    }

    tables = _turn_tables.turns_tables(
        {
            **TAKING,
            **times,
            **{f"{rate}_rate": 0.02 for rate in rates},
            "speculation_waste": None,
            "tokens_dropped_rate": 0.4,
            "turns_wer": 0.08,
            "turns_count": 72,
            "turns_answered": 71,
            "endpoint_ms": 300,
            **of_kind,
        }
    )

    assert "72 turns of the test half, 71 answered, on 2 cores (Some CPU, 24 GiB)." in tables
    assert "endpointing smart, speculation llm, endpointMs 300; ollama 0.34.0." in tables
    assert "| E2FT, p50 | 390 ms | 400 ms |" in tables
    assert "| tokens that were written and never let out | – | 35 % |" in tables
    assert "| one word | 9 | 400 | – | 500 | 0.0 % | 12.5 % | 0.0 % | 5.0 % |" in tables


def test_the_curve_has_a_row_for_every_delay() -> None:
    names = ("turns_e2ft_p50_ms", "turns_e2ft_p95_ms", "turns_e2fa_p50_ms")
    rates = ("false_cutoff_rate", "taken_back_rate", "late_endpoint_rate")
    points = {
        f"curve_{name}_{point}": value
        for point in (300, 700)
        for name, value in (("turns_count", 24), *((name, point) for name in names), *((rate, 0.1) for rate in rates))
    }

    table = _turn_tables.curve_table({**TAKING, **points})

    assert "24 turns of the test half for each row" in table
    assert "| 700 | 700 | 700 | 700 | 10.0 % | 10.0 % | 10.0 % |" in table
    assert 'x-axis ["300", "700"]' in table
    assert "line [300, 700]" in table
    assert "bar [20, 20]" in table


def test_the_table_of_peers_has_both_beside_each_other_with_their_versions() -> None:
    shared = ("e2ft_p50_ms", "e2ft_p95_ms", "e2fa_p50_ms", "e2fa_p95_ms", "wer")
    rates = ("false_cutoff_rate", "taken_back_rate", "interrupted_aloud_rate", "unanswered_rate")

    table = _turn_tables.peers_table(
        {
            **TAKING,
            **{f"turns_{name}": 0.04 if name == "wer" else 400.0 for name in shared},
            **{f"peer_pipecat_{name}": 0.08 if name == "wer" else 900.0 for name in shared},
            **dict.fromkeys(rates, 0.01),
            **{f"peer_pipecat_{rate}": 0.05 for rate in rates},
            "turns_count": 72,
            "peer_version_pipecat_ai": "1.14.0",
            "e2ft_share_of_pipecat": 0.444,
        }
    )

    assert "Pipecat: pipecat_ai 1.14.0." in table
    assert "| E2FT, p50 | 400 | 900 |" in table
    assert "| false cut-offs | 1.0 % | 5.0 % |" in table
    assert "bar [400, 900, 400, 900, 400, 900, 400, 900]" in table
    assert "share of Pipecat's at the median: 0.444" in table


def test_the_table_of_endpoints_has_both_halves_and_both_sets_of_weights() -> None:
    keys = {"cut_off": 0.02, "taken_back": 0.5, "wait_p50_ms": 310.0, "wait_p95_ms": 500.0}
    figures = {
        f"endpoints_{name}_{key}_{half}": value
        for half in ("training", "test")
        for name in ("silence", "smart", "fitted")
        for key, value in keys.items()
    }
    weights = {"weight_bias": 1.1, "weight_open": -2.0, "fitted_bias": 0.4, "fitted_open": -2.5}
    counts = {"pauses_training": 119, "pauses_test": 118, "endpoint_ms": 500, "reopen_ms": 600}

    table = _turn_tables.endpoints_table({**figures, **weights, **counts})

    assert "119 and 118 pauses, ends of turns among them; endpointMs 500, reopenMs 600." in table
    assert "| test | smart, fitted | 2.0 % | 50.0 % | 310 | 500 |" in table
    assert "| fitted on the training half | 0.4 | -2.5 |" in table


def test_the_operators_figures_stand_beside_their_aims() -> None:
    figures = {**FIGURES, "assistants": 200, "ready_200_s": 81.5, "restart_writes_200": 0}

    table = _part_tables.operator_table(figures)

    assert "| from applying 200 at once to all of them ready, s | 81.5 | 90 |" in table
    assert "| writes of that restart | 0 | 0 |" in table


def test_the_voice_channels_figures_stand_beside_their_aims() -> None:
    figures = {**FIGURES, "seconds": 60.0, "receive_core_20": 0.0712, "wire_p95_ms": 3.2}

    table = _part_tables.discord_table(figures)

    assert "60 s each, on 2 cores (Some CPU, 24 GiB)" in table
    assert "| share of a core for 20 people who speak at once, 2 % lost, 2 % late | 0.0712 | 0.10 |" in table
    assert "| from a reply's first frame to its datagram, p95, ms | 3.2 | 25 |" in table


def test_who_is_late_is_counted_and_what_each_process_computes_is_told() -> None:
    computed = {"cpu_s_each_operator": 0.2, "cpu_s_each_kube-apiserver": 0.9}
    figures = {**FIGURES, "assistants": 200, "ready_200_s": 420.0, "ready_count": 187, **computed}

    table = _part_tables.operator_table(figures)

    assert "| from applying 200 at once to all of them ready, s | only 187 after 420.0 | 90 |" in table
    assert "Until one of them is ready 1.10 s are computed: kube-apiserver 0.90, operator 0.20." in table
