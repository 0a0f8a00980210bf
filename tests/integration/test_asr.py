"""The asr service as a process, on a real broker with a real Whisper: frames on the bus become transcripts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest
import pytest_asyncio

from parley_contract import telemetry as words
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ, Frame
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.asr_process import LAPTOP, sample, speaking
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.otlp_receiver import OtlpReceiver, running_otlp_receiver
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.toy_speech import frames_of
from parley_testkit.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAST_S: Final = 0.004
"""A fifth of real time between frames, for what would take too long."""
MEMORY_MIB: Final = 450


@pytest.fixture(scope="module")
def traces() -> Iterator[OtlpReceiver]:
    with running_otlp_receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asr(
    nats: NatsServer, tmp_path_factory: pytest.TempPathFactory, traces: OtlpReceiver
) -> AsyncIterator[ServiceProcess]:
    await asyncio.to_thread(pull, ModelStore.at(), find_model("tiny.en"))
    environment = {**LAPTOP, "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url}
    async with running_service("asr", nats, tmp_path_factory.mktemp("asr"), environment) as service:
        yield service


@pytest.fixture(scope="module")
def fox() -> list[Frame]:
    """Three seconds of speech and half a second of silence."""
    return frames_of(np.concatenate((sample("en/quick_brown_fox"), np.zeros(RATE_HZ // 2, dtype=np.float32))))


def resident_mib(service: ServiceProcess) -> float:
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def mapped_libraries(service: ServiceProcess) -> str:
    return Path(f"/proc/{service.process.pid}/maps").read_text()


async def test_speech_on_the_bus_becomes_partials_and_one_final(
    nats: NatsServer, asr: ServiceProcess, fox: list[Frame]
) -> None:
    async with speaking(nats) as session:
        await session.microphone.say("1-0", fox)
        final = await session.final()
        partials = await session.partials()

    assert (final.outcome, final.text) == ("speech", "The quick brown fox jumps over the lazy dog.")
    assert (final.last_seq, final.missing_frames) == (len(fox) - 2, 0)
    assert final.decode_s > 0
    assert 3 < final.audio_s < 4
    assert [partial.number for partial in partials] == list(range(1, len(partials) + 1))
    # How much of it the first has heard depends on how busy the machine is.
    assert any("the quick" in partial.text.lower() for partial in partials)


async def test_when_more_speak_than_it_can_follow_it_sheds_partials_says_so_and_understands_everybody(
    fox: list[Frame], tmp_path: Path
) -> None:
    await asyncio.to_thread(pull, ModelStore.at(), find_model("tiny.en"))
    async with (
        # A broker of its own, so that no other test's process helps.
        running_nats(tmp_path) as nats,
        running_service("asr", nats, tmp_path, {**LAPTOP, "WINDOW_S": "0.2"}) as asr,
    ):
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            sessions = [await stack.enter_async_context(speaking(nats)) for _ in range(8)]
            for session in sessions:
                tasks.create_task(session.microphone.say("1-0", fox))
            finals = [await session.final() for session in sessions]
        metrics = await asr.text("/metrics")

    [shed] = [line for line in metrics.splitlines() if line.startswith(f"{words.ASR_PARTIALS_SHED.name}_total")]
    assert [final.text for final in finals] == ["The quick brown fox jumps over the lazy dog."] * 8
    # Eight of them would want forty partials a second, and a decode takes a twentieth of one at best.
    assert float(shed.split()[1]) > 8


async def test_silence_and_hiss_are_outcomes_without_text(nats: NatsServer, asr: ServiceProcess) -> None:
    hiss = (0.02 * np.random.default_rng(0).standard_normal(2 * RATE_HZ)).astype(np.float32)

    async with speaking(nats) as session:
        await session.microphone.say("1-0", frames_of(0 * hiss), every_s=FAST_S)
        await session.microphone.say("1-1", frames_of(hiss), every_s=FAST_S)
        finals = await session.finals(2)

    assert [(final.outcome, final.text) for final in finals] == [("silence", "")] * 2


async def test_several_speakers_at_once_are_each_heard(nats: NatsServer, asr: ServiceProcess, fox: list[Frame]) -> None:
    hello = frames_of(np.concatenate((sample("en/hello_world"), np.zeros(RATE_HZ // 2, dtype=np.float32))))

    async with speaking(nats) as session:
        async with asyncio.TaskGroup() as tasks:
            for number, frames in enumerate((fox, hello, fox)):
                tasks.create_task(session.microphone.say(f"1-{number}", frames))
        finals = await session.finals(3)

    heard = {final.utterance: final.text.lower() for final in finals}
    quick = "the quick brown fox jumps over the lazy dog."
    assert heard == {"1-0": quick, "1-1": "hello world.", "1-2": quick}


async def test_more_than_thirty_seconds_come_out_whole_and_within_the_memory(
    nats: NatsServer, asr: ServiceProcess
) -> None:
    rounds = 8
    speech = np.concatenate([sample("en/quick_brown_fox"), sample("en/hello_world")] * rounds)

    async with speaking(nats) as session:
        await session.microphone.say("1-0", frames_of(speech), every_s=FAST_S)
        final = await session.final()

    counts = [final.text.lower().count(part) for part in ("brown fox", "lazy dog", "hello world")]
    assert final.audio_s > 30
    assert counts == [rounds] * 3
    assert resident_mib(asr) < MEMORY_MIB
    assert "torch" not in mapped_libraries(asr)


async def test_lost_frames_are_asked_for_and_the_transcript_is_whole(
    nats: NatsServer, asr: ServiceProcess, fox: list[Frame]
) -> None:
    async with speaking(nats) as session:
        await session.microphone.begin("1-0")
        await session.microphone.send("1-0", fox, lost=[*range(30), *range(50, 90), len(fox) - 1])
        final = await session.final()

    assert final.text == "The quick brown fox jumps over the lazy dog."
    assert (final.missing_frames, final.reason) == (0, "")
    assert session.microphone.asked[0].from_seq == 0


async def test_a_transcription_is_accounted_for_without_what_was_said(
    nats: NatsServer, asr: ServiceProcess, fox: list[Frame], traces: OtlpReceiver
) -> None:
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    names = {words.TRANSCRIPTION, words.TRANSCRIPTION_FRAMES, words.TRANSCRIPTION_QUEUE, words.TRANSCRIPTION_DECODE}

    async with speaking(nats) as session:
        await session.microphone.begin("1-0", headers={words.TRACEPARENT: f"00-{trace_id}-{parent_id}-01"})
        await session.microphone.send("1-0", fox)
        await session.final()
        recorded = await session.recorded()
        spans = await asyncio.to_thread(traces.until, trace_id, names, PATIENCE_S)

    transcription = next(span for span in spans if span.name == words.TRANSCRIPTION)
    assert transcription.parent_id == parent_id
    assert {words.AUDIO_S, words.RTF, words.UTTERANCE, words.ATTEMPT} <= transcription.attributes.keys()
    assert all(trace_id in received.headers[words.TRACEPARENT] for received in recorded)
    assert "fox" not in str(spans)


async def test_status_metrics_and_logs_tell_figures_and_nothing_that_was_said(
    nats: NatsServer, asr: ServiceProcess, fox: list[Frame]
) -> None:
    async with speaking(nats) as session, httpx.AsyncClient(trust_env=False) as client:
        await session.microphone.say("1-0", fox, every_s=FAST_S)
        final = await session.final()
        await asr.until_logged(f'"session": "{final.session}"')
        status = await asr.get("/status")
        metrics = (await client.get(f"{asr.url}/metrics")).text

    assert (status["model"], status["device"], status["compute_type"]) == ("tiny.en", "cpu", "int8")
    assert 'parley_asr_utterances_total{outcome="speech"}' in metrics
    assert 'parley_asr_decode_seconds_count{kind="final"}' in metrics
    assert "fox" not in asr.log() + metrics + str(status)
