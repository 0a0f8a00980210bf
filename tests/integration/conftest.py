"""What several pages share: a broker, the services beside the one that is tested, and something to say."""

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio

from parley_asr.engines import Decoding
from parley_asr.engines.whisper import LoadOptions, load
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.asr_process import sample
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.neighbours import Neighbours, neighbours


@pytest.fixture(scope="module")
def hello() -> bytes:
    """1.1 s of real speech as PCM, for a gateway with the real voice detector."""
    pull(ModelStore.at(), find_model("silero-vad"))
    pcm: bytes = np.round(np.clip(sample("en/hello_world"), -1, 1) * 32767).astype("<i2").tobytes()
    return pcm


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A broker with an assistant's streams."""
    async with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def others(nats: NatsServer) -> AsyncIterator[Neighbours]:
    """The services beside a gateway."""
    async with neighbours(nats) as actors:
        yield actors


@pytest.fixture(scope="module")
def by_ear() -> Callable[[bytes], str]:
    """Transcribes English speech, s16le at 16 kHz mono, by tiny.en, which has to be pulled; takes a second."""
    options = LoadOptions(
        name="tiny.en",
        folder=ModelStore.at().locate("tiny.en", "asr"),
        device="cpu",
        compute_type="int8",
        cpu_threads=1,
        window_s=30,
        language="en",
        hotwords="",
    )
    whisper = load(options)

    def transcribe(sound: bytes) -> str:
        samples = np.frombuffer(sound, dtype="<i2").astype(np.float32) / np.float32(32768)
        return whisper.transcribe([samples], Decoding(beam_size=1))[0].text

    return transcribe
