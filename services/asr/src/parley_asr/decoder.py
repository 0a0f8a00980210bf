"""The one decoder of this process: many utterances ask, one thread decodes, finals before partials.

A model gains nothing from two decodes at once on the cores it has, and an event loop that decodes is deaf. So jobs
wait in a heap, ordered by priority and then by arrival, and each is one window: no job keeps another waiting longer
than one window takes. Used by `transcription`; made and run by `app`. Not here: what is decoded, and why.
"""

import asyncio
import contextlib
import enum
import functools
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Never

from parley_asr.engines import Decoded, Decoding, Samples, Transcriber
from parley_contract import telemetry as words
from parley_runtime.telemetry import Telemetry

Job = Callable[[], Decoded]
Offload = Callable[[Job], Awaitable[Decoded]]
"""Runs a job off the event loop."""
Clock = Callable[[], float]
"""Monotonic seconds."""


class Priority(enum.IntEnum):
    """Who is served first: somebody waits for a final, somebody may wait for a candidate, a file can wait."""

    FINAL = 0
    CANDIDATE = 1
    PARTIAL = 2
    UPLOAD = 3


class Timed(NamedTuple):
    """A decode and when it happened, in monotonic seconds."""

    decoded: Decoded
    started_at: float
    ended_at: float


class _Ticket(NamedTuple):
    priority: Priority
    number: int
    job: Job
    result: "asyncio.Future[Timed]"


class Decoder:
    """Decodes windows one at a time."""

    def __init__(
        self, transcriber: Transcriber, telemetry: Telemetry, *, offload: Offload, clock: Clock = time.monotonic
    ) -> None:
        """Serve a loaded model; nothing is decoded until `run` is."""
        self.engine: Final = transcriber.engine
        self._transcriber = transcriber
        self._telemetry = telemetry
        self._offload = offload
        self._clock = clock
        self._waiting: list[_Ticket] = []
        self._numbers = itertools.count()
        self._wanted = asyncio.Event()
        self._is_decoding = False

    @property
    def is_idle(self) -> bool:
        """Whether a decode asked for now would begin now."""
        return not self._is_decoding and not any(not ticket.result.done() for ticket in self._waiting)

    async def decode(self, samples: Samples, how: Decoding, *, priority: Priority) -> Timed:
        """Decode one window when its turn comes. Cancelling the call gives up the turn, or the result.

        Raises:
            DecodeFailedError: from the engine.
        """
        asked_at = self._clock()
        result: asyncio.Future[Timed] = asyncio.get_running_loop().create_future()
        job = functools.partial(self._transcriber.transcribe, samples, how)
        heapq.heappush(self._waiting, _Ticket(priority, next(self._numbers), job, result))
        self._wanted.set()
        timed = await result
        kind = priority.name.lower()
        self._telemetry.record(words.ASR_QUEUE, timed.started_at - asked_at, kind=kind)
        self._telemetry.record(words.ASR_DECODE, timed.ended_at - timed.started_at, kind=kind)
        self._telemetry.past(words.TRANSCRIPTION_QUEUE, asked_at, timed.started_at)
        self._telemetry.past(
            words.TRANSCRIPTION_DECODE,
            timed.started_at,
            timed.ended_at,
            attributes={words.REQUEST_MODEL: self.engine.model, words.ENGINE: self.engine.device},
        )
        return timed

    async def run(self) -> Never:
        """Decode what is asked for, for ever."""
        while True:
            await self._wanted.wait()
            while self._waiting:
                ticket = heapq.heappop(self._waiting)
                if not ticket.result.done():
                    self._is_decoding = True
                    try:
                        await self._serve(ticket)
                    finally:
                        self._is_decoding = False
            self._wanted.clear()

    async def _serve(self, ticket: _Ticket) -> None:
        started_at = self._clock()
        try:
            decoded = await self._offload(ticket.job)
        except Exception as error:  # noqa: BLE001 - whoever asked shall know, and nobody else
            if not ticket.result.done():
                ticket.result.set_exception(error)
        else:
            if not ticket.result.done():
                ticket.result.set_result(Timed(decoded, started_at, self._clock()))


@contextlib.contextmanager
def decoder_thread() -> Iterator[Offload]:
    """One thread for all decoding; the block's end waits for a decode that runs."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoder") as thread:

        async def offload(job: Job) -> Decoded:
            return await asyncio.get_running_loop().run_in_executor(thread, job)

        yield offload
