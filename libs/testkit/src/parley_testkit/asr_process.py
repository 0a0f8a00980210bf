"""For tests of asr as a process: its settings on a laptop, recorded speech, somebody who speaks and reads the outcomes.

`running_service("asr", …, LAPTOP)` runs the process; `speaking` is one session with a life of its own, so that many
tests may share a process. Not for what needs no process: `toy_asr` is quicker.
"""

import asyncio
import contextlib
import io
import itertools
import re
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np

from parley_asr.engines import Samples
from parley_contract.catalogue import find_model
from parley_contract.frames import RATE_HZ
from parley_contract.messages import FinalTranscript, PartialTranscript
from parley_contract.subjects import ANY
from parley_runtime.bus import Bus, Received
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.microphone import Microphone
from parley_testkit.nats_server import NatsServer
from parley_testkit.service_process import ServiceProcess, running_service
from parley_testkit.waiting import until

LAPTOP: Final = {
    "MODEL_NAME": "tiny.en",
    "COMPUTE_TYPE": "int8",
    "ENCODER_WINDOW_S": "10",
    "DEVICE": "cpu",
    "CPU_THREADS": "1",
    "LANGUAGE": "en",
}
_SESSIONS: Final = itertools.count(1)


def sample(name: str) -> Samples:
    """Speech that we did not make, `en/hello_world` and the like: (n,) float32 at 16 kHz."""
    wav = (pull(ModelStore.at(), find_model("audioeval")) / f"{name}.wav").read_bytes()
    size = int.from_bytes(wav[(at := wav.index(b"data") + 4) : at + 4], "little")
    return np.frombuffer(wav[at + 4 : at + 4 + size], dtype="<f4").copy()


def plain(text: str) -> str:
    """Leave the words of an English sentence, for a comparison without case and punctuation."""
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()


def wav_of(samples: Samples, rate_hz: int = RATE_HZ) -> bytes:
    """Write (n,) float32 as a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


@contextlib.asynccontextmanager
async def asr_alone(folder: Path, **environment: str) -> AsyncIterator[ServiceProcess]:
    """Run `python -m parley_asr` with nothing beside it, on a laptop unless the settings say otherwise."""
    settings = {**LAPTOP, **environment}
    await asyncio.to_thread(pull, ModelStore.at(), find_model(settings["MODEL_NAME"]))
    async with running_service("asr", None, folder, settings) as service:
        yield service


class Session:
    """One session: `microphone` speaks in it, the rest reads what asr recorded about it."""

    def __init__(self, microphone: Microphone, agent: Bus, nats: NatsServer, name: str) -> None:
        """Join a speaker and an agent's ear; `speaking` is the way in."""
        self.microphone: Final = microphone
        self.agent: Final = agent
        self._nats = nats
        self._name = name

    async def recorded(self) -> list[Received]:
        """Everything that asr has said, oldest first."""
        subject = self.agent.subjects.transcript(self._name, ANY)
        return await self.agent.stored_messages(self._nats.layout.events, subject)

    async def partials(self) -> list[PartialTranscript]:
        """All partials so far."""
        messages = [received.message for received in await self.recorded()]
        return [message for message in messages if isinstance(message, PartialTranscript)]

    async def finals(self, count: int) -> list[FinalTranscript]:
        """Wait until so many outcomes are on record, and return all there are.

        Raises:
            TimeoutError: there were fewer.
        """

        async def found() -> list[FinalTranscript]:
            messages = [received.message for received in await self.recorded()]
            finals = [message for message in messages if isinstance(message, FinalTranscript)]
            return finals if len(finals) >= count else []

        return await until(f"{count} outcomes", found)

    async def final(self) -> FinalTranscript:
        """Wait for the one outcome."""
        [final] = await self.finals(1)
        return final


@contextlib.asynccontextmanager
async def speaking(nats: NatsServer) -> AsyncIterator[Session]:
    """Open a session while the block lasts."""
    name = f"s{next(_SESSIONS)}"
    async with nats.bus("gateway") as gateway, nats.bus("agent") as agent:
        microphone = Microphone(gateway, session=name)
        async with microphone.listening():
            yield Session(microphone, agent, nats, name)
