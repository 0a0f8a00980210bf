"""The inside of an asr process on a bus in memory: the real worker and decoder, with a transcriber of toy speech.

For the asr service's tests on virtual time; `Microphone` speaks to it. A decode takes `DECODE_S` of the loop's time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from parley_asr.decoder import Decoder, Job
from parley_asr.engines import Decoded
from parley_asr.hearing import Listening
from parley_asr.transcription import Surroundings
from parley_asr.utterances import Patience
from parley_asr.windows import limits
from parley_asr.worker import Worker
from parley_contract.messages import FinalTranscript, Message, decode
from parley_contract.subjects import ANY
from parley_runtime.claims import CONSUMER
from parley_runtime.http import Health
from parley_runtime.telemetry import Telemetry
from parley_testkit.memory_bus import MemoryBroker
from parley_testkit.microphone import Microphone
from parley_testkit.toy_speech import ToyTranscriber

DECODE_S: Final = 0.08

M = TypeVar("M", bound=Message)


def now() -> float:
    """Seconds of the running loop, real or virtual."""
    return asyncio.get_running_loop().time()


class ToyAsr:
    """One asr process without the process."""

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        drain_s: float = 8.0,
        max_utterances: int = 4,
        decodes_in_silence: bool = False,
    ) -> None:
        self.transcriber: Final = ToyTranscriber()
        self.health: Final = Health(**{CONSUMER: "not bound yet"})
        self.stopping: Final = asyncio.Event()
        self.telemetry: Final = Telemetry("asr", broker.assistant)
        self._decoder = Decoder(self.transcriber, self.telemetry, offload=_slowly, clock=now)
        self._worker = Worker(
            Surroundings(
                bus=broker.bus("asr", self.telemetry),
                layout=broker.layout,
                decoder=self._decoder,
                telemetry=self.telemetry,
                listening=Listening(limits=limits(encoder_window_s=10, overlap_ms=120)),
                patience=Patience(),
                clock=now,
                decodes_in_silence=decodes_in_silence,
            ),
            self.health,
            max_utterances=max_utterances,
            drain_s=drain_s,
            capture_text=False,
        )

    @property
    def utterances(self) -> int:
        """How many are followed now."""
        return self._worker.utterances

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block lasts, then drain."""
        async with asyncio.TaskGroup() as tasks:
            decoding = tasks.create_task(self._decoder.run())
            working = tasks.create_task(self._worker.run(self.stopping))
            yield
            self.stopping.set()
            await working
            decoding.cancel()


async def _slowly(job: Job) -> list[Decoded]:
    await asyncio.sleep(DECODE_S)
    return job()


def microphone(broker: MemoryBroker, *, answers: bool = True) -> Microphone:
    """Make a speaker."""
    return Microphone(broker.bus("gateway"), answers=answers)


def recorded(broker: MemoryBroker, kind: type[M]) -> list[M]:
    """What the events' stream has of a kind, oldest first: what an agent that comes later finds."""
    subject = broker.bus("agent").subjects.transcript(ANY, ANY)
    messages = [decode(raw.data) for raw in broker.stored(broker.layout.events, subject)]
    return [message for message in messages if isinstance(message, kind)]


def finals(broker: MemoryBroker) -> list[FinalTranscript]:
    """All outcomes on record."""
    return recorded(broker, FinalTranscript)


def is_all_acknowledged(broker: MemoryBroker) -> bool:
    """Whether the work queue is empty."""
    return broker.stored(broker.layout.work, broker.bus("agent").subjects.utterance_work(ANY, ANY)) == []


async def until(condition: Callable[[], bool], *, timeout_s: float = 120.0) -> None:
    """Wait for something that is seen from outside.

    Raises:
        TimeoutError: it did not come about.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # nobody tells, and the time may be virtual
            await asyncio.sleep(0.01)
