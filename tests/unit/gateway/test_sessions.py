"""A session's tasks, on a bus in memory: whoever leaves in whatever moment, they end."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from parley_contract import door as events
from parley_contract.messages import SessionOpened
from parley_gateway.canned_voice import CannedVoice
from parley_gateway.gathering import Gathering
from parley_gateway.segments import BLOCK_SAMPLES, WINDOW_SAMPLES, SpeechWindow
from parley_gateway.sessions import Session, Surroundings
from parley_gateway.settings import GatewaySettings
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker

pytestmark = pytest.mark.looptime


class Eager:
    """A voice model that takes everything for speech."""

    def detector(self) -> Iterator[int]:
        return itertools.count(1)

    def judge(self, feeds: Sequence[tuple[Iterator[int], bytes]]) -> list[tuple[SpeechWindow, ...]]:
        loud = (-20.0,) * (WINDOW_SAMPLES // BLOCK_SAMPLES)
        return [(SpeechWindow(next(windows) * WINDOW_SAMPLES, 0.95, loud),) for windows, _ in feeds]


class Listener:
    """A door whose client takes everything."""

    def play(self, pcm: bytes) -> None:
        """See Door."""

    def tell(self, event: events.Event) -> None:
        """See Door."""

    def close(self, why: events.Error | None) -> None:
        """See Door."""


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_a_session_in_which_somebody_speaks_ends_in_whatever_moment_it_is_closed(turns_of_the_loop: int) -> None:
    broker = MemoryBroker()
    bus, listener = broker.bus("gateway"), Listener()
    settings = GatewaySettings(assistant=broker.assistant, nats_url="", nats_seed_file=Path("unused"), port=0)
    around = Surroundings(
        bus, Telemetry("gateway", broker.assistant), settings, Gathering(Eager()), CannedVoice(bus, "en")
    )
    session = Session(around, SessionOpened(session="s1", epoch=1, next_turn=1), "secret")

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(session.run())
        await session.listening()
        session.join(listener)
        for _ in range(20):
            session.hear(bytes(640))
            await asyncio.sleep(0.02)
        session.hand_on()
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        session.close(listener)

    assert running.done()
