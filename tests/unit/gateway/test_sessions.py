"""A session's tasks, on a bus in memory: whoever leaves in whatever moment, they end."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from parley_contract import door as events
from parley_contract.messages import FinalTranscript, SessionOpened, UtteranceEnded, UtteranceStarted, encode
from parley_contract.subjects import ANY
from parley_gateway.canned_voice import CannedVoice
from parley_gateway.gathering import Gathering
from parley_gateway.segments import BLOCK_SAMPLES, WINDOW_SAMPLES, SpeechWindow
from parley_gateway.sessions import Session
from parley_gateway.settings import GatewaySettings
from parley_gateway.surroundings import Surroundings
from parley_runtime.bus import Raw
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

    def __init__(self) -> None:
        self.told: list[events.Event] = []

    def play(self, pcm: bytes) -> None:
        """See Door."""

    def tell(self, event: events.Event) -> None:
        """See Door."""
        self.told.append(event)

    def close(self, why: events.Error | None) -> None:
        """See Door."""


def session_of(broker: MemoryBroker) -> Session:
    bus = broker.bus("gateway")
    settings = GatewaySettings(assistant=broker.assistant, nats_url="", nats_seed_file=Path("unused"), port=0)
    around = Surroundings(
        bus, Telemetry("gateway", broker.assistant), settings, Gathering(Eager()), CannedVoice(bus, "en")
    )
    return Session(around, SessionOpened(session="s1", epoch=1, next_turn=1), "secret")


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_a_session_in_which_somebody_speaks_ends_in_whatever_moment_it_is_closed(turns_of_the_loop: int) -> None:
    session, listener = session_of(MemoryBroker()), Listener()

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


async def test_what_was_recorded_before_it_listened_again_reaches_the_listener_once() -> None:
    broker, listener = MemoryBroker(), Listener()
    session = session_of(broker)
    final = FinalTranscript(
        session="s1", epoch=1, turn=1, utterance="1-0", speaker="user", outcome="speech", text="hello", last_seq=99
    )

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        await session.listening()
        session.join(listener)
        for _ in range(20):
            session.hear(bytes(640))
            await asyncio.sleep(0.02)
        broker.crash()
        broker.restart(Raw(broker.bus("asr").subjects.transcript("s1", "1-0"), encode(final), {}))
        await asyncio.sleep(0.5)
        session.close(listener)

    assert [event.text for event in listener.told if isinstance(event, events.Transcript)] == ["hello"]


async def test_who_speaks_in_a_channel_is_told_apart_and_named_once_there_are_others() -> None:
    broker, listener = MemoryBroker(), Listener()
    session, said = session_of(broker), list[UtteranceStarted | UtteranceEnded]()
    agent = broker.bus("agent")

    async def follow() -> None:
        async with agent.messages(agent.subjects.speech("s1", ANY)) as messages:
            async for received in messages:
                if isinstance(received.message, UtteranceStarted | UtteranceEnded):
                    said.append(received.message)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        tasks.create_task(session.run())
        await session.listening()
        session.know({"7": "Mina"})
        session.join(listener)
        for _ in range(20):
            session.hear(bytes(640), "7")
            await asyncio.sleep(0.02)
        session.know({"7": "Mina", "8": "Jun", "9": "Silent"})
        for _ in range(20):
            session.hear(bytes(640), "8")
            await asyncio.sleep(0.02)
        heard_while_there = session.heard
        session.know({"8": "Jun", "9": "Silent"})
        await asyncio.sleep(0.1)
        heard_after = session.heard
        session.close(listener)
        await asyncio.sleep(0.1)
        following.cancel()

    started = [(each.speaker, each.name) for each in said if isinstance(each, UtteranceStarted)]
    assert started == [("7", ""), ("8", "Jun")]
    assert heard_while_there == ("7", "8")
    assert heard_after == ("8",)
    ended = [(each.speaker, each.reason) for each in said if isinstance(each, UtteranceEnded)]
    assert ended == [("7", "closed"), ("8", "closed")]
