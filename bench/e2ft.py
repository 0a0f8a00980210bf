"""`make bench NAME=e2ft`: how long people wait, and what it costs: 30 spoken turns with the laptop sample.

Starts the assistant as `parley up` does, asks the spoken questions of the samples over and over in one conversation,
and writes one flat object of figures: `e2ft_p50_ms`, `rss_mib_asr`, `up_s`, … The tables of docs/performance.md are
made from it anew. The times are the gateway's own, from its TurnReports.
"""

import asyncio
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import _assistant_tables
import _performance
from _processes import age_s, members, resident_mib
from cyclopts import App, Parameter

from parley_cli.demo_command import Errand, ask
from parley_cli.interrupts import run_until_interrupted
from parley_cli.manifests import read_manifest
from parley_cli.places import Running
from parley_cli.preparing import Wish
from parley_cli.questions import sample_questions
from parley_cli.reports import StageTimes, TurnRecord, percentile
from parley_cli.screen import Screen
from parley_cli.starting import running

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    turns: Annotated[int, Parameter(help="How many questions to ask.")] = 30,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    return run_until_interrupted(lambda hurry: measure(json_file, turns, hurry))


async def measure(json_file: Path | None, turns: int, hurry: asyncio.Event) -> int:
    """Run the benchmark."""
    screen = Screen()
    questions = list(itertools.islice(itertools.cycle(sample_questions()), turns))
    with tempfile.TemporaryDirectory() as replies:
        async with running(read_manifest(None), Wish(any_port=True), screen, hurry) as state:
            up_s = age_s()
            records = await ask(state, Errand(questions=questions, replies=Path(replies)), screen)
            memory = memory_mib(state)
    figures = {**latencies(records), **memory, "up_s": round(up_s, 1), **_performance.describe_machine()}
    screen.say(_performance.write(figures, json_file))
    _performance.regenerate("e2ft", _assistant_tables.e2ft_tables(figures))
    return 0 if figures["answered"] == turns else 1


def latencies(records: list[TurnRecord]) -> dict[str, float | int | None]:
    """Return p50 and p95 of E2FT, E2FA and every stage."""
    stages = {
        name.removesuffix("_ms"): [getattr(record.stages, name) for record in records]
        for name in StageTimes.__struct_fields__
    }
    times = {"e2ft": [record.e2ft_ms for record in records], "e2fa": [record.e2fa_ms for record in records], **stages}
    return {
        "turns": len(records),
        "answered": sum(record.reply_wav is not None for record in records),
        **{f"{name}_p50_ms": percentile(values, 0.5) for name, values in times.items()},
        **{f"{name}_p95_ms": percentile(values, 0.95) for name, values in times.items()},
    }


def memory_mib(state: Running) -> dict[str, int]:
    """Return resident memory of each part with all that it started, now and at most, and of what keeps them running."""
    sessions = {part.name: part.pid for part in state.parts if part.pid}
    resident = {name: resident_mib(members(pid)) for name, pid in sessions.items()} | {
        "cli": resident_mib([os.getpid()])
    }
    return {
        **{f"rss_mib_{name}": now for name, (now, _) in resident.items()},
        **{f"rss_peak_mib_{name}": most for name, (_, most) in resident.items()},
    }


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
