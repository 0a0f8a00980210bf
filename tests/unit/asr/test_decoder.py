"""One decode at a time, finals before partials, and never on the event loop: on virtual time."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from parley_asr.decoder import Decoder, Job, Priority, Reload, decoder_threads
from parley_asr.engines import Decoded, DecodeFailedError, Decoding, ModelUnusableError, OutOfMemoryError
from parley_runtime.telemetry import Telemetry
from parley_testkit.toy_speech import WORDS, ToyTranscriber, speak

DECODE_S = 0.1


async def slowly(job: Job) -> list[Decoded]:
    """Decode in virtual time."""
    await asyncio.sleep(DECODE_S)
    return job()


@contextlib.asynccontextmanager
async def running(transcriber: ToyTranscriber, reload: Reload | None = None) -> AsyncIterator[Decoder]:
    clock = asyncio.get_running_loop().time
    decoder = Decoder(transcriber, Telemetry("asr", "test_libra"), offload=slowly, reload=reload, clock=clock)
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
async def test_a_file_keeps_no_live_speech_waiting_and_waits_for_none() -> None:
    async with running(ToyTranscriber()) as decoder:
        uploads = asyncio.gather(*(decoder.decode(speak("alpha"), Decoding(), priority=Priority.UPLOAD) for _ in "abc"))
        await asyncio.sleep(DECODE_S / 2)
        is_idle = decoder.is_idle
        final = await decoder.decode(speak("bravo"), Decoding(), priority=Priority.FINAL)
        first, second, third = await uploads

    assert is_idle
    assert final.ended_at - first.started_at == pytest.approx(1.5 * DECODE_S)
    assert (second.started_at, third.started_at) == pytest.approx((first.ended_at, second.ended_at))


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
        await asyncio.sleep(DECODE_S / 2)
        second = tasks.create_task(decoder.decode(speak("bravo"), Decoding(), priority=Priority.FINAL))
        await asyncio.sleep(DECODE_S / 4)
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


async def said_by_all(decoder: Decoder, *texts: str, priority: Priority = Priority.FINAL) -> list[str | Exception]:
    """Ask for all at once, and return what each of them got."""
    asked = (decoder.decode(speak(text), Decoding(), priority=priority) for text in texts)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [str(answer) if isinstance(answer, BaseException) else answer.decoded.text for answer in answers]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "priority, batches",
    [(Priority.FINAL, [8, 2]), (Priority.CANDIDATE, [8, 2]), (Priority.PARTIAL, [1] * 10), (Priority.UPLOAD, [1] * 10)],
)
async def test_finals_that_wait_together_are_decoded_together(priority: Priority, batches: list[int]) -> None:
    transcriber = ToyTranscriber()

    async with running(transcriber) as decoder:
        said = await said_by_all(decoder, *WORDS[:10], priority=priority)

    assert said == list(WORDS[:10])
    assert transcriber.batches == batches


@pytest.mark.looptime
async def test_what_is_to_be_decoded_differently_goes_apart() -> None:
    transcriber = ToyTranscriber()

    async with running(transcriber) as decoder, asyncio.TaskGroup() as tasks:
        for beam_size in (1, 1, 3):
            tasks.create_task(decoder.decode(speak("alpha"), Decoding(beam_size=beam_size), priority=Priority.FINAL))

    assert transcriber.batches == [2, 1]


@pytest.mark.looptime
async def test_of_several_that_broke_together_each_is_tried_alone() -> None:
    transcriber = ToyTranscriber()
    transcriber.failures += [DecodeFailedError("together"), DecodeFailedError("the first alone")]

    async with running(transcriber) as decoder:
        said = await said_by_all(decoder, "alpha", "bravo", "charlie")

    assert said == ["the first alone", "bravo", "charlie"]


@pytest.mark.looptime
async def test_after_too_many_at_once_fewer_are_decoded_together() -> None:
    transcriber = ToyTranscriber()
    transcriber.failures.append(OutOfMemoryError("no room for 8"))

    async with running(transcriber) as decoder:
        first = await said_by_all(decoder, *WORDS[:8])
        second = await said_by_all(decoder, *WORDS[:8])

    assert first == second == list(WORDS[:8])
    assert transcriber.batches == [8, *[1] * 8, 4, 4]


@pytest.mark.looptime
async def test_a_model_that_keeps_breaking_is_loaded_anew_while_others_wait() -> None:
    broken, whole = ToyTranscriber(), ToyTranscriber()
    broken.failures += [DecodeFailedError("the device went away")] * 9

    async def reload() -> ToyTranscriber:
        await asyncio.sleep(5)
        return whole

    async with running(broken, reload) as decoder:
        said = [await said_by_all(decoder, "alpha") for _ in range(3)]
        later = await said_by_all(decoder, "bravo", "charlie")

    assert said == [["the device went away"]] * 3
    assert later == ["bravo", "charlie"]


@pytest.mark.looptime
@pytest.mark.parametrize("first, second", [(Priority.FINAL, Priority.UPLOAD), (Priority.UPLOAD, Priority.FINAL)])
async def test_while_one_lane_loads_the_model_anew_the_other_waits_too(first: Priority, second: Priority) -> None:
    broken, whole, loads = ToyTranscriber(), ToyTranscriber(), list[float]()
    broken.failures += [DecodeFailedError("the device went away")] * 9

    async def reload() -> ToyTranscriber:
        loads.append(asyncio.get_running_loop().time())
        await asyncio.sleep(5)
        return whole

    async with running(broken, reload) as decoder:
        for _ in range(3):
            await said_by_all(decoder, "alpha", priority=first)
        await asyncio.sleep(1)
        said = [await said_by_all(decoder, "bravo", priority=second) for _ in range(4)]

    assert said == [["bravo"]] * 4
    assert len(loads) == 1


@pytest.mark.looptime
async def test_a_single_window_too_many_changes_nothing_for_others() -> None:
    transcriber = ToyTranscriber()
    transcriber.failures.append(OutOfMemoryError("no room for 1"))

    async with running(transcriber) as decoder:
        alone = await said_by_all(decoder, "alpha", priority=Priority.UPLOAD)
        await said_by_all(decoder, *WORDS[:8])

    assert alone == ["no room for 1"]
    assert transcriber.batches == [1, 8]


@pytest.mark.looptime
async def test_a_model_that_does_not_load_again_is_said_to_each_and_tried_later() -> None:
    broken, whole = ToyTranscriber(), ToyTranscriber()
    broken.failures += [DecodeFailedError("the device went away")] * 3
    loads: list[Exception | ToyTranscriber] = [ModelUnusableError("no device"), whole]

    async def reload() -> ToyTranscriber:
        match loads.pop(0):
            case ToyTranscriber() as loaded:
                return loaded
            case error:
                raise error

    async with running(broken, reload) as decoder:
        said = [await said_by_all(decoder, "alpha") for _ in range(7)]

    assert said[3:] == [["toy could not be loaded again"]] * 3 + [["alpha"]]


async def test_decoding_leaves_the_event_loop_to_others() -> None:
    threads: list[int] = []

    def job() -> list[Decoded]:
        threads.append(threading.get_ident())
        return ToyTranscriber().transcribe([np.zeros(320, dtype=np.float32)], Decoding())

    with decoder_threads() as offload:
        await offload(job)
        await offload(job)

    assert threading.get_ident() not in threads
