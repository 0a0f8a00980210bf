"""`make bench NAME=idle`: what people cost who are connected and say nothing: 50 web sessions that send no frame.

The four services and a real nats-server, measured for a minute once everybody is there. Writes one flat object of
figures: `idle_core_50`, the share of one core that all processes take together, and `idle_core_50_<process>`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import _assistant_tables
import _performance
from _crowd import crowd
from _instant_assistant import instant_assistant
from _processes import Meter
from cyclopts import App, Parameter

from parley_cli.interrupts import run_until_interrupted
from parley_cli.screen import Screen

SIZE: Final = 50
_SETTLE_S: Final = 5.0
"""What follows from coming in is over by then."""

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    seconds: Annotated[float, Parameter(help="How long to measure.")] = 60.0,
) -> int:
    """Measure, print the figures, and bring docs/performance.md up to date."""
    return run_until_interrupted(lambda hurry: measure(json_file, seconds, hurry))


async def measure(json_file: Path | None, seconds: float, hurry: asyncio.Event) -> int:
    """Run the benchmark."""
    screen = Screen()
    async with instant_assistant(SIZE, screen, hurry) as assistant:
        empty = await _shares(assistant.pids, seconds / 2, screen, "nobody is there")
        async with crowd(assistant.door, SIZE, None):
            await asyncio.sleep(_SETTLE_S)
            full = await _shares(assistant.pids, seconds, screen, f"{SIZE} are there and say nothing")
    figures: dict[str, float | int | str | None] = {
        "idle_core_0": round(sum(empty.values()), 4),
        f"idle_core_{SIZE}": round(sum(full.values()), 4),
        **{f"idle_core_0_{name}": round(share, 4) for name, share in empty.items()},
        **{f"idle_core_{SIZE}_{name}": round(share, 4) for name, share in full.items()},
        "seconds": seconds,
        **_performance.describe_machine(),
    }
    screen.say(_performance.write(figures, json_file))
    _performance.regenerate("idle", _assistant_tables.idle_table(figures))
    return 0


async def _shares(pids: dict[str, int], seconds: float, screen: Screen, what: str) -> dict[str, float]:
    screen.say(f"{what}: measuring for {seconds:.0f} s")
    meter = Meter(pids)
    await asyncio.sleep(seconds)
    return meter.shares()


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
