"""The one decoder of this process: many ask, finals go before partials, and files have a lane of their own.

An event loop that decodes is deaf, so threads do. Live speech waits in a heap, ordered by priority and then by arrival,
and is decoded one window at a time: nobody waits longer than one window takes. Uploads go beside it in a second lane,
because even one window of a file would double what a final takes; with one core less to spare both are slower.
Finals that wait together are decoded together, which takes less time than one after the other (`bench/asr.py`); nothing
waits for company, and whoever goes before somebody else goes alone.

What runs is never broken off: CTranslate2 cannot. Who gives up waiting costs nothing, or the rest of one window. Used
by `transcription` and `api`; made and run by `app`. Not here: what is decoded, and why.
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

import structlog

from parley_asr.engines import Decoded, DecodeFailedError, Decoding, OutOfMemoryError, Samples, Transcriber
from parley_contract import telemetry as words
from parley_contract.errors import PermanentError, RetryableError
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

Job = Callable[[], list[Decoded]]
Offload = Callable[[Job], Awaitable[list[Decoded]]]
"""Runs a job off the event loop."""
Reload = Callable[[], Awaitable[Transcriber]]
"""Loads the model anew."""
Clock = Callable[[], float]
"""Monotonic seconds."""


class Priority(enum.IntEnum):
    """Who is served first: somebody waits for a final, somebody may wait for a candidate, a file can wait."""

    FINAL = 0
    CANDIDATE = 1
    PARTIAL = 2
    UPLOAD = 3


_TOGETHER: Final = {Priority.FINAL: 8, Priority.CANDIDATE: 8}
"""How many windows of a priority are decoded at once. Others go alone: who comes next would wait for all of them."""
_MOST_TOGETHER: Final = max(_TOGETHER.values())
LANES: Final = 2
"""Decodes at the same time, at most: one of live speech, one of files."""
_FAILURES: Final = 3
"""After so many decodes in a row that broke, each of another request, the model is loaded anew."""


class Timed(NamedTuple):
    """A decode and when it happened, in monotonic seconds."""

    decoded: Decoded
    started_at: float
    ended_at: float


class _Ticket(NamedTuple):
    priority: Priority
    number: int
    samples: Samples
    how: Decoding
    result: "asyncio.Future[Timed]"


class _Lane:
    """Windows that wait for each other."""

    def __init__(self) -> None:
        self.is_decoding = False
        self.wanted: Final = asyncio.Event()
        self._waiting: list[_Ticket] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self.is_decoding and all(ticket.result.done() for ticket in self._waiting)

    def add(self, ticket: _Ticket) -> None:
        """Let it wait for its turn."""
        heapq.heappush(self._waiting, ticket)
        self.wanted.set()

    def next(self, *, at_most: int) -> list[_Ticket]:
        """Take whose turn it is, and who waits right behind and can be decoded in the same way."""
        taken: list[_Ticket] = []
        while self._waiting:
            ticket = self._waiting[0]
            if ticket.result.done():
                heapq.heappop(self._waiting)
                continue
            first = taken[0] if taken else ticket
            together = min(at_most, _TOGETHER.get(first.priority, 1))
            if len(taken) >= together or (ticket.priority, ticket.how) != (first.priority, first.how):
                break
            taken.append(heapq.heappop(self._waiting))
        return taken


class Decoder:
    """Decodes windows as their turns come."""

    def __init__(
        self,
        transcriber: Transcriber,
        telemetry: Telemetry,
        *,
        offload: Offload,
        reload: Reload | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Serve a loaded model; nothing is decoded until `run` is. Without `reload` a broken model stays as it is."""
        self.engine: Final = transcriber.engine
        self._transcriber: Transcriber | None = transcriber
        self._telemetry = telemetry
        self._offload = offload
        self._reload = reload
        self._clock = clock
        self._numbers = itertools.count()
        self._live, self._uploads = _Lane(), _Lane()
        self._at_once = _MOST_TOGETHER
        self._failures = 0
        self._loaded = asyncio.Event()
        self._loaded.set()

    @property
    def is_idle(self) -> bool:
        """Whether live speech asked for now would be decoded now."""
        return self._live.is_idle

    async def decode(self, samples: Samples, how: Decoding, *, priority: Priority) -> Timed:
        """Decode one window when its turn comes. Cancelling the call gives up the turn, or the result.

        Raises:
            DecodeFailedError: from the engine.
        """
        asked_at = self._clock()
        result: asyncio.Future[Timed] = asyncio.get_running_loop().create_future()
        lane = self._uploads if priority is Priority.UPLOAD else self._live
        lane.add(_Ticket(priority, next(self._numbers), samples, how, result))
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

    async def run(self) -> None:
        """Decode what is asked for, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work(self._live))
            tasks.create_task(self._work(self._uploads))

    async def _work(self, lane: _Lane) -> Never:
        while True:
            await lane.wanted.wait()
            await self._loaded.wait()
            while tickets := lane.next(at_most=self._at_once):
                lane.is_decoding = True
                try:
                    await self._serve(tickets)
                    if self._failures >= _FAILURES and self._reload is not None and self._loaded.is_set():
                        await self._load_anew(self._reload)
                    # The other lane may be loading it.
                    await self._loaded.wait()
                finally:
                    lane.is_decoding = False
            lane.wanted.clear()

    async def _serve(self, tickets: list[_Ticket]) -> None:
        started_at = self._clock()
        windows = [ticket.samples for ticket in tickets]
        try:
            decoded = await self._offload(functools.partial(self._transcribe, windows, tickets[0].how))
        except Exception as error:  # noqa: BLE001 - whoever asked shall know, and nobody else
            if len(tickets) > 1:
                if isinstance(error, OutOfMemoryError):
                    self._at_once = len(tickets) // 2
                # It may be one of them alone, or that they were too many.
                for ticket in tickets:
                    await self._serve([ticket])
                return
            self._failures += isinstance(error, DecodeFailedError)
            if not tickets[0].result.done():
                tickets[0].result.set_exception(error)
            return
        self._failures = 0
        for ticket, result in zip(tickets, decoded, strict=True):
            if not ticket.result.done():
                ticket.result.set_result(Timed(result, started_at, self._clock()))

    def _transcribe(self, windows: list[Samples], how: Decoding) -> list[Decoded]:
        if self._transcriber is None:
            raise DecodeFailedError(f"{self.engine.model} could not be loaded again")
        return self._transcriber.transcribe(windows, how)

    async def _load_anew(self, reload: Reload) -> None:
        """Load the model as it was loaded first; whoever waits goes on waiting, in both lanes."""
        self._loaded.clear()
        # Two of them may not fit onto the card.
        self._transcriber = None
        log.warning("loading the model anew", model=self.engine.model, after_failures=_FAILURES)
        try:
            self._transcriber = await reload()
        except (PermanentError, RetryableError) as error:
            log.error("the model does not load", model=self.engine.model, detail=str(error))
        finally:
            self._failures, self._at_once = 0, _MOST_TOGETHER
            self._loaded.set()


@contextlib.contextmanager
def decoder_threads() -> Iterator[Offload]:
    """A thread for each lane; the block's end waits for the decodes that run."""
    with ThreadPoolExecutor(max_workers=LANES, thread_name_prefix="decoder") as threads:

        async def offload(job: Job) -> list[Decoded]:
            return await asyncio.get_running_loop().run_in_executor(threads, job)

        yield offload
