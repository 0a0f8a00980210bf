"""How a service lives: settings, logs, broker, then its own `main` until SIGTERM; then it drains and ends.

`python -m parley_<service>` calls `run_service`. The event loop is uvloop's and everything runs in it, uvicorn too.
Not here: what a service does, and when it is ready.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from parley_contract.errors import InvalidDocumentError, ParleyError, PermanentError
from parley_contract.services import Service
from parley_runtime.broker import public_key
from parley_runtime.connections import HttpConnection, WebSocketConnection
from parley_runtime.http import Health
from parley_runtime.logs import configure_logs
from parley_runtime.nats_bus import NatsBus
from parley_runtime.settings import ServiceSettings, load_settings
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

DRAIN_TIMEOUT_S: Final = 10.0
"""How long `main` may go on after it was told to stop; below the 30 s that Kubernetes grants."""
_HTTP_DRAIN_S: Final = 2
"""How long answers under way may take once `main` has left its block."""


class Runtime(Generic[S]):
    """What a service's `main` is given."""

    def __init__(self, settings: S, telemetry: Telemetry, bus: NatsBus | None, stopping: asyncio.Event) -> None:
        """Bundle what one process has one of."""
        self.settings = settings
        self.telemetry = telemetry
        self.stopping: Final = stopping
        """Set when the process was asked to end: take no new work, finish what runs, return."""
        self.health: Final = Health(service="starting")
        self._bus = bus
        if bus is not None:
            self.health.needs("broker", lambda: bus.connected, "the broker cannot be reached")

    @property
    def is_alone(self) -> bool:
        """Whether it serves HTTP and has no broker: its settings allow that, and name none."""
        return self._bus is None

    @property
    def bus(self) -> NatsBus:
        """The process's connection to its assistant's broker.

        Raises:
            RuntimeError: it is alone.
        """
        if self._bus is None:
            raise RuntimeError("a service that is alone has no bus")
        return self._bus

    @contextlib.asynccontextmanager
    async def http(self, app: FastAPI) -> AsyncIterator[int]:
        """Serve `app` while the block lasts; the block is given the port, which matters where the settings say 0.

        Raises:
            PermanentError: the address cannot be listened on.
        """
        host = self.settings.host
        with _listener(host, self.settings.port) as listener:
            server = _Server(
                uvicorn.Config(
                    app,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    timeout_graceful_shutdown=_HTTP_DRAIN_S,
                    http=HttpConnection,
                    ws=WebSocketConnection,
                    ws_max_size=1024 * 1024,
                    # Sound does not compress, and trying costs more than all else about a frame.
                    ws_per_message_deflate=False,
                )
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(server.serve(sockets=[listener]))
                port: int = listener.getsockname()[1]
                log.info("listening", host=host, port=port)
                try:
                    yield port
                finally:
                    server.should_exit = True


Main = Callable[[Runtime[S]], Awaitable[None]]


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what broke in a task or callback that nobody waits for; asyncio itself would print its words."""
    log.error("something broke unheard", exc_info=context.get("exception"))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the lifecycle owns SIGTERM."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_service(service: Service, settings_type: type[S], main: Main[S]) -> None:
    """Run a service until SIGTERM or Ctrl-C, and exit: 0 when it drained, 1 when it failed, 2 for bad settings.

    Args:
        service: its name on the bus.
        settings_type: read from the environment.
        main: does the service's work; serves HTTP, marks itself ready, returns soon after `stopping` is set.
    """
    try:
        settings = load_settings(settings_type, os.environ)
    except InvalidDocumentError as error:
        sys.stderr.write(f"parley-{service} cannot start, {error}\n")
        sys.exit(2)
    configure_logs(service, settings.log_level)
    sys.exit(uvloop.run(_live(service, settings, main)))


async def _live(service: Service, settings: S, main: Main[S]) -> int:
    """Return the process's exit code."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.set_exception_handler(_report)
    telemetry = Telemetry(
        service,
        settings.assistant,
        otlp_endpoint=settings.otel_exporter_otlp_endpoint,
        sample_ratio=settings.trace_sample_ratio,
    )
    code = 1
    try:
        connection = _connection(service, settings, telemetry)
        code = 0 if await _until_stopped(connection, settings, main, stopping, telemetry) else 1
    except* (ParleyError, OSError) as errors:
        for error in _leaves(errors):
            # Ours are sentences that say what to do; a traceback would bury them.
            log.error("cannot go on", error=type(error).__name__, detail=str(error))
    except* Exception as errors:
        # The interpreter would print its words too, and they may be what somebody said.
        log.critical("a defect ended the service", exc_info=errors)
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    return code


async def _until_stopped(
    connection: contextlib.AbstractAsyncContextManager[NatsBus | None],
    settings: S,
    main: Main[S],
    stopping: asyncio.Event,
    telemetry: Telemetry,
) -> bool:
    """Connect and run main; return whether it ended by itself.

    Once stopping is set main has `DRAIN_TIMEOUT_S` left, and a process that still waits for its broker ends at once.
    """
    loop = asyncio.get_running_loop()
    runtime: Runtime[S] | None = None

    async def watch() -> None:
        await stopping.wait()
        if runtime is None:
            deadline.reschedule(loop.time())
        else:
            runtime.health.draining = True
            log.info("draining")
            deadline.reschedule(loop.time() + DRAIN_TIMEOUT_S)

    try:
        async with asyncio.timeout(None) as deadline, asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(watch())]
            async with connection as bus:
                runtime = Runtime(settings, telemetry, bus, stopping)
                if bus is not None:
                    watchers.append(tasks.create_task(bus.lost()))
                await main(runtime)
            for watcher in watchers:
                watcher.cancel()
    except TimeoutError:
        # What main raises comes in a group, so this is the deadline.
        if runtime is not None:
            log.warning("did not drain in time", drain_timeout_s=DRAIN_TIMEOUT_S)
            return False
    log.info("drained" if stopping.is_set() else "ended")
    return True


def _listener(host: str, port: int) -> socket.socket:
    """Bind here, because uvicorn ends the process when it cannot; connections wait in the backlog until it serves."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        # Python adds the address in its own spelling, in brackets.
        reason = str(error.strerror).partition(" (")[0]
        raise PermanentError(f"cannot listen on {host}:{port}, {reason}: does something else run there?") from error


def _connection(
    service: Service, settings: ServiceSettings, telemetry: Telemetry
) -> contextlib.AbstractAsyncContextManager[NatsBus | None]:
    if not settings.nats_url:
        return contextlib.nullcontext()
    seed = _seed(settings.nats_seed_file)
    return NatsBus.connect(service, settings.assistant, telemetry, url=settings.nats_url, seed=seed)


def _seed(path: Path) -> str:
    """Read the service's nkey seed, and check it: nats-py would say no more than that something is wrong."""
    try:
        seed = path.read_text().strip()
    except OSError as error:
        raise PermanentError(f"NATS_SEED_FILE {path} cannot be read: {error.strerror}") from error
    public_key(seed)
    return seed


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
