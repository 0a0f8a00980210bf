"""How a service lives: settings, logs, broker, HTTP, then its own `main` until SIGTERM; then it drains and ends.

`python -m parley_<service>` calls `run_service`. The event loop is uvloop's and everything runs in it, uvicorn too.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, Generic, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from parley_contract.errors import InvalidDocumentError, ParleyError
from parley_contract.services import Service
from parley_runtime.http import Health
from parley_runtime.logs import configure_logs
from parley_runtime.nats_bus import NatsBus
from parley_runtime.settings import ServiceSettings, load_settings
from parley_runtime.telemetry import Telemetry

log: Final = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

DRAIN_TIMEOUT_S: Final = 10.0
"""How long `main` may go on after it was told to stop; below the 30 s that Kubernetes grants."""


class Runtime(Generic[S]):
    """What a service's `main` is given."""

    def __init__(self, settings: S, telemetry: Telemetry, bus: NatsBus, stopping: asyncio.Event) -> None:
        """Bundle what one process has one of."""
        self.settings = settings
        self.telemetry = telemetry
        self.bus = bus
        self.stopping: Final = stopping
        """Set when the process was asked to end: take no new work, finish what runs, return."""
        self.health: Final = Health(service="starting")

    @contextlib.asynccontextmanager
    async def http(self, app: FastAPI) -> AsyncIterator[None]:
        """Serve `app` while the block lasts.

        Raises:
            ParleyError: the port is taken.
        """
        server = _Server(
            uvicorn.Config(
                app,
                host=self.settings.host,
                port=self.settings.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
                ws="websockets-sansio",
                ws_max_size=1024 * 1024,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve_until_told())
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            try:
                yield
            finally:
                server.should_exit = True


Main = Callable[[Runtime[S]], Awaitable[None]]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the lifecycle owns SIGTERM."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve_until_told(self) -> None:
        try:
            await self.serve()
        except SystemExit as error:
            # uvicorn exits the process when it cannot bind, having logged why.
            at = f"{self.config.host}:{self.config.port}"
            raise ParleyError(f"cannot listen on {at}: is something else using the port?") from error


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
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    telemetry = Telemetry(
        service,
        settings.assistant,
        otlp_endpoint=settings.otel_exporter_otlp_endpoint,
        sample_ratio=settings.trace_sample_ratio,
    )
    try:
        seed = settings.nats_seed_file.read_text().strip()
        async with NatsBus.connect(
            service, settings.assistant, telemetry, url=settings.nats_url, seed=seed
        ) as bus:
            runtime = Runtime(settings, telemetry, bus, stopping)
            await _until_stopped(runtime, main)
        exit_code = 0
        log.info("drained")
    except* (ParleyError, OSError) as errors:
        exit_code = 1
        for error in _leaves(errors):
            log.error("cannot go on", error=type(error).__name__, detail=str(error))
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    return exit_code


async def _until_stopped(runtime: Runtime[S], main: Main[S]) -> None:
    """Run main to its end; once stopping is set it has `DRAIN_TIMEOUT_S` left."""

    async def watch() -> None:
        await runtime.stopping.wait()
        runtime.health.draining = True
        log.info("draining")
        deadline.reschedule(asyncio.get_running_loop().time() + DRAIN_TIMEOUT_S)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as deadline, asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch())
            await main(runtime)
            watcher.cancel()


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
