"""Has the canned phrases spoken by tts, at the start and whenever a voice is ready, and keeps their sound.

Run by `app`, one per process. They take the way of every phrase, as work under the reserved session `CANNED`, so that
the death of a tts worker changes nothing. Until they are here a listener who waits hears nothing. Not here: when what
is said (`turns`).
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog

from parley_contract.errors import BusUnavailableError
from parley_contract.frames import Frame
from parley_contract.messages import SynthesizePhrase
from parley_contract.subjects import ANY, CANNED, turn_and_phrase
from parley_gateway.canned import Canned, Kind, texts
from parley_gateway.phrases import Phrase, collect
from parley_runtime.bus import Bus, Received

log: Final = structlog.get_logger()

_LIFE_S: Final = 30.0
"""How long one request waits for a worker; without one it is made again when a voice says that it is ready."""
_RETRY_S: Final = 1.0


class CannedVoice:
    """The sound of the canned phrases."""

    def __init__(self, bus: Bus, language: str) -> None:
        """Begin without any; `run` gets them."""
        self.phrases: Mapping[Kind, Canned] = {}
        """Those that are here; replaced as a whole, never changed."""
        self._bus = bus
        self._language = language
        self._texts = tuple(texts(language).items())
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Ask at once and whenever a voice is ready, until cancelled."""
        async with self._bus.messages(self._bus.subjects.voice_ready()) as ready, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(ready))
            self._wanted.set()
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                try:
                    await self._ask()
                except BusUnavailableError as error:
                    log.warning("canned phrases will be asked for again", detail=str(error))
                    self._wanted.set()
                    await asyncio.sleep(_RETRY_S)

    async def _listen(self, ready: AsyncIterator[Received]) -> None:
        async for _ in ready:
            self._wanted.set()

    async def _ask(self) -> None:
        """Have all of them spoken; what did not come within the life of the request is left as it was."""
        number = secrets.randbits(31)
        subjects = self._bus.subjects
        async with self._bus.frames(subjects.voice(CANNED, number, ANY)) as frames:
            for phrase, (_, text) in enumerate(self._texts):
                work = SynthesizePhrase(
                    session=CANNED,
                    epoch=0,
                    turn=number,
                    phrase=phrase,
                    text=text,
                    language=self._language,
                    sent_at=time.time(),
                    life_s=_LIFE_S,
                )
                message_id = f"{CANNED}-{number}-{phrase}"
                await self._bus.record(subjects.phrase_work(CANNED, number), work, message_id=message_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LIFE_S):
                    await self._collect(frames)
        log.info("canned phrases spoken", kinds=sorted(self.phrases))

    async def _collect(self, frames: AsyncIterator[tuple[str, Frame]]) -> None:
        """Take frames until each phrase is whole."""
        phrases = [Phrase()] * len(self._texts)
        missing = set(range(len(phrases)))
        async for subject, frame in frames:
            if (of := turn_and_phrase(subject)) is None or of[1] not in missing:
                continue
            number = of[1]
            phrase = phrases[number] = collect(phrases[number], frame, played=0, now=0.0)
            if phrase.end is not None and len(phrase.frames) >= phrase.end:
                kind, text = self._texts[number]
                sound = tuple(phrase.frames[n] for n in range(phrase.end))
                self.phrases = {**self.phrases, kind: Canned(text, sound)}
                missing.discard(number)
            if not missing:
                return
