"""`make bench NAME=e2ft`: how long people wait, and what it costs: 30 spoken turns with the laptop sample.

Starts the assistant as `parley up` does, asks the spoken questions of the samples over and over in one conversation,
and writes one flat object of figures: `e2ft_p50_ms`, `rss_mib_asr`, `up_s`, … The tables of docs/performance.md are
made from it anew. The times are the gateway's own, from its TurnReports.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import _performance
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
    screen.say(write(figures, json_file))
    _performance.regenerate("e2ft", _performance.e2ft_tables(figures))
    return 0 if figures["answered"] == turns else 1


def write(figures: _performance.Figures, json_file: Path | None) -> str:
    """Write the figures where they were asked for, and return them as JSON."""
    page = json.dumps(figures, indent=2)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(f"{page}\n")
    return page


def age_s() -> float:
    """Return how long this process has lived: the imports are a part of starting."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


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


def members(session: int) -> list[int]:
    """Return the processes of a session: the leader and what it started, as Ollama does its model runner."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(process.name)) == session:
                found.append(int(process.name))
    return found


def resident_mib(pids: list[int]) -> tuple[int, int]:
    """Return VmRSS and VmHWM (the most it ever was) of processes together."""
    now_kib = most_kib = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            now_kib += int(fields.get("VmRSS", "0 kB").split()[0])
            most_kib += int(fields.get("VmHWM", "0 kB").split()[0])
    return now_kib // 1024, most_kib // 1024


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
