"""One child process: started in its own session with its log, ended by asking and then by force, and nothing left.

`supervisor` decides when. Not here: why a process runs or whether it is ready.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self

from parley_cli.launches import Launch
from parley_contract.errors import PermanentError

_AFTER_KILL_S: Final = 5.0


class CannotStartError(PermanentError):
    """The operating system refuses to run a command."""


class Guard:
    """Our end of the pipe to `guardian`, which outlives us only to end our children."""

    def __init__(self, pipe: asyncio.StreamWriter) -> None:
        """Wrap the pipe; `guard` is the way in."""
        self._pipe = pipe

    def watch(self, group: int) -> None:
        """Have this process group ended should we die."""
        self._pipe.write(b"+%d\n" % group)

    def forget(self, group: int) -> None:
        """Say that this group has ended, so that its number means nothing any more."""
        self._pipe.write(b"-%d\n" % group)


@contextlib.asynccontextmanager
async def guard() -> AsyncIterator[Guard]:
    """Run the guardian while the block lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "parley_cli.guardian"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pipe = process.stdin
    if pipe is None:
        raise CannotStartError("the guardian has no standard input, although it was given one")
    try:
        yield Guard(pipe)
    finally:
        pipe.close()
        await process.wait()


class Child:
    """One running process, leader of its own session so that a Ctrl-C of the terminal does not reach it."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        """Wrap a running process; `start` is the way in."""
        self._process = process
        self._guard = guard

    @classmethod
    async def start(cls, launch: Launch, log: Path, guard: Guard) -> Self:
        """Start a process whose output is added to `log`.

        Raises:
            CannotStartError: the executable is missing or may not be run.
        """
        with log.open("ab") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *launch.command,
                    env={**os.environ, **launch.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                raise CannotStartError(f"{launch.name}: cannot run {launch.command[0]}: {error.strerror}") from error
        guard.watch(process.pid)
        return cls(process, guard)

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    async def ended(self) -> int:
        """Wait for its end, sweep up what it left behind, and return the exit code (negative: a signal)."""
        code = await self._process.wait()
        self._sweep()
        return code

    async def stop(self, *, within_s: float, hurry: asyncio.Event) -> bool:
        """Ask it to end, and kill it when `within_s` has passed or `hurry` is set; return whether it went by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        went = not hurry.is_set() and await self._ends_within(within_s, hurry)
        self._sweep()
        if not went:
            # Even SIGKILL waits for a process that hangs in the kernel; nobody else should.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AFTER_KILL_S):
                    await self._process.wait()
        return went

    def _sweep(self) -> None:
        """Kill what is left of its group: Ollama's model runner outlives an Ollama that was killed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._guard.forget(self.pid)

    async def _ends_within(self, seconds: float, hurry: asyncio.Event) -> bool:
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(self._process.wait())
            hurried = tasks.create_task(hurry.wait())
            done, pending = await asyncio.wait({ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
        return ended in done
