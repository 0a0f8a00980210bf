"""`make bench NAME=chaos`: what a death costs whoever talks, when every process is killed again and again.

Starts the assistant as `parley up` does, asks spoken questions in one conversation, kills somebody during each, asks
another one, and writes one flat object of figures: `kills`, `turns_lost`, `added_p95_ms_agent`, … The time added is
that of the longest wait for sound, over the usual one; at the gateway's death it is how long the client was away.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import _assistant_tables
import _performance
from cyclopts import App, Parameter

from parley_cli.reports import percentile
from parley_contract.components import ComponentName
from parley_testkit.blows import MOMENTS, plan
from parley_testkit.local_assistant import LocalAssistant, local_assistant, terse_manifest
from parley_testkit.persons import Heard, Struck, judge, meeting

UNDISTURBED = 8

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    kills: Annotated[int, Parameter(help="How often each process is killed.")] = 20,
    seed: Annotated[int, Parameter(help="Decides order and moments.")] = 1,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with local_assistant(home, "-f", str(terse_manifest(home))) as assistant:
            assistant.until_said("ready after")
            usual, struck = asyncio.run(measure(assistant, kills, seed))
    figures = {**costs(usual, struck), "seed": seed, **_performance.describe_machine()}
    print(_performance.write(figures, json_file))
    _performance.regenerate("chaos", _assistant_tables.chaos_table(figures))
    return 1 if figures["turns_lost"] else 0


async def measure(assistant: LocalAssistant, kills: int, seed: int) -> tuple[list[Heard], list[Struck]]:
    """Ask undisturbed, then under blows, saying what comes of each."""
    blows = plan(seed, kills)
    async with meeting(assistant, seed=seed) as person:
        usual = [await person.ask() for _ in range(UNDISTURBED)]
        struck = []
        for number, blow in enumerate(blows, start=1):
            struck.append(await person.struck(blow))
            print(f"{number}/{len(blows)} {blow}: {told(struck[-1])}", flush=True)
    return usual, struck


def told(struck: Struck) -> str:
    """Say in a line what was heard."""
    hit = struck.hit
    heard = [word for word, is_so in (("hold", hit.held), ("reply", hit.sounded), ("apology", hit.apologized)) if is_so]
    waited = hit.away_ms or hit.wait_ms
    outcome = f"{hit.outcome} {hit.reason}".strip()
    return "; ".join((outcome, f"{waited:.0f} ms", " and ".join(heard) or "nothing", *judge(struck)))


def costs(usual: Sequence[Heard], struck: Sequence[Struck]) -> dict[str, float | int | str | None]:
    """Return the figures."""
    usual_ms = statistics.median(each.wait_ms for each in usual)
    of_victim = {victim: [each for each in struck if each.blow.victim == victim] for victim in MOMENTS}
    added = {victim: [_added_ms(each.hit, usual_ms) for each in hits] for victim, hits in of_victim.items()}
    return {
        "kills": len(struck),
        "turns_lost": sum(bool(judge(each)) for each in struck),
        "usual_wait_ms": round(usual_ms),
        "added_p95_ms": percentile([ms for each in added.values() for ms in each], 0.95),
        **{f"added_p50_ms_{victim}": percentile(values, 0.5) for victim, values in added.items()},
        **{f"added_p95_ms_{victim}": percentile(values, 0.95) for victim, values in added.items()},
        **_counted("answered", of_victim, lambda hit: hit.outcome == "answered"),
        **_counted("apologies", of_victim, lambda hit: hit.apologized),
        **_counted("in_the_air", of_victim, lambda hit: hit.outcome == "lost"),
    }


def _counted(
    name: str, of_victim: Mapping[ComponentName, list[Struck]], is_so: Callable[[Heard], bool]
) -> dict[str, int]:
    return {f"{name}_{victim}": sum(is_so(each.hit) for each in hits) for victim, hits in of_victim.items()}


def _added_ms(hit: Heard, usual_ms: float) -> float:
    return round(hit.away_ms if hit.outcome == "lost" else max(0.0, hit.wait_ms - usual_ms), 1)


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
