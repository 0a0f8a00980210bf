"""A service as the process it is in production, against a test's own broker or alone."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from parley_cli.ports import free_port
from parley_contract.services import Service
from parley_testkit.nats_server import NatsServer
from parley_testkit.waiting import PATIENCE_S, until

_ANSWER_S: Final = 20.0


class ServiceProcess:
    """One running `python -m parley_<service>`."""

    def __init__(self, service: Service, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        """Wrap a started process; `running_service` is the way in."""
        self.service: Final = service
        self.process: Final = process
        self.url: Final = f"http://127.0.0.1:{port}"
        self._log = log

    async def get(self, path: str) -> Any:  # noqa: ANN401  # JSON of any shape
        """Return a page of its HTTP surface as JSON."""
        async with httpx.AsyncClient(trust_env=False, timeout=_ANSWER_S) as client:
            return (await client.get(f"{self.url}{path}")).json()

    async def text(self, path: str) -> str:
        """Return a page of its HTTP surface as it stands."""
        async with httpx.AsyncClient(trust_env=False, timeout=_ANSWER_S) as client:
            return (await client.get(f"{self.url}{path}")).text

    async def until_ready(self) -> None:
        """Wait until it says so.

        Raises:
            TimeoutError: it never did; the message is its log.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self.process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await self.get("/readyz"))["ready"]:
                    return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"{self.service} is not ready:\n{self.log()}")

    def log(self) -> str:
        """Return what it has logged so far."""
        return self._log.read_text()

    async def until_logged(self, words: str) -> None:
        """Wait until it has written this.

        Raises:
            TimeoutError: it never did.
        """
        await until(f"{self.service} logs {words!r}", lambda: words in self.log())

    async def until_draining(self) -> None:
        """Wait until it says that it has been told to end.

        Raises:
            TimeoutError, httpx.HTTPError: it did not, or has ended already.
        """

        async def is_draining() -> bool:
            return bool((await self.get("/readyz"))["reasons"].get("service") == "draining")

        await until(f"{self.service} drains", is_draining)

    async def ended(self) -> int:
        """Wait until it has ended and return its exit status.

        Raises:
            TimeoutError: it goes on.
        """
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end and return its exit status; -9 if it had to be killed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            return -9

    async def kill(self) -> None:
        """End it at once, as an eviction would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def running_service(
    service: Service, nats: NatsServer | None, folder: Path, environment: Mapping[str, str], *, wait: bool = True
) -> AsyncIterator[ServiceProcess]:
    """Run a service while the block lasts.

    Args:
        service: which.
        nats: its broker; asr alone does without.
        folder: where its log goes.
        environment: settings beside the common ones.
        wait: until it is ready.
    """
    port = free_port()
    log = folder / f"{service}-{port}.log"
    broker = (
        {"ASSISTANT": nats.assistant, "NATS_URL": nats.url, "NATS_SEED_FILE": str(nats.seeds[service])} if nats else {}
    )
    settings = {**broker, "PORT": str(port), **environment}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"parley_{service}", env={**os.environ, **settings}, stdout=output, stderr=output
        )
    running = ServiceProcess(service, process, port, log)
    try:
        if wait:
            await running.until_ready()
        yield running
    finally:
        if process.returncode is None:
            await running.stop()
