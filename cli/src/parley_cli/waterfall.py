"""Draws where the time of a turn went: one bar per stage, on one axis that begins at the last voiced sample. Pure."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from parley_contract.messages import Stages, TurnReport

STAGES: Final = (
    ("endpoint_ms", "silence", "grey50"),
    ("asr_ms", "transcript", "cyan"),
    ("llm_ttft_ms", "first token", "magenta"),
    ("first_phrase_ms", "first phrase", "magenta"),
    ("tts_first_audio_ms", "first sound", "green"),
    ("playback_wait_ms", "to the ear", "green"),
)
"""Field of `Stages`, what people call it, colour; in the order in which they follow each other."""
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_LABEL_WIDTH: Final = 13
_BESIDE_THE_BARS: Final = 2 + _LABEL_WIDTH + len(" 123456 ms  E2FT 123456 ms")
_BESIDE_BARS_ALONE: Final = 2 + _LABEL_WIDTH + len(" 123456 ms")
_WIDEST: Final = 60
_NARROWEST: Final = 10


class Bar(NamedTuple):
    """One stage on the axis."""

    field: str
    label: str
    colour: str
    begin_ms: float
    length_ms: float


def bars(stages: Stages) -> list[Bar]:
    """Put the stages that the turn got to one after the other."""
    found: list[Bar] = []
    begin_ms = 0.0
    for field, label, colour in STAGES:
        length_ms: float | None = getattr(stages, field)
        if length_ms is not None:
            found.append(Bar(field, label, colour, begin_ms, length_ms))
            begin_ms += length_ms
    return found


class Waterfall:
    """A drawing of one turn, as wide as the terminal allows."""

    def __init__(self, report: TurnReport) -> None:
        """Draw this turn."""
        self._report = report

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Give rich a row per stage."""
        width = min(_WIDEST, options.max_width - _BESIDE_THE_BARS)
        if width >= _NARROWEST:
            yield from rows(self._report, width)
            return
        width = max(_NARROWEST, min(_WIDEST, options.max_width - _BESIDE_BARS_ALONE))
        yield from rows(self._report, width, has_sums=False)
        if sums := _sums(self._report):
            yield Text(f"  {sums}", style="bold")


def rows(report: TurnReport, width: int, *, has_sums: bool = True) -> Iterator[Text]:
    """Draw a turn with bars that are at most `width` columns long; beside two of them, the sums up to there."""
    drawn = bars(report.stages)
    end_ms = max((bar.begin_ms + bar.length_ms for bar in drawn), default=0.0)
    if not end_ms:
        return
    columns_per_ms = width / end_ms
    for bar in drawn:
        row = Text(f"  {bar.label:<{_LABEL_WIDTH}}", style="dim", no_wrap=True)
        row.append(_bar(bar.begin_ms * columns_per_ms, bar.length_ms * columns_per_ms, width), style=bar.colour)
        row.append(f" {bar.length_ms:6.0f} ms", style="not dim")
        if has_sums and bar.field == "llm_ttft_ms" and report.e2ft_ms is not None:
            row.append(f"  E2FT {report.e2ft_ms:.0f} ms", style="not dim bold")
        if has_sums and bar is drawn[-1] and report.e2fa_ms is not None:
            row.append(f"  E2FA {report.e2fa_ms:.0f} ms", style="not dim bold")
        yield row


def _sums(report: TurnReport) -> str:
    """Say what the bars come to, for where there is no place beside them."""
    sums = (("E2FT", report.e2ft_ms), ("E2FA", report.e2fa_ms))
    return ", ".join(f"{name} {value_ms:.0f} ms" for name, value_ms in sums if value_ms is not None)


def _bar(begin: float, length: float, width: int) -> str:
    """Return a bar of columns, its end drawn to an eighth of one; something can always be seen of it."""
    first = min(int(begin), width - 1)
    eighths = max(1, round((begin + length - first) * 8))
    whole, part = divmod(eighths, 8)
    drawn = "█" * whole + (_BLOCKS[part] if part else "")
    return f"{' ' * first}{drawn}"[:width].ljust(width)
