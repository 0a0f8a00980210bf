"""Puts the tts service together: engines, worker, HTTP. Called by `__main__` through the lifecycle.

Ready means that the first engine has spoken once and the work queue was claimed from. Not here: anything about a
single phrase.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from parley_contract.errors import BusUnavailableError, PermanentError
from parley_contract.messages import VoiceReady
from parley_contract.streams import layout
from parley_runtime.claims import CONSUMER
from parley_runtime.http import service_app
from parley_runtime.lifecycle import Runtime
from parley_runtime.models import ModelStore
from parley_tts.engines import Speech, Synthesizer, Voice, espeak, piper
from parley_tts.settings import EngineName, TtsSettings
from parley_tts.speaking import Speaker
from parley_tts.synthesis import Surroundings
from parley_tts.worker import Worker

log: Final = structlog.get_logger()

VOICE: Final = "voice"
"""What the service's readiness calls the engines."""
_WARM_UP: Final = {"en": "Hello there.", "ko": "안녕하세요."}
"""Said to nobody, so that the first phrase does not pay for the engine's first run."""


Load = Callable[[TtsSettings], Sequence[Synthesizer]]
"""Loads the engines in their order of preference, in a thread; what it raises ends the process."""


def load_engines(settings: TtsSettings) -> Sequence[Synthesizer]:
    """Load the engines; one that does not start is left out, as long as another does."""
    engines: list[Synthesizer] = []
    problems: list[PermanentError] = []
    for name in (settings.tts_engine, *settings.tts_fallbacks):
        began_at = time.monotonic()
        try:
            engines.append(_load(name, settings))
        except PermanentError as error:
            problems.append(error)
            log.error("an engine does not start", engine=name, detail=str(error))
        else:
            log.info("engine ready", engine=name, load_s=round(time.monotonic() - began_at, 3))
    if not engines:
        raise problems[0]
    return engines


def _load(name: EngineName, settings: TtsSettings) -> Synthesizer:
    match name:
        case "piper":
            folder = ModelStore.at(settings.model_store).locate(settings.tts_voice, "voice")
            return piper.load(folder, threads=settings.tts_threads)
        case "espeak":
            # As a fallback it speaks the assistant's language: the voice's name is the first engine's.
            return espeak.load(settings.tts_voice if settings.tts_engine == "espeak" else "")


class App:
    """The running service, as `/status` shows it."""

    def __init__(self, runtime: Runtime[TtsSettings], load: Load = load_engines) -> None:
        """Begin without a voice; `load` makes the engines."""
        self._runtime = runtime
        self._load = load
        self._engines: Sequence[Synthesizer] = ()
        self._worker: Worker | None = None

    def status(self) -> Mapping[str, object]:
        """Who speaks, in order of preference, and whether somebody does now."""
        return {
            "voices": [{"engine": each.voice.engine, "voice": each.voice.name} for each in self._engines],
            "busy": self._worker is not None and self._worker.is_speaking,
        }

    async def run(self) -> None:
        """Load the engines, then synthesize until the process is told to stop."""
        runtime, settings = self._runtime, self._runtime.settings
        health = runtime.health
        health.lacking(VOICE, f"{settings.tts_engine} {settings.tts_voice} is being loaded")
        health.lacking(CONSUMER, "not bound yet")
        health.ready("service")
        http = service_app("tts", health=health, telemetry=runtime.telemetry, status=self.status)
        async with runtime.http(http):
            self._engines = await asyncio.to_thread(self._load, settings)
            with Speaker(self._engines) as speaker:
                await _warm(speaker, settings.language)
                health.ready(VOICE)
                self._worker = Worker(
                    Surroundings(
                        bus=runtime.bus,
                        layout=layout(settings.assistant),
                        speaker=speaker,
                        telemetry=runtime.telemetry,
                        speed=settings.tts_speed,
                        capture_text=settings.capture_text,
                        clock=time.monotonic,
                        wall_clock=time.time,
                    ),
                    health,
                )
                await self._announce(self._engines[0].voice)
                await self._worker.run(runtime.stopping)

    async def _announce(self, voice: Voice) -> None:
        """Tell who has canned phrases spoken; a broker that is away costs no more than an old voice in them."""
        ready = VoiceReady(engine=voice.engine, voice=voice.name)
        with contextlib.suppress(BusUnavailableError):
            await self._runtime.bus.publish(self._runtime.bus.subjects.voice_ready(), ready)


async def _warm(speaker: Speaker, language: str) -> None:
    speech = Speech(text=_WARM_UP.get(language, "1 2 3"), language=language)
    async for _ in speaker.say(speech):
        pass
