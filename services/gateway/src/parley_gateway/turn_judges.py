"""Pauses are judged off the event loop, one at a time, by whatever model there is: in a crowd not all of them are.

Made by `app`, one per process, only for `endpointing: smart`; `speakers` ask it in every pause.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

log: Final = structlog.get_logger()

_REST: Final = 3.0
"""After a judgement it rests for so many times as long, which leaves three quarters of a core to the voices of a crowd
(50 people who talk all the time took a whole core, and frames waited)."""


class TurnModel(Protocol):
    """Judges whether a turn is over by how it sounds."""

    def judge(self, pcm: bytes) -> float:
        """Say how complete a turn sounds, in [0, 1]; blocks.

        Args:
            pcm: the turn so far and the silence after it, s16le at 16 kHz mono; all but the last 8 s is ignored.
        """
        ...


class TurnJudge:
    """Asks the model off the event loop, about one pause at a time; all sessions of a process share it."""

    def __init__(self, model: TurnModel) -> None:
        """Ask `model`; close the judge at the end (a context manager)."""
        self._model = model
        # One thread: beside each other, two pauses would both be late.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turn-model")
        self._asked: asyncio.Future[float] | None = None
        self._rests_until = 0.0

    def __enter__(self) -> Self:
        """Be ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let nobody wait for an answer any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def ask(self, pcm: bytes, tell: Callable[[float], None]) -> "asyncio.Future[float] | None":
        """Ask how complete `pcm` sounds, and call `tell` with the answer, on the event loop.

        Returns:
            What to cancel when the answer is of no use any more: then the model is not run, or nobody is told. None
            where it has had its share of a core: in a crowd words and silence decide.
        """
        if time.monotonic() < self._rests_until or (self._asked is not None and not self._asked.done()):
            return None
        self._asked = asyncio.get_running_loop().run_in_executor(self._thread, self._judge, pcm)
        self._asked.add_done_callback(functools.partial(_answer, tell))
        return self._asked

    def _judge(self, pcm: bytes) -> float:
        began_at = time.monotonic()
        try:
            return self._model.judge(pcm)
        finally:
            now = time.monotonic()
            self._rests_until = now + _REST * (now - began_at)


def _answer(tell: Callable[[float], None], asked: "asyncio.Future[float]") -> None:
    if asked.cancelled():
        return
    if (error := asked.exception()) is not None:
        # The endpointer goes on without: silence decides.
        log.error("the audio turn model broke", error=type(error).__name__)
        return
    tell(asked.result())
