"""A real Ollama for tests: a free loopback port, the catalogue's small model, its models kept in the user's cache."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parley_cli.language_models import LanguageModels, ollama_version
from parley_cli.ports import free_port
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.tools import cache_dir, find_tool
from parley_testkit.waiting import PATIENCE_S

MODEL: Final = "smollm2:135m"


class OllamaServer:
    """One Ollama process. `start` and `kill` may alternate; its port stays."""

    def __init__(self, log: Path) -> None:
        """Choose a port; `start` does the rest."""
        self._port: Final = free_port()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, wait until it answers, and make the model if this machine never did.

        Raises:
            TimeoutError: it did not answer; the message is its log.
        """
        environment = {
            **os.environ,
            "OLLAMA_HOST": f"127.0.0.1:{self._port}",
            "OLLAMA_MODELS": str(cache_dir() / "ollama"),
            "OLLAMA_NOPRUNE": "1",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([find_tool("ollama"), "serve"], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while asyncio.run(ollama_version(self.url)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(self._log.read_text())
            time.sleep(0.05)
        asyncio.run(self._ensure_model())

    async def _ensure_model(self) -> None:
        models = LanguageModels(self.url)
        if not await models.has(MODEL):
            model = find_model(MODEL)
            folder = await asyncio.to_thread(pull, ModelStore.at(), model)
            await models.make(model, folder, lambda *_: None)

    def kill(self) -> None:
        """End it at once, as a crash would; its runners go with it when they see their pipe close."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in peace, so that its runners end too."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self.kill()


@contextlib.contextmanager
def running_ollama(log: Path) -> Iterator[OllamaServer]:
    """Run an Ollama while the block lasts."""
    server = OllamaServer(log)
    try:
        server.start()
        yield server
    finally:
        server.stop()
