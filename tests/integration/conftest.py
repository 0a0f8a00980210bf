"""What several pages share: a broker, the services beside the one that is tested, and something to say."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

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
