"""Keeps an assistant's processes running: starts them, watches them, starts the dead again, ends them in order.

`up` and `demo` open it with `supervised`. It decides nothing itself: what runs is in `launches`, what follows a death
in `restarts`, what is said in `narration`. It owns a task per process; all end with the block.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

import httpx

from parley_cli.children import Child, Guard, guard
from parley_cli.launches import Launch
from parley_cli.narration import BecameReady, BecameUnready, Died, Happened, Started, Stopped
from parley_cli.places import Place
from parley_cli.probes import lacks
from parley_cli.restarts import GiveUp, Record, after_death, cause
from parley_contract.components import ComponentName
from parley_contract.errors import PermanentError

STARTING_POLL_S: Final = 0.05
"""Start-up is what a person waits for."""
RUNNING_POLL_S: Final = 2.0
_LAST_LINES: Final = 8

Tell = Callable[[Happened], None]
Prepare = Callable[[], Awaitable[None]]
"""Done once a process answers, before it counts as ready."""


class StartError(PermanentError):
    """A process of the assistant cannot be started; starting it again would not help."""


class Supervisor:
    """The processes of one assistant while they run."""

    def __init__(
        self,
        launches: Sequence[Launch],
        place: Place,
        *,
        prepare: Mapping[ComponentName, Prepare],
        tell: Tell,
        hurry: asyncio.Event,
    ) -> None:
        """Nothing runs yet; `supervised` is the way in."""
        self._launches = launches
        self._place = place
        self._prepare = dict(prepare)
        self._tell = tell
        self._hurry = hurry
        self._is_ready = {launch.name: asyncio.Event() for launch in launches}
        self._children: dict[ComponentName, Child] = {}
        self._keepers: dict[ComponentName, asyncio.Task[None]] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def pids(self) -> dict[ComponentName, int]:
        """Process ids of those that run now."""
        return {name: child.pid for name, child in self._children.items()}

    async def ready(self) -> None:
        """Wait until every process has said that it is ready."""
        for event in self._is_ready.values():
            await event.wait()

    def start(self, tasks: asyncio.TaskGroup, guardian: Guard, client: httpx.AsyncClient) -> None:
        """Begin to keep every process, each in a task of its own."""
        for launch in self._launches:
            self._keepers[launch.name] = tasks.create_task(self._keep(launch, guardian, client))

    async def stop(self) -> None:
        """End everything, the latest first; what has not begun never does."""
        self._stopping.set()
        # From here on no answer means anything: preparing an Ollama that was told to end would fail.
        for watcher in self._watchers:
            watcher.cancel()
        idle = [task for name, task in self._keepers.items() if name not in self._children]
        for task in idle:
            task.cancel()
        if idle:
            await asyncio.wait(idle)
        for launch in reversed(self._launches):
            child = self._children.pop(launch.name, None)
            if child is None:
                continue
            asked_at = time.monotonic()
            went = await child.stop(within_s=launch.stop_s, hurry=self._hurry)
            self._tell(Stopped(name=launch.name, after_s=time.monotonic() - asked_at, was_killed=not went))

    async def _keep(self, launch: Launch, guardian: Guard, client: httpx.AsyncClient) -> None:
        for name in launch.after:
            if name in self._is_ready:
                await self._is_ready[name].wait()
        log = self._place.fresh_log(launch.name)
        record = Record()
        while not self._stopping.is_set():
            started_at = time.monotonic()
            child = self._children[launch.name] = await Child.start(launch, log, guardian)
            self._tell(Started(name=launch.name, pid=child.pid))
            code, was_ready = await self._follow(launch, child, client)
            if self._stopping.is_set():
                return
            del self._children[launch.name]
            self._is_ready[launch.name].clear()
            record = Record(deaths=record.deaths, was_ready=record.was_ready or was_ready)
            record, next_step = after_death(record, lived_s=time.monotonic() - started_at, exit_code=code)
            if isinstance(next_step, GiveUp):
                raise StartError(_failure(launch.name, next_step.why, code, self._place))
            self._tell(Died(name=launch.name, exit_code=code, again_in_s=next_step.delay_s, log=str(log)))
            await asyncio.sleep(next_step.delay_s)

    async def _follow(self, launch: Launch, child: Child, client: httpx.AsyncClient) -> tuple[int, bool]:
        """Watch one life of a process; return its exit code and whether it was ever ready."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(launch, child, client))
            self._watchers.add(watching)
            watching.add_done_callback(self._watchers.discard)
            code = await child.ended()
            watching.cancel()
        return code, self._is_ready[launch.name].is_set()

    async def _watch(self, launch: Launch, child: Child, client: httpx.AsyncClient) -> None:
        """Ask again and again whether it is ready, and tell when the answer changes."""
        ready = self._is_ready[launch.name]
        said: Mapping[str, str] = {}
        started_at = time.monotonic()
        while True:
            missing = await lacks(launch, child.pid, client)
            if missing is not None and not missing and not ready.is_set():
                if prepare := self._prepare.get(launch.name):
                    await prepare()
                    del self._prepare[launch.name]
                ready.set()
                said = {}
                self._tell(BecameReady(name=launch.name, after_s=time.monotonic() - started_at))
            elif missing and missing != said:
                said = missing
                self._tell(BecameUnready(name=launch.name, reasons=missing))
            await asyncio.sleep(RUNNING_POLL_S if ready.is_set() else STARTING_POLL_S)


@contextlib.asynccontextmanager
async def supervised(
    launches: Sequence[Launch],
    place: Place,
    *,
    prepare: Mapping[ComponentName, Prepare],
    tell: Tell,
    hurry: asyncio.Event,
) -> AsyncIterator[Supervisor]:
    """Run the processes while the block lasts.

    Args:
        launches: in the order of `launches.launches`; stopped backwards.
        place: for the logs.
        prepare: what has to be done once a process answers, before it counts as ready and others may need it.
        tell: called with whatever happens.
        hurry: set to have everything that still runs killed instead of asked.

    Raises:
        StartError: a process cannot be started, in a group of its own.
    """
    supervisor = Supervisor(launches, place, prepare=prepare, tell=tell, hurry=hurry)
    # Proxies of the environment are for the world outside, not for loopback.
    async with (
        guard() as guardian,
        httpx.AsyncClient(trust_env=False, timeout=2.0) as client,
        asyncio.TaskGroup() as tasks,
    ):
        supervisor.start(tasks, guardian, client)
        try:
            yield supervisor
        finally:
            await supervisor.stop()


def _failure(name: str, why: str, exit_code: int, place: Place) -> str:
    """Say why a process cannot be started, with what it said last."""
    log = place.log(name)
    lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    said = "".join(f"\n    {line}" for line in lines)
    return f"{name} cannot be started: {why} ({cause(exit_code)}). The end of {log}:{said}"
