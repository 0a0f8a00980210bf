"""Puts the asr service together: model, decoder, worker, HTTP. Called by `__main__` through the lifecycle.

Ready means that the model has decoded once and the work queue was claimed from. Not here: anything about a single
utterance.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import structlog

from parley_asr.api import add_api
from parley_asr.api.desk import Desk
from parley_asr.decoder import Decoder, decoder_threads
from parley_asr.engines import Decoding, Transcriber
from parley_asr.engines.whisper import SAFE_WINDOW_S, LoadOptions, load
from parley_asr.hearing import Listening
from parley_asr.settings import AsrSettings
from parley_asr.transcription import Surroundings
from parley_asr.utterances import Patience
from parley_asr.windows import limits
from parley_asr.worker import Worker
from parley_contract.frames import RATE_HZ
from parley_contract.streams import layout
from parley_runtime.claims import CONSUMER
from parley_runtime.http import service_app
from parley_runtime.lifecycle import Runtime
from parley_runtime.models import ModelStore

log: Final = structlog.get_logger()

MODEL: Final = "model"
"""What the service's readiness calls the weights."""


Load = Callable[[AsrSettings], Transcriber]
"""Loads the model, in a thread; what it raises ends the process."""


def load_whisper(settings: AsrSettings) -> Transcriber:
    """Load the model and decode once, so that the first utterance pays for neither."""
    started = time.monotonic()
    options = LoadOptions(
        name=settings.model_name,
        folder=ModelStore.at(settings.model_store).locate(settings.model_name, "asr"),
        device=settings.device,
        compute_type=settings.compute_type,
        cpu_threads=settings.cpu_threads,
        window_s=settings.encoder_window_s,
        language=settings.language,
        hotwords=", ".join(settings.hotwords),
    )
    transcriber = load(options)
    transcriber.transcribe([np.zeros(RATE_HZ, dtype=np.float32)], Decoding(beam_size=settings.beam_size))
    engine = transcriber.engine
    if engine.compute_type != settings.compute_type:
        log.warning("another compute type", wanted=settings.compute_type, taken=engine.compute_type)
    log.info("model resident", model=engine.model, device=engine.device, load_s=round(time.monotonic() - started, 3))
    return transcriber


class App:
    """The running service, as `/status` shows it."""

    def __init__(self, runtime: Runtime[AsrSettings], load: Load = load_whisper) -> None:
        """Begin without a model; `load` makes it."""
        self._runtime = runtime
        self._load = load
        self._desk = Desk(runtime.settings, runtime.telemetry)
        self._decoder: Decoder | None = None
        self._worker: Worker | None = None

    def status(self) -> Mapping[str, object]:
        """What is loaded, and what it does now."""
        doing = {"utterances": self._worker.utterances if self._worker else 0, "uploads": self._desk.busy}
        if self._decoder is None:
            return {"model": self._runtime.settings.model_name, "busy": False, **doing}
        engine = self._decoder.engine
        return {
            "model": engine.model,
            "device": engine.device,
            "compute_type": engine.compute_type,
            "window_s": engine.window_s,
            "busy": not self._decoder.is_idle,
            **doing,
        }

    async def run(self) -> None:
        """Load the model, then transcribe until the process is told to stop."""
        runtime = self._runtime
        health = runtime.health
        health.lacking(MODEL, f"{runtime.settings.model_name} is being loaded")
        if not runtime.is_alone:
            health.lacking(CONSUMER, "not bound yet")
        health.ready("service")
        http = service_app("asr", health=health, telemetry=runtime.telemetry, status=self.status)
        add_api(http, self._desk, runtime.settings)
        with decoder_threads() as offload:
            async with runtime.http(http), asyncio.TaskGroup() as tasks:

                async def load() -> Transcriber:
                    return await asyncio.to_thread(self._load, runtime.settings)

                self._decoder = Decoder(await load(), runtime.telemetry, offload=offload, reload=load)
                decoding = tasks.create_task(self._decoder.run())
                listening = _listening(runtime.settings, self._decoder)
                self._desk.open(self._decoder, listening)
                health.ready(MODEL)
                async with asyncio.TaskGroup() as working:
                    if not runtime.is_alone:
                        self._worker = _worker(runtime, self._decoder, listening)
                        working.create_task(self._worker.run(runtime.stopping))
                    await runtime.stopping.wait()
                    await self._desk.drain(runtime.settings.drain_s)
                decoding.cancel()


def _listening(settings: AsrSettings, decoder: Decoder) -> Listening:
    window_s = decoder.engine.window_s
    return Listening(
        limits=limits(encoder_window_s=window_s, overlap_ms=settings.window_overlap_ms),
        beam_size=settings.beam_size,
        language=settings.language,
        no_speech_threshold=settings.no_speech_threshold,
        has_safe_mode=window_s < SAFE_WINDOW_S,
    )


def _worker(runtime: Runtime[AsrSettings], decoder: Decoder, listening: Listening) -> Worker:
    settings = runtime.settings
    surroundings = Surroundings(
        bus=runtime.bus,
        layout=layout(settings.assistant),
        decoder=decoder,
        telemetry=runtime.telemetry,
        listening=listening,
        patience=Patience(
            partial_interval_s=settings.window_s,
            resend_after_s=settings.resend_after_s,
            resend_every_s=settings.resend_every_s,
            frames_wait_s=settings.frames_wait_s,
            stall_after_s=settings.stall_after_s,
            stall_wait_s=settings.stall_wait_s,
        ),
        clock=time.monotonic,
        decodes_in_silence=settings.speculation != "off",
    )
    return Worker(
        surroundings,
        runtime.health,
        max_utterances=settings.max_utterances,
        drain_s=settings.drain_s,
        capture_text=settings.capture_text,
    )
