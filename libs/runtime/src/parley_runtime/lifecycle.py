"""How a service lives: settings, logs, broker, then its own `main` until SIGTERM; then it drains and ends.

`python -m parley_<service>` calls `run_service`. The event loop is uvloop's and everything runs in it, uvicorn too.
Not here: what a service does, and when it is ready.
"""

import asyncio
import contextlib
import errno
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
from starlette.types import Receive, Scope, Send

from parley_contract.errors import InvalidDocumentError, ParleyError, PermanentError
from parley_contract.services import Service
from parley_runtime.broker import public_key
from parley_runtime.connections import HttpConnection, WebSocketConnection
from parley_runtime.http import Health, service_app
from parley_runtime.logs import configure_logs
from parley_runtime.nats_bus import NatsBus, are_credentials
from parley_runtime.settings import ServiceSettings, load_settings
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

DRAIN_TIMEOUT_S: Final = 10.0
"""How long `main` may go on after it was told to stop; below the 30 s that Kubernetes grants."""
_HTTP_DRAIN_S: Final = 2
"""How long answers under way may take once `main` has left its block."""
_SOON_S: Final = 0.5
"""A broker that is there is reached by then. Until then requests wait for the service itself, so that a client that
comes back is not turned away; a probe waits a second."""
_PORT_TAKEN: Final = 3
"""Exit code of a service whose port another process has: the same port will not do."""
_NO_BROKER: Final = "the broker cannot be reached"


class PortTakenError(PermanentError):
    """Another process listens where the service was told to."""


class Runtime(Generic[S]):
    """What a service's `main` is given."""

    def __init__(
        self, settings: S, telemetry: Telemetry, bus: NatsBus | None, stopping: asyncio.Event, surface: "_Surface"
    ) -> None:
        """Bundle what one process has one of."""
        self.settings = settings
        self.telemetry = telemetry
        self.stopping: Final = stopping
        """Set when the process was asked to end: take no new work, finish what runs, return."""
        self.health: Final = Health(service="starting")
        self._bus = bus
        self._surface = surface
        if bus is not None:
            self.health.needs("broker", lambda: bus.connected, _NO_BROKER)

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
        """Serve `app` while the block lasts; the block is given the port, which matters where the settings say 0."""
        self._surface.show(app)
        try:
            yield self._surface.port
        finally:
            await self._surface.end()


Main = Callable[[Runtime[S]], Awaitable[None]]


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what broke in a task or callback that nobody waits for; asyncio itself would print its words."""
    log.error("something broke unheard", exc_info=context.get("exception"))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the lifecycle owns SIGTERM."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Surface:
    """The process's HTTP server. It answers while the broker is away: a probe must not end who only waits.

    An ASGI application that is whatever is shown now: first the common pages, then the service's.
    """

    def __init__(self, first: FastAPI, listener: socket.socket) -> None:
        """Show `first` until there is something better."""
        self._app = first
        self._listener = listener
        self._is_better = asyncio.Event()
        self._has_ended = asyncio.Event()
        self.port: Final[int] = listener.getsockname()[1]
        self._server: Final = _Server(
            uvicorn.Config(
                self,
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def show(self, app: FastAPI) -> None:
        """Show the service's own pages from now on."""
        self._app = app
        self._is_better.set()

    async def serve(self) -> None:
        """Answer until the end."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SOON_S):
                    await self._is_better.wait()
            await self._server.serve(sockets=[self._listener])
        finally:
            self._has_ended.set()

    async def end(self) -> None:
        """Take no more requests, and wait a little for answers that are under way."""
        self._server.should_exit = True
        await self._has_ended.wait()


def run_service(service: Service, settings_type: type[S], main: Main[S]) -> None:
    """Run a service until SIGTERM or Ctrl-C, and exit.

    With 0 when it drained, 1 when it failed, 2 for bad settings, 3 where another process has its port.

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
        waiting = service_app(service, health=Health(broker=_NO_BROKER), telemetry=telemetry, status=dict)
        with _listener(settings.host, settings.port) as listener:
            surface = _Surface(waiting, listener)
            log.info("listening", host=settings.host, port=surface.port)
            code = 0 if await _until_stopped(connection, settings, main, stopping, telemetry, surface) else 1
    except* (ParleyError, OSError) as errors:
        for error in _leaves(errors):
            code = _PORT_TAKEN if isinstance(error, PortTakenError) else code
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
    surface: _Surface,
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
            watchers = [tasks.create_task(watch()), tasks.create_task(surface.serve())]
            async with connection as bus:
                runtime = Runtime(settings, telemetry, bus, stopping, surface)
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
        said = f"cannot listen on {host}:{port}, {reason}"
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"{said}: does something else run there?") from error
        raise PermanentError(said) from error


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
    if not are_credentials(seed):
        public_key(seed)
    return seed


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
