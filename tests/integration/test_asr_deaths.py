"""The asr service when something ends: a worker is killed or told to stop, the broker dies, the settings are wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ, Frame
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.asr_process import LAPTOP, sample, speaking
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.service_process import running_service
from parley_testkit.toy_speech import frames_of
from parley_testkit.waiting import until

FOX: Final = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module", autouse=True)
def _model() -> None:
    pull(ModelStore.at(), find_model("tiny.en"))


@pytest.fixture(scope="module")
def fox() -> list[Frame]:
    return frames_of(np.concatenate((sample("en/quick_brown_fox"), np.zeros(RATE_HZ // 2, dtype=np.float32))))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path) as server:
        yield server


async def test_an_utterance_of_a_killed_worker_is_completed_by_another_from_its_first_frame(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    patient = {**LAPTOP, "STALL_WAIT_S": "60"}  # the speaker is silent while the second process starts

    async with speaking(nats) as session, running_service("asr", nats, tmp_path, patient) as dying:
        await session.microphone.begin("1-0")
        await session.microphone.send("1-0", fox[:80])
        async with running_service("asr", nats, tmp_path, patient):
            followed = (await dying.get("/status"))["utterances"]
            await dying.kill()
            await session.microphone.send("1-0", fox[80:], every_s=0)
            final = await session.final()

    assert followed == 1
    assert (final.text, final.attempt) == (FOX, 2)


async def test_a_worker_told_to_stop_finishes_what_it_claimed(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with speaking(nats) as session, running_service("asr", nats, tmp_path, LAPTOP) as asr:
        await session.microphone.begin("1-0")
        await session.microphone.send("1-0", fox[:80])
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(asr.stop())
            await asr.until_draining()
            await session.microphone.send("1-0", fox[80:])
        final = await session.final()

    assert stopping.result() == 0
    assert (final.text, final.attempt) == (FOX, 1)


async def test_the_service_binds_again_after_the_broker_came_back(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with running_service("asr", nats, tmp_path, LAPTOP) as asr:
        await nats.kill()
        await nats.start()
        async with speaking(nats) as session:
            await session.agent.ensure(nats.layout)
            await session.microphone.say("1-0", fox)
            final = await session.final()
        await asr.until_ready()

    assert final.text == FOX


async def test_an_utterance_that_is_spoken_while_the_broker_dies_comes_out_whole(
    nats: NatsServer, tmp_path: Path, fox: list[Frame]
) -> None:
    async with speaking(nats) as session, running_service("asr", nats, tmp_path, LAPTOP):
        await session.microphone.begin("1-0")
        await session.microphone.send("1-0", fox[:60])
        await nats.kill()
        await session.microphone.send("1-0", fox[60:90])
        await nats.start()
        await until("the agent is connected", lambda: session.agent.connected)
        await session.agent.ensure(nats.layout)
        await session.microphone.send("1-0", fox[90:])
        final = await session.final()

    assert (final.text, final.missing_frames) == (FOX, 0)


async def test_every_problem_of_the_settings_is_reported_at_once(nats: NatsServer, tmp_path: Path) -> None:
    wrong = {**LAPTOP, "BEAM_SIZE": "0", "DEVICE": "abacus", "WINDOW_S": "soon"}

    async with running_service("asr", nats, tmp_path, wrong, wait=False) as asr:
        status = await asr.ended()

    assert status == 2
    assert all(name in asr.log() for name in ("BEAM_SIZE", "DEVICE", "WINDOW_S"))


async def test_a_model_that_is_not_there_ends_the_service_with_what_to_do(nats: NatsServer, tmp_path: Path) -> None:
    environment = {**LAPTOP, "MODEL_STORE": str(tmp_path / "empty")}

    async with running_service("asr", nats, tmp_path, environment, wait=False) as asr:
        status = await asr.ended()

    assert status == 1
    assert "parley models pull tiny.en" in asr.log()
