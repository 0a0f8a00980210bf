"""Who is under test, what is said, and how a test waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final, Protocol, TypeVar

from parley_contract.frames import FRAME_BYTES, FRAME_SAMPLES, Flag, Frame
from parley_contract.messages import (
    FinalTranscript,
    Heartbeat,
    Message,
    PartialTranscript,
    SynthesizePhrase,
    TranscribeUtterance,
    UtteranceStarted,
)
from parley_contract.services import Service
from parley_contract.streams import Layout, Stream
from parley_runtime.bus import Bus, Received
from parley_runtime.telemetry import Telemetry
from parley_testkit.waiting import until

T = TypeVar("T")

SOON_S: Final = 30.0
"""Long enough for anything that will happen, on a machine as busy as can be."""
NOTHING_S: Final = 0.3
"""Long enough to believe that nothing will."""


class Broker(Protocol):
    """A broker under test."""

    @property
    def layout(self) -> Layout:
        """What its assistant keeps on it."""
        ...

    def connect(
        self, service: Service, telemetry: Telemetry | None = None
    ) -> contextlib.AbstractAsyncContextManager[Bus]:
        """Connect as a service."""
        ...

    async def crash(self) -> None:
        """Die at once."""
        ...

    async def restart(self) -> None:
        """Come back with what was in files."""
        ...


class NewerMessage(Message, frozen=True, kw_only=True):
    """Something that a later version says and this one does not know."""

    text: str


def utterance_work(utterance: str = "1-0", *, life_s: float = 60.0) -> TranscribeUtterance:
    """Return work for asr."""
    return TranscribeUtterance(session="s1", epoch=1, turn=1, utterance=utterance, speaker="a", life_s=life_s)


def phrase_work(turn: int = 1, phrase: int = 0) -> SynthesizePhrase:
    """Return work for tts."""
    return SynthesizePhrase(session="s1", epoch=1, turn=turn, phrase=phrase, text="Hello.", language="en", sent_at=0.0)


def heartbeat(session: str = "s1") -> Heartbeat:
    """Return what the gateway says and no stream keeps."""
    return Heartbeat(session=session, epoch=1)


def partial(number: int = 0) -> PartialTranscript:
    """Return what asr says often."""
    return PartialTranscript(
        session="s1", epoch=1, turn=1, utterance="1-0", speaker="a", number=number, text="hello", covers_seq=9
    )


def final() -> FinalTranscript:
    """Return what asr says once."""
    return FinalTranscript(
        session="s1", epoch=1, turn=1, utterance="1-0", speaker="a", outcome="speech", text="hello", last_seq=9
    )


def started() -> UtteranceStarted:
    """Return what the gateway says and EVENTS keeps."""
    return UtteranceStarted(session="s1", epoch=1, turn=1, utterance="1-0", speaker="a")


def frames(count: int) -> list[Frame]:
    """Return so many frames, each with a sound of its own, and the closing one."""
    sound = [
        Frame(sequence=n, media_samples=n * FRAME_SAMPLES, pcm=n.to_bytes(2, "little") * (FRAME_BYTES // 2), epoch=1)
        for n in range(count)
    ]
    return [*sound, Frame(sequence=count, media_samples=count * FRAME_SAMPLES, pcm=b"", epoch=1, flags=Flag.END)]


async def heard(arriving: AsyncIterator[T], count: int = 1) -> list[T]:
    """Take so many; raises TimeoutError when they do not come."""
    async with asyncio.timeout(SOON_S):
        return [await anext(arriving) for _ in range(count)]


async def rest(arriving: AsyncIterator[T]) -> list[T]:
    """Take what comes until nothing more does: where it is here already, or where nothing is to come."""
    taken: list[T] = []
    with contextlib.suppress(TimeoutError, StopAsyncIteration):
        while True:
            async with asyncio.timeout(NOTHING_S):
                taken.append(await anext(arriving))
    return taken


def said(received: Iterable[Received]) -> list[Message]:
    """Return the messages alone."""
    return [one.message for one in received]


async def dead_letters(agent: Bus, layout: Layout, *, count: int) -> list[Message]:
    """Wait for so many dead letters, which nobody announces, and return all there are; 0 waits a moment for none."""
    if count == 0:
        await asyncio.sleep(NOTHING_S)
    found: list[Received] = []

    async def are_there() -> bool:
        found[:] = await agent.stored_messages(layout.dead, layout.dead.subjects[0])
        return len(found) >= count

    await until(f"{count} dead letters", are_there)
    return said(found)


async def kept_frames(bus: Bus, stream: Stream, subject: str, *, count: int) -> list[Frame]:
    """Wait until a stream has so many frames of a subject, a moment after they were heard, and return all it has."""
    found: list[Frame] = []

    async def are_there() -> bool:
        found[:] = await bus.stored_frames(stream, subject)
        return len(found) >= count

    await until(f"{count} frames", are_there)
    return found


async def until_away(bus: Bus) -> None:
    """Wait until a bus has noticed that its broker is gone."""
    await until("the broker is missed", lambda: not bus.connected)
