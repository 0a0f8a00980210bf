"""`make bench NAME=discord`: what hearing twenty people in a voice channel costs, and how even our own voice is.

The people and their Discord are the emulator's, in a process of its own; sound comes and goes by UDP, encrypted for the
transport and end-to-end. What is measured are voice links in this process, and nothing of the models: they run
elsewhere. `receive_core_20` is the share of a core for twenty who all speak at once, `receive_added_p95_ms_20` from
when a frame was to be sent to when the link gave it out, both on a line that loses 2 % and delivers 2 % late;
`pacing_error_p99_ms_10` how late frames of ten sessions left while a voice detector hears ten people speak;
`wire_p95_ms` from a reply's first frame to its datagram.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import _part_tables
import _performance
import numpy as np
import uvloop
from _crowd import recorded_sound
from _voice_links import Ear, People, links, people
from cyclopts import App, Parameter

from parley_cli.interrupts import run_until_interrupted
from parley_cli.reports import percentile
from parley_cli.screen import Screen
from parley_contract.catalogue import find_model
from parley_contract.frames import FRAME_MS
from parley_gateway.discord.links import VoiceLink
from parley_gateway.discord.pacing import Pacer
from parley_gateway.gathering import Gathering
from parley_gateway.vad import SileroModel
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull

SPEAKERS: Final = 20
SESSIONS: Final = 10
REPLIES: Final = 60
_LOSS: Final = 0.02
_SKIPPED: Final = 50
"""Frames at the beginning of a talkspurt in which everybody's decoder is made."""
_FRAME_S: Final = FRAME_MS / 1000

app = App(help=__doc__)


@app.default
def main(
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the figures here too.")] = None,
    seconds: Annotated[float, Parameter(help="How long everybody speaks, each time.")] = 60.0,
) -> int:
    """Measure, print the figures; a run of the usual length brings docs/performance.md up to date."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return run_until_interrupted(lambda _: measure(json_file, seconds))


async def measure(json_file: Path | None, seconds: float) -> int:
    """Run the benchmark."""
    screen = Screen()
    figures: dict[str, float | int | str | None] = {"seconds": seconds}
    with people(1, SPEAKERS) as crowd, Pacer() as pacer:
        async with links(crowd.where, pacer, None) as [(link, ear)]:
            figures |= await _hear(crowd, link, ear, seconds, screen)
            screen.say(f"{REPLIES} replies to {SPEAKERS} people")
            figures["wire_p95_ms"] = _p(0.95, [await _reply(link) for _ in range(REPLIES)])
    model = await asyncio.to_thread(
        SileroModel, pull(ModelStore.at(), find_model("silero-vad")) / "silero_vad_16k_op15.onnx"
    )
    with people(SESSIONS, 1) as crowd, Pacer() as pacer:
        async with links(crowd.where, pacer, Gathering(model)) as made:
            figures |= await _speak(crowd, pacer, [link for link, _ in made], seconds, screen)
    figures |= _performance.describe_machine()
    screen.say(_performance.write(figures, json_file))
    if seconds >= 60:  # noqa: PLR2004  # the default
        _performance.regenerate("discord", _part_tables.discord_table(figures))
    return 0


async def _hear(
    crowd: People, link: VoiceLink, ear: Ear, seconds: float, screen: Screen
) -> dict[str, float | int | str | None]:
    """Let everybody speak at once, on a good line and on a bad one."""
    figures: dict[str, float | int | str | None] = {}
    for loss, suffix in ((0.0, "_clean"), (_LOSS, "")):
        ear.times.clear()
        before = {user: each.concealed for user, each in link.counters.speakers.items()}
        screen.say(f"{SPEAKERS} people speak at once for {seconds:.0f} s, {loss:.0%} of it lost")
        crowd.tell(f"speak {seconds} {loss}")
        await asyncio.sleep(2.0)
        began_at, cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds - 3.0)
        core = (time.process_time() - cpu_s) / (time.monotonic() - began_at)
        began = {int(user): at for user, at in (await crowd.answer()).items()}
        frames = round(seconds / _FRAME_S)
        late_ms = [
            (at - began[user] - number * _FRAME_S) * 1000
            for user, times in ear.times.items()
            for number, at in enumerate(times[:frames])
            if number >= _SKIPPED
        ]
        figures |= {
            f"receive_core_{SPEAKERS}{suffix}": round(core, 4),
            f"receive_added_p50_ms_{SPEAKERS}{suffix}": _p(0.5, late_ms),
            f"receive_added_p95_ms_{SPEAKERS}{suffix}": _p(0.95, late_ms),
            f"receive_frames_{SPEAKERS}{suffix}": len(late_ms),
            f"receive_concealed_{SPEAKERS}{suffix}": sum(
                each.concealed - before.get(user, 0) for user, each in link.counters.speakers.items()
            ),
        }
        await asyncio.sleep(1.0)
    return figures


async def _reply(link: VoiceLink) -> float:
    """Say a frame into silence, and return how long it took to be on the wire, in ms."""
    played_at = time.monotonic()
    link.play(_noise())
    await asyncio.sleep(0.3)
    return (link.on_wire.at - played_at) * 1000


async def _speak(
    crowd: People, pacer: Pacer, made: list[VoiceLink], seconds: float, screen: Screen
) -> dict[str, float | int | str | None]:
    """Let all sessions speak and be spoken to at once."""
    screen.say(f"{SESSIONS} sessions speak for {seconds:.0f} s and hear somebody each")
    crowd.tell(f"speak {seconds} 0")
    voice = recorded_sound().question
    late_s: list[float] = []
    began_at = time.monotonic()
    for number in range(round(seconds / _FRAME_S)):
        # As a session's playback does: a little ahead, so many times a second.
        for link in made:
            link.play(voice[number % len(voice)])
        await asyncio.sleep(began_at + number * _FRAME_S - time.monotonic())
        late_s += pacer.drain_lateness()
    await crowd.answer()
    crowd.tell("paced")
    wire_ms = await crowd.answer()
    late_ms = [late * 1000 for late in late_s]
    return {
        f"pacing_error_p50_ms_{SESSIONS}": _p(0.5, late_ms),
        f"pacing_error_p99_ms_{SESSIONS}": _p(0.99, late_ms),
        f"pacing_error_max_ms_{SESSIONS}": _p(1.0, late_ms),
        f"pacing_frames_{SESSIONS}": len(late_ms),
        f"pacing_at_listener_p99_ms_{SESSIONS}": _p(0.99, [abs(late) for late in wire_ms]),
        f"pacing_unsent_{SESSIONS}": sum(link.counters.unsent for link in made),
    }


def _noise() -> bytes:
    noise: bytes = np.random.default_rng(1).integers(-3000, 3000, 320).astype("<i2").tobytes()
    return noise


def _p(share: float, values: list[float]) -> float | None:
    value = percentile(values, share)
    return None if value is None else round(value, 2)


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
