"""Pipecat as its documentation sets it up for local Whisper, Ollama and Piper, behind a socket that our caller knows.

    <its environment>/bin/python bench/_peer_pipecat.py '<settings as JSON>'

Started by `peers`, in an environment of its own: nothing of Parley is imported but `_peer_door`. ruff checks this page
as any other, mypy with everything of Pipecat as Any. It prints `ready` when it listens.

**What was chosen, and why.** The pipeline is that of Pipecat's examples (`examples/voice/voice-piper.py`,
`examples/turn-management/turn-management-smart-turn-local.py`, `examples/function-calling/function-calling-ollama.py`):
input, speech to text, user aggregator with Silero, model, voice, output, assistant aggregator. Everything that the
documentation gives a default has it: Silero's parameters (a stop after 0.2 s), the default turn strategies, which end a
turn when smart-turn v3.2 finds it complete and the segment's final transcript is there, and interruptions on. The
models are the same files that ours uses: Whisper tiny.en int8, SmolLM2 through Ollama's OpenAI interface (its own
service class), Piper's joe; system prompt, temperature, most tokens, context size and threads of the model too. The
transport is its websocket server, which paces output in real time; it puts out 16 kHz. Like ours it is warm before the
first turn that counts: a line is said to it, and its model stays loaded.

What is not tuned: the Whisper service of Pipecat has no setting for beam, window or threads, so these are
faster-whisper's own. Its advice to measure how late transcripts are, and to set that, changes nothing here: a segment's
transcript is final, and the turn ends with it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from _peer_door import Event, Ledger
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.ollama.llm import OLLamaLLMService
from pipecat.services.piper.tts import PiperTTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transcriptions.language import Language
from pipecat.transports.websocket.server import SingleClientWebsocketServerParams, SingleClientWebsocketServerTransport
from pipecat.workers.runner import WorkerRunner

_RATE_HZ: Final = 16000


class Door:
    """The one connection there is, and the ledger of its turns."""

    def __init__(self) -> None:
        """Nobody is there yet."""
        self.ledger = Ledger("pipecat")
        self._socket: Any = None

    async def open(self, socket: Any) -> None:  # noqa: ANN401  # of Pipecat's websockets
        """Greet somebody."""
        self.ledger, self._socket = Ledger("pipecat"), socket
        await self.tell([self.ledger.greeting])

    async def tell(self, events: list[Event]) -> None:
        """Say what happened, in order."""
        for event in events:
            if self._socket is not None:
                await self._socket.send(json.dumps(event))


class Serializer(FrameSerializer):
    """Bare PCM both ways."""

    def __init__(self, door: Door) -> None:
        """Mark in `door` where replies begin to sound."""
        super().__init__()
        self._door = door

    async def serialize(self, frame: Frame) -> bytes | None:
        """Return sound; everything else is told by `Watcher`."""
        if not isinstance(frame, OutputAudioRawFrame):
            return None
        await self._door.tell(self._door.ledger.sounds())
        return bytes(frame.audio)

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Take sound; what a client says in words means nothing here."""
        if isinstance(data, str):
            return None
        return InputAudioRawFrame(audio=data, sample_rate=_RATE_HZ, num_channels=1)


class Watcher(BaseObserver):
    """Tells what the pipeline does, as soon as a frame that means it is first pushed."""

    def __init__(self, door: Door) -> None:
        """Tell it to `door`."""
        super().__init__(observe_every_push=False)
        self._door = door
        self._started = ""

    async def on_push_frame(self, data: FramePushed) -> None:
        """See BaseObserver."""
        await self._door.tell(self._events(data.frame))

    def _events(self, frame: Frame) -> list[Event]:
        ledger = self._door.ledger
        match frame:
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame() | BotStoppedSpeakingFrame():
                return [] if self._is_twin(frame) else self._broadcast(frame)
            case TranscriptionFrame():
                return ledger.transcribed(frame.text)
            case LLMFullResponseStartFrame():
                return ledger.reply_started()
            case LLMTextFrame():
                return ledger.token(frame.text)
            case _:
                return []

    def _broadcast(self, frame: Frame) -> list[Event]:
        ledger = self._door.ledger
        match frame:
            case UserStartedSpeakingFrame():
                return ledger.user_started()
            case UserStoppedSpeakingFrame():
                return ledger.user_stopped()
            case _:
                return ledger.bot_stopped()

    def _is_twin(self, frame: Frame) -> bool:
        """Whether this goes the other way of one that was told already: what is broadcast goes both ways."""
        is_twin = frame.broadcast_sibling_id is not None and str(frame.broadcast_sibling_id) == self._started
        self._started = str(frame.id)
        return is_twin


async def main(settings: dict[str, Any]) -> None:
    """Serve one client after the other until ended.

    Args:
        settings: `port`; `whisper` and `piper`, folders; `voice`; `ollama`, an address; `model`, `prompt`,
            `temperature` and `num_predict` of the language model.
    """
    door = Door()
    transport = SingleClientWebsocketServerTransport(
        SingleClientWebsocketServerParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=Serializer(door), add_wav_header=False
        ),
        host="127.0.0.1",
        port=settings["port"],
    )
    stt = WhisperSTTService(
        device="cpu",
        compute_type="int8",
        settings=WhisperSTTService.Settings(model=settings["whisper"], language=Language.EN),
    )
    llm = OLLamaLLMService(
        base_url=f"{settings['ollama']}/v1",
        settings=OLLamaLLMService.Settings(
            model=settings["model"],
            system_instruction=settings["prompt"],
            temperature=settings["temperature"],
            max_tokens=settings["num_predict"],
        ),
    )
    tts = PiperTTSService(
        download_dir=Path(settings["piper"]), settings=PiperTTSService.Settings(voice=settings["voice"])
    )
    context = LLMContext()
    user, assistant = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), stt, user, llm, tts, transport.output(), assistant]),
        params=PipelineParams(audio_in_sample_rate=_RATE_HZ, audio_out_sample_rate=_RATE_HZ),
        observers=[Watcher(door)],
        cancel_on_idle_timeout=False,
    )

    @transport.event_handler("on_websocket_ready")
    async def ready(_transport: Any) -> None:  # noqa: ANN401  # as Pipecat calls it
        print("ready", flush=True)

    @transport.event_handler("on_client_connected")
    async def connected(_transport: Any, socket: Any) -> None:  # noqa: ANN401  # as Pipecat calls it
        context.set_messages([])
        await door.open(socket)

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="DEBUG")
    asyncio.run(main(json.loads(sys.argv[1])))
