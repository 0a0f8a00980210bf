"""Blows to the processes of a running assistant: who is killed or stopped, and at which moment of a turn.

`persons` strikes them while somebody talks. Moments are found by what the web door tells, and within those that last
they are random, from a seed that can be given again.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from parley_contract.components import ComponentName
from parley_testkit.local_assistant import LocalAssistant
from parley_testkit.talker import Talker

Moment = Literal["speaking", "partial", "deciding", "thinking", "writing", "replying", "pausing", "between"]
"""While the person speaks; when a partial comes; while the final transcript is made; before the first token; after it;
while the reply is heard; after its first phrase; while nobody says anything."""

MOMENTS: Final[Mapping[ComponentName, tuple[Moment, ...]]] = {
    "asr": ("speaking", "deciding", "partial"),
    "tts": ("writing", "pausing", "replying"),
    "agent": ("thinking", "replying", "between", "writing"),
    "nats": ("speaking", "replying"),
    "ollama": ("thinking", "writing"),
    "gateway": ("speaking", "replying", "between"),
}
"""Who is killed, and when that hurts."""

_ENDPOINT_S: Final = 0.5
_DECIDING_S: Final = 0.3
"""About the endpoint: the last partial is dropped, the final transcript decoded."""
_PREFILL_S: Final = 0.08
_SOUNDING_S: Final = 0.8


class Blow(NamedTuple):
    """Who is struck, and when."""

    victim: ComponentName
    moment: Moment
    stops_s: float = 0.0
    """Stopped for so long and continued, with all that it has started; 0 kills it."""

    def __str__(self) -> str:
        """Name it as tests do."""
        return f"{self.victim}-{self.moment}{'-stopped' if self.stops_s else ''}"


def plan(seed: int, blows_each: int) -> list[Blow]:
    """Order kills in rounds that hit everybody once, so that each victim has recovered before it is hit again."""
    order = random.Random(seed)  # noqa: S311  # a seed that can be repeated is the point
    first = {victim: order.randrange(len(moments)) for victim, moments in MOMENTS.items()}
    blows: list[Blow] = []
    for number in range(blows_each):
        once = [Blow(victim, moments[(first[victim] + number) % len(moments)]) for victim, moments in MOMENTS.items()]
        order.shuffle(once)
        blows += once
    return blows


async def moment(kind: Moment, talker: Talker, spoken_until: float, chance: random.Random) -> None:
    """Wait for a moment of the turn that begins now.

    Raises:
        TimeoutError, EOFError: it never came.
    """
    some = chance.random()
    match kind:
        case "speaking":
            await _next(talker, "speech_started")
            await asyncio.sleep(some * max(0.0, spoken_until - time.monotonic()))
        case "partial":
            await _next(talker, "partial")
        case "deciding":
            await asyncio.sleep(spoken_until + _ENDPOINT_S + (some - 0.5) * _DECIDING_S - time.monotonic())
        case "thinking":
            await _next(talker, "transcript")
            await asyncio.sleep(some * _PREFILL_S)
        case "writing":
            await _next(talker, "delta")
        case "replying":
            await _next(talker, "mark")
            await asyncio.sleep(some * _SOUNDING_S)
        case "pausing":
            await talker.until("mark", count=len(talker.of("mark")) + 2)
        case "between":
            pass


async def strike(assistant: LocalAssistant, blow: Blow) -> None:
    """Strike whoever of the victim's replicas works just now; return when it was killed, or has been continued."""
    pid = await assistant.at_work(blow.victim)
    if not blow.stops_s:
        os.kill(pid, signal.SIGKILL)
        return
    with stopped(pid):
        await asyncio.sleep(blow.stops_s)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process group while the block lasts."""
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


async def _next(talker: Talker, kind: str) -> None:
    await talker.until(kind, count=len(talker.of(kind)) + 1)
