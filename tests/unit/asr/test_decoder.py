"""One decode at a time, finals before partials, and never on the event loop: on virtual time."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from parley_asr.decoder import Decoder, Job, Priority, decoder_thread
from parley_asr.engines import Decoded, DecodeFailedError, Decoding
from parley_runtime.telemetry import Telemetry
from parley_testkit.toy_speech import ToyTranscriber, speak

DECODE_S = 0.1


async def slowly(job: Job) -> Decoded:
    """Decode in virtual time."""
    await asyncio.sleep(DECODE_S)
    return job()


@contextlib.asynccontextmanager
async def running(transcriber: ToyTranscriber) -> AsyncIterator[Decoder]:
    clock = asyncio.get_running_loop().time
    decoder = Decoder(transcriber, Telemetry("asr", "test_libra"), offload=slowly, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(decoder.run())
        yield decoder
        task.cancel()


@pytest.mark.looptime
async def test_a_decode_is_timed() -> None:
    async with running(ToyTranscriber()) as decoder:
        timed = await decoder.decode(speak("alpha"), Decoding(), priority=Priority.FINAL)

    assert timed.decoded.text == "alpha"
    assert timed.ended_at - timed.started_at == pytest.approx(DECODE_S)


@pytest.mark.looptime
async def test_finals_go_before_partials_and_equals_in_order_of_arrival() -> None:
    order: list[str] = []

    async def ask(decoder: Decoder, name: str, priority: Priority) -> None:
        await decoder.decode(speak("alpha"), Decoding(), priority=priority)
        order.append(name)

    async with running(ToyTranscriber()) as decoder, asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(decoder, "first partial", Priority.PARTIAL))
        await asyncio.sleep(DECODE_S / 2)
        tasks.create_task(ask(decoder, "second partial", Priority.PARTIAL))
        tasks.create_task(ask(decoder, "first final", Priority.FINAL))
        tasks.create_task(ask(decoder, "second final", Priority.FINAL))

    assert order == ["first partial", "first final", "second final", "second partial"]


@pytest.mark.looptime
async def test_the_decoder_is_idle_only_when_nothing_runs_or_waits() -> None:
    idle: list[bool] = []

    async with running(ToyTranscriber()) as decoder, asyncio.TaskGroup() as tasks:
        idle.append(decoder.is_idle)
        asking = tasks.create_task(decoder.decode(speak("alpha"), Decoding(), priority=Priority.FINAL))
        await asyncio.sleep(DECODE_S / 2)
        idle.append(decoder.is_idle)
        await asking
        await asyncio.sleep(0)
        idle.append(decoder.is_idle)

    assert idle == [True, False, True]


@pytest.mark.looptime
async def test_who_gives_up_waiting_costs_no_decode() -> None:
    transcriber = ToyTranscriber()

    async with running(transcriber) as decoder, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(decoder.decode(speak("alpha"), Decoding(), priority=Priority.FINAL))
        second = tasks.create_task(decoder.decode(speak("bravo"), Decoding(), priority=Priority.FINAL))
        await asyncio.sleep(DECODE_S / 2)
        second.cancel()
        await first

    assert len(transcriber.told) == 1


@pytest.mark.looptime
async def test_a_decode_that_nobody_waits_for_any_more_still_keeps_the_decoder_busy() -> None:
    async with running(ToyTranscriber()) as decoder, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(decoder.decode(speak("alpha"), Decoding(), priority=Priority.PARTIAL))
        await asyncio.sleep(DECODE_S / 2)
        asking.cancel()
        await asyncio.sleep(0)

        assert not decoder.is_idle


@pytest.mark.looptime
async def test_a_broken_decode_reaches_who_asked_and_nobody_else() -> None:
    transcriber = ToyTranscriber()
    transcriber.failures.append(DecodeFailedError("out of memory"))

    async with running(transcriber) as decoder:
        with pytest.raises(DecodeFailedError):
            await decoder.decode(speak("alpha"), Decoding(), priority=Priority.FINAL)
        timed = await decoder.decode(speak("bravo"), Decoding(), priority=Priority.FINAL)

    assert timed.decoded.text == "bravo"


async def test_decoding_leaves_the_event_loop_to_others() -> None:
    threads: list[int] = []

    def job() -> Decoded:
        threads.append(threading.get_ident())
        return ToyTranscriber().transcribe(np.zeros(320, dtype=np.float32), Decoding())

    with decoder_thread() as offload:
        await offload(job)
        await offload(job)

    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
