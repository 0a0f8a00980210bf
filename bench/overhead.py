"""`make bench NAME=overhead`: what our own processes add to a turn, and what they cost, with 1, 10 and 50 listeners.

The four services, a real nats-server and the real voice detector; the engines answer at once. Everybody talks in real
time, all the time. The overhead of a turn is on the gateway's clock: from its decision that the speaker has finished
to the first frame of the reply handed to the door. Writes one flat object of figures (`overhead_p95_ms_50`, …); a
section of docs/performance.md is made from it anew.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import _assistant_tables
import _performance
import uvloop
from _crowd import Answer, Crowd, Sound, crowd, recorded_sound
from _instant_assistant import Assistant, instant_assistant
from _instant_service import PHRASE_FRAMES, PHRASES
from _processes import Meter
from cyclopts import App, Parameter

from parley_cli.interrupts import run_until_interrupted
from parley_cli.reports import percentile
from parley_cli.screen import Screen

Figures = dict[str, float | int | str | None]

SIZES: Final = (1, 10, 50)
_WARM_UP_S: Final = 6.0
"""Everybody's first turn, and whatever is made only once."""
_SHORTEST_S: Final = 30.0
_LONGEST_S: Final = 300.0
_TOLD_EVERY_S: Final = 10.0
_HARMLESS: Final = ("duplicate", "stale")
"""Reasons for dropping a frame that was there already, or was of no more use."""

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    turns: Annotated[int, Parameter(help="Measure each size for 30 s, and until so many turns are over.")] = 40,
    sizes: Annotated[tuple[int, ...], Parameter(help="How many talk at once, one after the other.")] = SIZES,
) -> int:
    """Measure and print the figures; a run of all sizes brings docs/performance.md up to date."""
    # The listeners run in this process: on uvloop they cost half as much.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return run_until_interrupted(lambda hurry: measure(json_file, turns, sizes, hurry))


async def measure(json_file: Path | None, turns: int, sizes: Sequence[int], hurry: asyncio.Event) -> int:
    """Run the benchmark; 1 if a question was not answered or a frame was lost."""
    screen, sound = Screen(), await asyncio.to_thread(recorded_sound)
    figures: Figures = {}
    answers, sent = list[Answer](), 0
    async with instant_assistant(max(sizes), screen, hurry) as assistant:
        for size in sizes:
            listeners = await _let_talk(assistant, size, sound, turns, screen, figures)
            answers += listeners.answers()
            sent += listeners.sent
        figures["frames_lost"] = await _frames_lost(assistant, answers, sent, screen)
    figures["unanswered"] = sum(
        answer.report.outcome != "answered" for answer in answers if answer.report.reason != "closed"
    )
    figures |= _performance.describe_machine()
    screen.say(_performance.write(figures, json_file))
    if tuple(sizes) == SIZES:
        _performance.regenerate("overhead", _assistant_tables.overhead_tables(figures))
    return 1 if figures["frames_lost"] or figures["unanswered"] else 0


async def _let_talk(
    assistant: Assistant, size: int, sound: Sound, turns: int, screen: Screen, figures: Figures
) -> Crowd:
    """Let `size` listeners talk until there is enough to judge, and add their figures."""
    screen.say(f"{size} talking: {_WARM_UP_S:.0f} s to warm up")
    async with crowd(assistant.door, size, sound) as listeners:
        await asyncio.sleep(_WARM_UP_S)
        began_at, since = time.monotonic(), time.time()
        meter = Meter({**assistant.pids, "listeners": os.getpid()})
        told_at = began_at
        while (passed_s := time.monotonic() - began_at) < _LONGEST_S:
            answers = listeners.answers(since=since)
            if passed_s >= _SHORTEST_S and len(answers) >= turns:
                break
            if time.monotonic() - told_at >= _TOLD_EVERY_S:
                told_at = time.monotonic()
                screen.say(f"{size} talking: {len(answers)} turns in {passed_s:.0f} s")
            await asyncio.sleep(0.5)
        shares = meter.shares()
        answers = listeners.answers(since=since)
    await assistant.forgotten()
    figures[f"turns_{size}"] = len(answers)
    figures |= {f"{name}_{size}": value for name, value in _times(answers).items()}
    figures |= {f"core_share_{size}_{name}": round(share, 3) for name, share in shares.items()}
    figures[f"core_share_{size}"] = round(sum(share for name, share in shares.items() if name != "listeners"), 3)
    return listeners


def _times(answers: Sequence[Answer]) -> dict[str, float | None]:
    """Return what the turns waited for after the decision that the speaker has finished, in ms."""
    stages = [answer.report.stages for answer in answers]
    # The voice is audible from its first sample, so its first frame goes out when E2FA ends.
    overheads = [
        answer.report.e2fa_ms - answer.report.stages.endpoint_ms
        for answer in answers
        if answer.report.e2fa_ms is not None and answer.report.stages.endpoint_ms is not None
    ]
    times: dict[str, Sequence[float | None]] = {
        "overhead": overheads,
        "endpoint": [stage.endpoint_ms for stage in stages],
        "asr": [stage.asr_ms for stage in stages],
        "llm_ttft": [stage.llm_ttft_ms for stage in stages],
        "first_phrase": [stage.first_phrase_ms for stage in stages],
        "tts_first_audio": [stage.tts_first_audio_ms for stage in stages],
        "playback_wait": [stage.playback_wait_ms for stage in stages],
        "heard": [_heard_ms(answer) for answer in answers],
    }
    return {
        f"{name}_p{share}_ms": _rounded(percentile(values, share / 100))
        for name, values in times.items()
        for share in (50, 95)
    }


def _heard_ms(answer: Answer) -> float | None:
    """Return how long after the decision the listener had the first frame; both clocks are this machine's."""
    report = answer.report
    if answer.heard_at is None or report.stages.endpoint_ms is None:
        return None
    return (answer.heard_at - report.started_at) * 1000 - report.speech_ms - report.stages.endpoint_ms


async def _frames_lost(assistant: Assistant, answers: Sequence[Answer], sent: int, screen: Screen) -> int:
    """Count frames that did not arrive where they should have, and say where they got lost."""
    counted = await assistant.counters("parley_frames_total")
    dropped = await assistant.counters("parley_frames_dropped_total")
    expected = len(PHRASES) * PHRASE_FRAMES
    transcribed = [
        json.loads(line) for line in (assistant.logs / "asr.log").read_text().splitlines() if "missing_frames" in line
    ]
    lost = {
        "between listeners and gateway": sent - round(counted['gateway{direction="in"}']),
        "between gateway and asr": sum(line["missing_frames"] for line in transcribed),
        "between tts and listeners": sum(
            expected - answer.frames for answer in answers if answer.report.outcome == "answered"
        ),
        "dropped": round(sum(n for series, n in dropped.items() if not any(word in series for word in _HARMLESS))),
        "dropped by the bus": round(sum((await assistant.counters("parley_bus_dropped_total")).values())),
    }
    for where, count in lost.items():
        if count:
            screen.say(f"lost {where}: {count} frames")
    return sum(lost.values())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
