"""A whole assistant as `parley up` runs it, in a process of its own: every part real, and started again when it dies.

For tests of the command line, of deaths, and for the benchmark of deaths. Each has a home of its own for state and
logs; models and tools are the user's.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from parley_agent.sessions import Records
from parley_cli import locks
from parley_cli.places import Part, Running
from parley_cli.ports import free_port, lock_of
from parley_contract.components import ComponentName
from parley_contract.services import PORTS, SERVICES
from parley_contract.streams import layout
from parley_runtime.nats_bus import NatsBus
from parley_runtime.telemetry import Telemetry
from parley_testkit.ollama_server import MODEL
from parley_testkit.waiting import PATIENCE_S

HEEDFUL: Final = ("env", "--default-signal=INT,HUP")
"""Before a command: it heeds Ctrl-C and a closed terminal. Whoever runs the tests may have been told to ignore them, by
nohup or as a script's job in the background, and what a process ignores its children ignore."""
PARLEY: Final = (*HEEDFUL, sys.executable, "-m", "parley_cli")
_READY_S: Final = 2 * PATIENCE_S
_END_S: Final = PATIENCE_S
_POLL_S: Final = 0.05
_SIGNS_OF_WORK: Final = {"asr": "utterances", "tts": "busy", "agent": "owned_sessions"}
"""What on a service's status page says that it has something to do."""


_TERSE: Final = """
apiVersion: parley.dev/v1alpha1
kind: VoiceAssistant
metadata: {name: libra}
spec:
  profile: laptop
  language: en
  persona: {name: Libra, systemPrompt: You are a helpful assistant. Answer in one short sentence.}
  llm: {model: "%s", numPredict: 24}
  turnTaking: {watchdog: {holdAfterS: 4, failAfterS: %d}}
"""


class LocalAssistant:
    """A `parley up` in a process group of its own, as a shell would start it; `local_assistant` is the way in."""

    def __init__(self, home: Path, *options: str, within: Sequence[str] = ()) -> None:
        """Start it, through the command `within` if there is one; it is ready when it has said so."""
        self.home: Final = home
        self.said: Final = home / "up.log"
        with self.said.open("wb") as said:
            self.process: Final = subprocess.Popen(
                [*within, *PARLEY, "up", "--any-port", *options],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(home),
            )
        self._replicas: list[Part] = []

    @property
    def state(self) -> Running:
        """Where everything is; pids change with every death."""
        [path] = self.home.glob("parley/*/state.json")
        return msgspec.json.decode(path.read_bytes(), type=Running)

    @property
    def pids(self) -> Mapping[ComponentName, int]:
        """Of the parts that run now."""
        return {part.name: part.pid for part in self.state.parts if part.pid}

    async def at_work(self, name: ComponentName) -> int:
        """Return the process id of the replica that has something to do; of `up`'s own if none has.

        Raises:
            TimeoutError: it is down, and is not started again.
        """
        for part in (replica for replica in self._replicas if replica.name == name):
            if (await _page(part.url, "/status")).get(_SIGNS_OF_WORK[name]) and part.pid:
                return part.pid
        async with asyncio.timeout(_READY_S):
            while (pid := self.pids.get(name)) is None:  # noqa: ASYNC110  # as in `until_ready`
                await asyncio.sleep(_POLL_S)
        return pid

    @contextlib.asynccontextmanager
    async def replica(self, name: ComponentName) -> AsyncIterator[None]:
        """Run a second process of a service, with all that the first was given but its port, while the block lasts."""
        first = Path(f"/proc/{self.pids[name]}")
        environment = dict(pair.split("=", 1) for pair in (first / "environ").read_text().split("\0") if "=" in pair)
        port = free_port()
        with (self.home / f"{name}-replica.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(first / "cmdline").read_text().rstrip("\0").split("\0"),
                env={**environment, "PORT": str(port)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        part = Part(name=name, url=f"http://127.0.0.1:{port}", pid=process.pid)
        self._replicas.append(part)
        try:
            await _until_ready(part)
            yield
        finally:
            self._replicas.remove(part)
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def until_ready(self) -> None:
        """Wait until all that it is made of runs, and every service says that it is ready.

        Raises:
            TimeoutError: one does not.
        """
        async with asyncio.timeout(_READY_S):
            while any(part.pid is None for part in self.state.parts):  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(_POLL_S)
        for part in self.state.parts:
            if part.name in SERVICES:
                await _until_ready(part)

    async def until_unready(self, name: ComponentName) -> Mapping[str, str]:
        """Wait until a service says that it is not ready, and return why.

        Raises:
            TimeoutError: it went on to be.
        """
        async with asyncio.timeout(_READY_S):
            while not (reasons := (await _page(self.state.url(name), "/readyz")).get("reasons")):  # noqa: ASYNC110  # as above
                await asyncio.sleep(_POLL_S)
        why: Mapping[str, str] = reasons
        return why

    async def status(self, name: ComponentName) -> dict[str, Any]:
        """Return a service's status page."""
        return await _page(self.state.url(name), "/status")

    async def remembered(self, session: str) -> list[str]:
        """Return the questions of a session that the broker keeps for whichever agent leads it, oldest first."""
        state = self.state
        seed = (Path(state.logs).parent / "nats/seeds/agent.nk").read_text()
        telemetry = Telemetry("agent", state.assistant)
        async with NatsBus.connect("agent", state.assistant, telemetry, url=state.url("nats"), seed=seed) as bus:
            records = Records(await bus.store(layout(state.assistant).sessions), bus)
            found = await records.load(session)
        return [exchange.user for exchange in found[0].history.exchanges] if found else []

    def log(self, part: str) -> str:
        """Return what a part has logged so far."""
        return (Path(self.state.logs) / f"{part}.log").read_text(errors="replace")

    def until_said(self, words: str, *, times: int = 1) -> None:
        """Wait until `up` has printed something so often.

        Raises:
            AssertionError: it did not, or has ended; the message is what it printed.
        """
        deadline = time.monotonic() + _READY_S
        while (printed := self.said.read_text()).count(words) < times:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"never said {words!r}:\n{printed}")
            time.sleep(_POLL_S)

    def interrupt(self) -> int:
        """End it with Ctrl-C and return its exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(_END_S)


def environment(home: Path) -> dict[str, str]:
    """Return what makes `parley` keep its state in this home."""
    return {**os.environ, "XDG_STATE_HOME": str(home)}


def terse_manifest(folder: Path, *, model: str = MODEL, fail_after_s: int = 12) -> Path:
    """Write the laptop sample anew, for many questions in little time: after a few, its model rambles."""
    manifest = folder / "terse.yaml"
    manifest.write_text(_TERSE % (model, fail_after_s))
    return manifest


@contextlib.contextmanager
def local_assistant(home: Path, *options: str, within: Sequence[str] = ()) -> Iterator[LocalAssistant]:
    """Run an assistant while the block lasts, with an Ollama of its own even where the user's would do."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(locks.HeldError):
            stack.enter_context(locks.held(lock_of(PORTS["ollama"])))
        assistant = LocalAssistant(home, *options, within=within)
        try:
            yield assistant
        finally:
            if assistant.process.poll() is None:
                assistant.interrupt()


def are_gone(pids: list[int], *, within_s: float = 0) -> bool:
    """Whether no such process runs, now or soon; one that only waits to be noticed by its parent does not."""
    deadline = time.monotonic() + within_s
    while True:
        states = []
        for pid in pids:
            with contextlib.suppress(FileNotFoundError):
                states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        if not set(states) - {"Z"}:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


async def _page(url: str, path: str) -> dict[str, Any]:
    """Return a page; nothing of a process that is down, stopped or too busy to say it."""
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client:
        with contextlib.suppress(httpx.HTTPError):
            page: dict[str, Any] = (await client.get(f"{url}{path}")).json()
            return page
    return {}


async def _until_ready(part: Part) -> None:
    deadline = time.monotonic() + _READY_S
    while not (readiness := await _page(part.url, "/readyz")).get("ready"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{part.name} is not ready: {readiness}")
        await asyncio.sleep(_POLL_S)
