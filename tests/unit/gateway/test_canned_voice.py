"""Canned phrases on virtual time: asked for as work, collected from frames, asked for again when a voice is ready."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from parley_contract.frames import FRAME_BYTES, Flag, Frame
from parley_contract.messages import SynthesizePhrase, VoiceReady
from parley_contract.subjects import CANNED
from parley_gateway.canned import texts
from parley_gateway.canned_voice import CannedVoice
from parley_runtime.bus import Work
from parley_testkit.memory_bus import MemoryBroker

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def kept(broker: MemoryBroker, language: str = "en") -> AsyncIterator[CannedVoice]:
    voice = CannedVoice(broker.bus("gateway"), language)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(voice.run())
        yield voice
        running.cancel()


async def claimed(broker: MemoryBroker) -> Work[SynthesizePhrase]:
    work = await broker.bus("tts").claim(broker.layout.phrases, SynthesizePhrase, timeout_s=5)
    assert work is not None
    return work


async def speak(broker: MemoryBroker, work: Work[SynthesizePhrase], mark: int, *, frames: int = 3) -> None:
    bus, asked = broker.bus("tts"), work.message
    subject = bus.subjects.voice(asked.session, asked.turn, asked.phrase)
    for n in range(frames + 1):
        pcm = b"" if n == frames else bytes([mark]) * FRAME_BYTES
        flags = Flag.END if n == frames else Flag.NONE
        frame = Frame(sequence=n, media_samples=0, pcm=pcm, attempt=work.attempt, flags=flags)
        await bus.publish_frame(subject, frame)


async def test_all_are_spoken_in_the_assistants_language_and_kept() -> None:
    broker = MemoryBroker()

    async with kept(broker, "ko") as voice:
        asked = []
        for mark in range(3):
            work = await claimed(broker)
            asked.append((work.message.session, work.message.language, work.message.text))
            await speak(broker, work, mark)
            await work.done()
        await asyncio.sleep(0.1)

    assert asked == [(CANNED, "ko", text) for text in texts("ko").values()]
    assert {kind: canned.text for kind, canned in voice.phrases.items()} == texts("ko")
    assert [canned.frames for canned in voice.phrases.values()] == [(bytes([n]) * FRAME_BYTES,) * 3 for n in range(3)]


async def test_a_worker_that_dies_in_the_middle_leaves_no_trace() -> None:
    broker = MemoryBroker()

    async with kept(broker) as voice:
        dying = await claimed(broker)
        subject = broker.bus("tts").subjects.voice(CANNED, dying.message.turn, 0)
        half = Frame(sequence=0, media_samples=0, pcm=b"\x09" * FRAME_BYTES, attempt=1)
        await broker.bus("tts").publish_frame(subject, half)
        for _ in range(3):
            work = await claimed(broker)
            await speak(broker, work, 1)
            await work.done()
        await asyncio.sleep(0.1)

    assert voice.phrases["hold"].frames == (b"\x01" * FRAME_BYTES,) * 3


async def test_a_voice_that_is_ready_speaks_them_anew_and_the_old_ones_stay_until_then() -> None:
    broker = MemoryBroker()

    async with kept(broker) as voice:
        for _ in range(3):
            work = await claimed(broker)
            await speak(broker, work, 1)
            await work.done()
        tts = broker.bus("tts")
        await asyncio.sleep(0.1)
        await tts.publish(tts.subjects.voice_ready(), VoiceReady(engine="toy", voice="other"))
        work = await claimed(broker)
        before = voice.phrases["hold"].frames
        await speak(broker, work, 2)
        await asyncio.sleep(0.1)

    assert before == (b"\x01" * FRAME_BYTES,) * 3
    assert voice.phrases["hold"].frames == (b"\x02" * FRAME_BYTES,) * 3


async def test_without_a_worker_one_request_waits_and_no_more() -> None:
    broker = MemoryBroker()

    async with kept(broker) as voice:
        await asyncio.sleep(300)

    assert voice.phrases == {}
    assert broker.stored(broker.layout.work, "parley.test_libra.work.phrase.*.*") == []


async def test_a_broker_that_is_away_is_asked_again() -> None:
    broker = MemoryBroker()

    async with kept(broker):
        await asyncio.sleep(0)
        broker.crash()
        await asyncio.sleep(3)
        broker.restart()
        broker.make_streams()
        work = await claimed(broker)

    assert work.message.session == CANNED
