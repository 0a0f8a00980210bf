"""A real nats-server for a test: a free loopback port, the production keys and permissions, its own folder."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from parley_cli.ports import free_port
from parley_contract.services import Service
from parley_contract.streams import Layout, layout
from parley_runtime.broker import write_broker_files
from parley_runtime.nats_bus import NatsBus
from parley_runtime.telemetry import Telemetry
from parley_runtime.tools import find_tool
from parley_testkit.waiting import PATIENCE_S

ASSISTANT: Final = "test_libra"


async def start_nats(config: Path, port: int, log: Path) -> asyncio.subprocess.Process:
    """Start a nats-server and wait until it listens on its loopback port.

    Raises:
        TimeoutError: it does not; the message says where its log is.
    """
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(find_tool("nats-server"), "-c", config, stdout=file, stderr=file)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return process
        await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    raise TimeoutError(f"nats-server did not listen within {PATIENCE_S:.0f} s; its log is {log}")


class NatsServer:
    """One nats-server process. `start` and `kill` may alternate; its files stay in between."""

    def __init__(self, folder: Path, assistant: str = ASSISTANT) -> None:
        """Write configuration and keys below `folder`."""
        self.assistant: Final = assistant
        self.layout: Final[Layout] = layout(assistant)
        self._folder = folder
        self._port = free_port()
        self._files = write_broker_files(folder, assistant, port=self._port)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self._folder / "nats-server.log").read_text()

    @property
    def seeds(self) -> Mapping[Service, Path]:
        """The seed file of each service."""
        return self._files.seeds

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = await start_nats(self._files.config, self._port, self._folder / "nats-server.log")

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def rotate(self, service: Service) -> None:
        """Give a service a new key and take the old one from whoever has it, as deleting its seed does."""
        self.seeds[service].unlink()
        self._files = write_broker_files(self._folder, self.assistant, port=self._port)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    @contextlib.asynccontextmanager
    async def bus(self, service: Service, telemetry: Telemetry | None = None) -> AsyncIterator[NatsBus]:
        """Connect as one of the services, with its key and its permissions."""
        telemetry = telemetry or Telemetry(service, self.assistant)
        seed = self.seeds[service].read_text()
        async with NatsBus.connect(service, self.assistant, telemetry, url=self.url, seed=seed) as bus:
            yield bus


@contextlib.asynccontextmanager
async def running_nats(folder: Path, assistant: str = ASSISTANT, *, streams: bool = True) -> AsyncIterator[NatsServer]:
    """Run a nats-server while the block lasts, with the assistant's streams made unless told otherwise."""
    server = NatsServer(folder, assistant)
    await server.start()
    try:
        if streams:
            async with server.bus("agent") as bus:
                await bus.ensure(server.layout)
        yield server
    finally:
        await server.kill()
