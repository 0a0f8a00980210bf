"""`make soak`: an hour of conversations, in which no process may grow: at most 5 % more memory than after its warm-up.

The four services and a real nats-server, with engines that answer at once, so that an hour here is many hours of
somebody's evening. Listeners come and go. Prints resident memory as it goes, and exits with 0 if it held. What is
compared are the first and the last fifth of the time after the warm-up: nats-server's collector lets its memory swing
by a third within minutes, without a trend.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Final

import uvloop
from _crowd import Sound, crowd, recorded_sound
from _instant_assistant import Assistant, instant_assistant
from _processes import resident_kib
from cyclopts import App, Parameter

from parley_cli.interrupts import run_until_interrupted
from parley_cli.screen import Screen

GROWTH: Final = 0.05
_KEEP_S: Final = 120
"""How long the broker keeps what was said; after a day of it, it would grow for a day, and rightly so."""
_STAY_S: Final = 20.0
"""How long a crowd stays before the next one comes."""
_COMPARED: Final = 0.2
"""Share of the time whose readings are averaged."""
_SAMPLE_EVERY_S: Final = 2.0
_REFUSED_PAUSE_S: Final = 2.0
_TOLD_EVERY_S: Final = 60.0

app = App(help=__doc__)


@app.default
def main(
    *,
    minutes: Annotated[float, Parameter(help="How long, the warm-up included.")] = 60.0,
    warm_up_minutes: Annotated[float, Parameter(help="From when on nothing may grow.")] = 10.0,
    listeners: Annotated[int, Parameter(help="How many talk at once.")] = 10,
) -> int:
    """Run, and say whether it held."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return run_until_interrupted(lambda hurry: soak(60 * minutes, 60 * warm_up_minutes, listeners, hurry))


async def soak(total_s: float, warm_up_s: float, size: int, hurry: asyncio.Event) -> int:
    """Let people talk for so long; 1 if a process grew too much or a question got no answer."""
    screen, sound = Screen(), await asyncio.to_thread(recorded_sound)
    async with instant_assistant(2 * size, screen, hurry, keep_events_s=_KEEP_S) as assistant:
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(_talk(assistant, size, sound, screen))
            compared_s = _COMPARED * (total_s - warm_up_s)
            await _measured(assistant, began_at + warm_up_s, "warming up", screen)
            first = await _measured(assistant, began_at + warm_up_s + compared_s, "soaking", screen)
            await _measured(assistant, began_at + total_s - compared_s, "soaking", screen)
            last = await _measured(assistant, began_at + total_s, "soaking", screen)
            talking.cancel()
        turns = await assistant.counters("parley_turns_total")
    failed = {series: count for series, count in turns.items() if "failed" in series}
    screen.say(f"{sum(turns.values()):.0f} turns, {sum(failed.values()):.0f} failed")
    grown = {name: last[name] / first[name] - 1 for name in first}
    for name, share in grown.items():
        verdict = "ok" if share <= GROWTH else f"too much, {100 * GROWTH:.0f} % are allowed"
        screen.say(
            f"{name:8} {first[name] / 1024:6.1f} -> {last[name] / 1024:6.1f} MiB  {100 * share:+5.1f} %  {verdict}"
        )
    return 1 if failed or any(share > GROWTH for share in grown.values()) else 0


async def _talk(assistant: Assistant, size: int, sound: Sound, screen: Screen) -> None:
    """Let one crowd after the other come, talk for a while and leave; one that is refused comes again."""
    while True:
        try:
            async with crowd(assistant.door, size, sound):
                await asyncio.sleep(_STAY_S)
        except* ConnectionError as refusals:
            screen.say(f"somebody was refused: {refusals.exceptions[0]}")
            await asyncio.sleep(_REFUSED_PAUSE_S)


async def _measured(assistant: Assistant, until: float, what: str, screen: Screen) -> Mapping[str, float]:
    """Return each process's mean resident KiB until a time, telling on the way."""
    told_at = float("-inf")
    readings: list[Mapping[str, int]] = []
    while (now := time.monotonic()) < until or not readings:
        readings.append(_resident(assistant))
        if now - told_at >= _TOLD_EVERY_S:
            told_at = now
            sizes = ", ".join(f"{name} {kib / 1024:.1f}" for name, kib in readings[-1].items())
            screen.say(f"{what}, {(until - now) / 60:.1f} min to go: {sizes} MiB")
        await asyncio.sleep(_SAMPLE_EVERY_S)
    return {name: statistics.fmean(reading[name] for reading in readings) for name in readings[0]}


def _resident(assistant: Assistant) -> dict[str, int]:
    return {name: resident_kib(pid) for name, pid in assistant.pids.items()}


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
