"""The asr service as processes, on a real broker with a real Whisper: frames on the bus become transcripts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from parley_asr.engines import Samples
from parley_contract import telemetry as words
from parley_contract.frames import RATE_HZ, Frame
from parley_contract.messages import FinalTranscript, PartialTranscript
from parley_contract.subjects import ANY
from parley_runtime.bus import Bus, Received
from parley_runtime.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.microphone import Microphone
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.otlp_receiver import OtlpReceiver, running_otlp_receiver
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.toy_speech import frames_of

LAPTOP: Final = {
    "MODEL_NAME": "tiny.en",
    "COMPUTE_TYPE": "int8",
    "ENCODER_WINDOW_S": "10",
    "DEVICE": "cpu",
    "CPU_THREADS": "1",
    "LANGUAGE": "en",
}
FAST_S: Final = 0.004
"""A fifth of real time between frames, for what would take too long."""
OUTCOME_S: Final = 15.0
MEMORY_MIB: Final = 450


@pytest.fixture(scope="module", autouse=True)
def _model() -> None:
    pull(ModelStore.at(), find_model("tiny.en"))


def sample(name: str) -> Samples:
    """Speech that we did not make."""
    folder = pull(ModelStore.at(), find_model("audioeval"))
    return np.asarray(decode_audio(str(folder / f"{name}.wav"), sampling_rate=RATE_HZ), dtype=np.float32)


@pytest.fixture(scope="module")
def fox() -> list[Frame]:
    """Three seconds of speech and half a second of silence."""
    return frames_of(np.concatenate((sample("en/quick_brown_fox"), np.zeros(RATE_HZ // 2, dtype=np.float32))))


@pytest.fixture(scope="module")
def traces() -> Iterator[OtlpReceiver]:
    with running_otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path) as server:
        yield server


async def finals(bus: Bus, nats: NatsServer, *, count: int = 1, timeout_s: float = OUTCOME_S) -> list[Received]:
    """Wait until so many outcomes are on record, and return them."""
    subject = bus.subjects.transcript(ANY, ANY)
    async with asyncio.timeout(timeout_s):
        while True:
            recorded = await bus.stored_messages(nats.layout.events, subject)
            found = [received for received in recorded if isinstance(received.message, FinalTranscript)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


def only(received: list[Received]) -> FinalTranscript:
    [one] = received
    assert isinstance(one.message, FinalTranscript)
    return one.message


@contextlib.asynccontextmanager
async def speaking(nats: NatsServer) -> AsyncIterator[tuple[Microphone, Bus]]:
    """A speaker, and an agent's ear for the record."""
    async with nats.bus("gateway") as gateway, nats.bus("agent") as agent:
        microphone = Microphone(gateway)
        async with microphone.listening():
            yield microphone, agent


def resident_mib(service: ServiceProcess) -> float:
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def mapped_libraries(service: ServiceProcess) -> str:
    return Path(f"/proc/{service.process.pid}/maps").read_text()


async def test_speech_on_the_bus_becomes_partials_and_one_final(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, LAPTOP):
        await microphone.say("1-0", fox)
        final = only(await finals(agent, nats))
        heard = await agent.stored_messages(nats.layout.events, agent.subjects.transcript(ANY, ANY))

    partials = [received.message for received in heard if isinstance(received.message, PartialTranscript)]
    assert (final.outcome, final.text) == ("speech", "The quick brown fox jumps over the lazy dog.")
    assert (final.last_seq, final.missing_frames) == (len(fox) - 2, 0)
    assert 0 < final.decode_s < final.audio_s
    assert [partial.number for partial in partials] == list(range(1, len(partials) + 1))
    assert partials[0].text.lower().startswith("the quick")


async def test_silence_and_hiss_are_outcomes_without_text(nats: NatsServer, tmp_path: Path) -> None:
    hiss = (0.02 * np.random.default_rng(0).standard_normal(2 * RATE_HZ)).astype(np.float32)

    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, LAPTOP):
        await microphone.say("1-0", frames_of(0 * hiss), every_s=FAST_S)
        await microphone.say("1-1", frames_of(hiss), every_s=FAST_S)
        received = await finals(agent, nats, count=2)

    outcomes = [r.message for r in received if isinstance(r.message, FinalTranscript)]
    assert [(final.outcome, final.text) for final in outcomes] == [("silence", "")] * 2


async def test_more_than_thirty_seconds_come_out_whole_and_within_the_memory(nats: NatsServer, tmp_path: Path) -> None:
    rounds = 8
    speech = np.concatenate([sample("en/quick_brown_fox"), sample("en/hello_world")] * rounds)

    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, LAPTOP) as asr:
        await microphone.say("1-0", frames_of(speech), every_s=FAST_S)
        final = only(await finals(agent, nats))
        resident, libraries = resident_mib(asr), mapped_libraries(asr)

    assert final.audio_s > 30
    assert [final.text.lower().count(words) for words in ("brown fox", "lazy dog", "hello world")] == [rounds] * 3
    assert resident < MEMORY_MIB
    assert "torch" not in libraries


async def test_lost_frames_are_asked_for_and_the_transcript_is_whole(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, LAPTOP):
        await microphone.begin("1-0")
        await microphone.send("1-0", fox, lost=[*range(30), *range(50, 90), len(fox) - 1])
        final = only(await finals(agent, nats))

    assert final.text == "The quick brown fox jumps over the lazy dog."
    assert (final.missing_frames, final.reason) == (0, "")
    assert microphone.asked[0].from_seq == 0


async def test_an_utterance_of_a_dead_worker_is_completed_by_another_from_its_first_frame(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    patient = {**LAPTOP, "STALL_WAIT_S": "60"}  # the speaker is silent while the second process starts

    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, patient) as dying:
        await microphone.begin("1-0")
        await microphone.send("1-0", fox[:80])
        async with running_service("asr", nats, tmp_path, patient):
            assert (await dying.get("/status"))["utterances"] == 1
            await dying.kill()
            died_at = time.monotonic()
            await microphone.send("1-0", fox[80:], every_s=0)
            final = only(await finals(agent, nats))
            took_s = time.monotonic() - died_at

    assert (final.text, final.attempt) == ("The quick brown fox jumps over the lazy dog.", 2)
    assert took_s < 2.5


async def test_a_worker_told_to_stop_finishes_what_it_claimed(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with speaking(nats) as (microphone, agent), running_service("asr", nats, tmp_path, LAPTOP) as asr:
        await microphone.begin("1-0")
        await microphone.send("1-0", fox[:80])
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(asr.stop())
            await asyncio.sleep(0.2)
            readiness = await asr.get("/readyz")
            await microphone.send("1-0", fox[80:])
        final = only(await finals(agent, nats))

    assert stopping.result() == 0
    assert readiness["reasons"] == {"service": "draining"}
    assert (final.text, final.attempt) == ("The quick brown fox jumps over the lazy dog.", 1)


async def test_the_service_binds_again_after_the_broker_came_back(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with running_service("asr", nats, tmp_path, LAPTOP) as asr:
        await nats.kill()
        await nats.start()
        async with speaking(nats) as (microphone, agent):
            await agent.ensure(nats.layout)
            await microphone.say("1-0", fox)
            final = only(await finals(agent, nats))
        await asr.until_ready()

    assert final.text == "The quick brown fox jumps over the lazy dog."


async def test_a_transcription_is_accounted_for_without_what_was_said(
    nats: NatsServer, tmp_path: Path, fox: list[Frame], traces: OtlpReceiver
) -> None:
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    environment = {**LAPTOP, "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url}
    names = {words.TRANSCRIPTION, words.TRANSCRIPTION_FRAMES, words.TRANSCRIPTION_QUEUE, words.TRANSCRIPTION_DECODE}

    async with (
        speaking(nats) as (microphone, agent),
        running_service("asr", nats, tmp_path, environment) as asr,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        await microphone.begin("1-0", headers={words.TRACEPARENT: f"00-{trace_id}-{parent_id}-01"})
        await microphone.send("1-0", fox)
        [received] = await finals(agent, nats)
        spans = await asyncio.to_thread(traces.until, trace_id, names, 10)
        status = await asr.get("/status")
        metrics = (await client.get(f"{asr.url}/metrics")).text

    transcription = next(span for span in spans if span.name == words.TRANSCRIPTION)
    assert transcription.parent_id == parent_id
    assert {words.AUDIO_S, words.RTF, words.UTTERANCE, words.ATTEMPT} <= transcription.attributes.keys()
    assert trace_id in received.headers[words.TRACEPARENT]
    assert (status["model"], status["device"], status["compute_type"]) == ("tiny.en", "cpu", "int8")
    assert (status["busy"], status["utterances"]) == (False, 0)
    assert 'parley_asr_utterances_total{outcome="speech"} 1.0' in metrics
    assert 'parley_asr_decode_seconds_count{kind="final"} 1.0' in metrics
    assert '"event": "transcribed"' in asr.log()
    assert not any("fox" in place for place in (asr.log(), metrics, str(spans)))


async def test_every_problem_of_the_settings_is_reported_at_once(nats: NatsServer, tmp_path: Path) -> None:
    wrong = {**LAPTOP, "BEAM_SIZE": "0", "DEVICE": "abacus", "WINDOW_S": "soon"}

    async with running_service("asr", nats, tmp_path, wrong, wait=False) as asr:
        status = await asyncio.wait_for(asr.process.wait(), 20)

    assert status == 2
    assert all(name in asr.log() for name in ("BEAM_SIZE", "DEVICE", "WINDOW_S"))


async def test_a_model_that_is_not_there_ends_the_service_with_what_to_do(nats: NatsServer, tmp_path: Path) -> None:
    environment = {**LAPTOP, "MODEL_STORE": str(tmp_path / "empty")}

    async with running_service("asr", nats, tmp_path, environment, wait=False) as asr:
        status = await asyncio.wait_for(asr.process.wait(), 20)

    assert status == 1
    assert "parley models pull tiny.en" in asr.log()
