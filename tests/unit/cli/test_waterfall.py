"""The drawing of a turn."""

import io

import pytest
from rich.console import Console

from parley_cli.waterfall import Waterfall, bars, rows
from parley_contract.messages import Stages, TurnReport

STAGES = Stages(
    endpoint_ms=500, asr_ms=100, llm_ttft_ms=50, first_phrase_ms=70, tts_first_audio_ms=80, playback_wait_ms=0
)


def report(stages: Stages, e2ft_ms: float | None = 650, e2fa_ms: float | None = 800) -> TurnReport:
    return TurnReport(
        session="0" * 12,
        epoch=1,
        turn=1,
        speaker="you",
        outcome="answered",
        started_at=0,
        speech_ms=900,
        stages=stages,
        e2ft_ms=e2ft_ms,
        e2fa_ms=e2fa_ms,
    )


def test_each_stage_begins_where_the_one_before_ended() -> None:
    assert [bar.begin_ms for bar in bars(STAGES)] == [0, 500, 600, 650, 720, 800]


def test_stages_that_a_turn_never_got_to_are_not_drawn() -> None:
    drawn = bars(Stages(endpoint_ms=500, asr_ms=100))

    assert [bar.label for bar in drawn] == ["silence", "transcript"]


def test_the_first_token_carries_e2ft_and_the_end_e2fa() -> None:
    texts = [row.plain for row in rows(report(STAGES), 40)]

    assert "E2FT 650 ms" in texts[2]
    assert "E2FA 800 ms" in texts[-1]


def test_a_stage_without_length_can_still_be_seen() -> None:
    (row,) = list(rows(report(STAGES), 40))[-1:]

    assert any(block in row.plain for block in "▏▎▍▌▋▊▉█")


def test_numbers_stand_in_one_column() -> None:
    ends = {row.plain.index(" ms") for row in rows(report(STAGES), 40)}

    assert len(ends) == 1


def test_a_turn_without_figures_draws_nothing() -> None:
    assert list(rows(report(Stages(), None, None), 40)) == []


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_row_fits_the_terminal(columns: int) -> None:
    page = io.StringIO()

    Console(file=page, width=columns).print(Waterfall(report(STAGES)))

    lines = page.getvalue().splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [40, 48, 60, 80])
def test_the_headline_figures_fit_into_any_terminal(columns: int) -> None:
    console = Console(file=io.StringIO(), width=columns)

    console.print(Waterfall(report(STAGES)))

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert "E2FT 650 ms" in "\n".join(lines)
    assert "E2FA 800 ms" in "\n".join(lines)
