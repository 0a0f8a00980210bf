"""Phrases into PCM off the event loop: one thread per process, several engines in turn, cancellable between pieces.

`worker` asks `Speaker` for a phrase's sound. The next engine is asked only while nothing of the phrase was heard: a
voice that changes in mid-word would be worse than a phrase that ends early.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import structlog

from parley_contract.errors import ParleyError, PermanentError
from parley_tts.engines import Samples, Speech, Synthesizer, Voice
from parley_tts.shaping import Shaper

log: Final = structlog.get_logger()


class NobodySpokeError(PermanentError):
    """No engine could say it; the message has each one's reason."""


class Speaker:
    """Engines in their order of preference, and the thread in which they work."""

    def __init__(self, engines: Sequence[Synthesizer]) -> None:
        """Speak with the first of `engines` that can."""
        self.engines: Final = tuple(engines)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="speaker")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    async def say(self, speech: Speech, *, avoid_first: bool = False) -> AsyncGenerator[tuple[Voice, bytes], None]:
        """Yield who speaks and the next 20 ms of s16le PCM at 16 kHz; the last piece may be shorter.

        Leaving the loop (with `aclosing`) stops the engine at the end of its piece, mostly within 50 ms, or within 300
        when it has just begun a breath (decision 0016).

        Args:
            speech: what to say.
            avoid_first: pass over the first engine if there is another, because it may have killed this process.

        Raises:
            NobodySpokeError: no engine made a sound.
            ParleyError: the engine broke off in the middle.
        """
        reasons: list[str] = []
        for engine in self.engines[1:] if avoid_first and len(self.engines) > 1 else self.engines:
            spoke = False
            try:
                async with contextlib.aclosing(self._spoken(engine, speech)) as pieces:
                    async for piece in pieces:
                        spoke = True
                        yield engine.voice, piece
            except ParleyError as error:
                if spoke:
                    raise
                reasons.append(f"{engine.voice.engine}: {error}")
                log.warning("an engine did not speak", engine=engine.voice.engine, reason=str(error))
                continue
            if spoke:
                return
            reasons.append(f"{engine.voice.engine}: made no sound")
        raise NobodySpokeError("; ".join(reasons))

    async def _spoken(self, engine: Synthesizer, speech: Speech) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        ready: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
        stop = threading.Event()
        shaper = Shaper(engine.voice.rate_hz)

        def take(samples: Samples) -> bool:
            if stop.is_set():
                return False
            loop.call_soon_threadsafe(ready.put_nowait, shaper.feed(samples))
            return True

        def speak() -> None:
            engine.speak(speech, take)
            loop.call_soon_threadsafe(ready.put_nowait, shaper.finish())

        def end(speaking: asyncio.Future[None]) -> None:
            # Asked for here as well, because after an interrupt nobody else will.
            if not speaking.cancelled():
                speaking.exception()
            ready.put_nowait(None)

        speaking = loop.run_in_executor(self._thread, speak)
        speaking.add_done_callback(end)
        try:
            while (pieces := await ready.get()) is not None:
                for piece in pieces:
                    yield piece
            await speaking
        finally:
            stop.set()
            # An error would hold this frame, the frame the future and the future the error, with all its sound.
            del speaking
