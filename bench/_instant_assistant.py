"""The assistant of the laptop sample with engines that answer at once. Used by the benchmarks of our own processes.

Processes, broker and voice detector are real; there is no model to wait for and none to pull.
"""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import msgspec

from parley_cli.launches import LOOPBACK, Launch, Machine, launches
from parley_cli.manifests import read_manifest
from parley_cli.narration import Happened, Story
from parley_cli.places import Place
from parley_cli.ports import free_port
from parley_cli.screen import Screen
from parley_cli.supervisor import supervised
from parley_contract.catalogue import find_model
from parley_contract.components import components
from parley_contract.services import SERVICES, Service
from parley_runtime.broker import write_broker_files
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.tools import find_tool

_PROGRAM: Final = Path(__file__).with_name("_instant_service.py")
_NOBODY: Final = f"http://{LOOPBACK}:9"
"""Where the language model would be; nothing listens on the discard port."""


class Assistant(NamedTuple):
    """A running assistant."""

    door: str
    """HTTP address of the gateway."""
    pids: dict[str, int]
    """Process ids of our services and of nats-server, by their names."""
    urls: Mapping[Service, str]
    """HTTP addresses of our services."""
    logs: Path
    """Folder with a file per component."""

    async def forgotten(self) -> None:
        """Wait until the gateway has no session left."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while (await client.get(f"{self.door}/status")).json()["sessions"]:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.1)

    async def counters(self, name: str) -> dict[str, float]:
        """Return a counter's or gauge's values in all services, as `<service>{labels}`."""
        found: dict[str, float] = {}
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            for service, url in self.urls.items():
                for line in (await client.get(f"{url}/metrics")).text.splitlines():
                    series, _, value = line.rpartition(" ")
                    if series == name or series.startswith(f"{name}{{"):
                        found[f"{service}{series.removeprefix(name)}"] = float(value)
        return found


@contextlib.asynccontextmanager
async def instant_assistant(
    max_sessions: int, screen: Screen, hurry: asyncio.Event, *, keep_events_s: int = 86_400
) -> AsyncIterator[Assistant]:
    """Run it while the block lasts; it is entered when every part is ready.

    Args:
        max_sessions: how many may talk at once.
        screen: told what happens.
        hurry: set to end at once instead of in order.
        keep_events_s: how long the broker keeps what was said.

    Raises:
        AlreadyRunningError: a benchmark runs already.
        StartError: a part does not come up; everything was ended again.
    """
    store = ModelStore.at()
    sample = read_manifest(None)
    assistant = msgspec.structs.replace(
        sample,
        metadata=msgspec.structs.replace(sample.metadata, name="instant"),
        spec=msgspec.structs.replace(
            sample.spec,
            max_sessions=max_sessions,
            telemetry=msgspec.structs.replace(sample.spec.telemetry, keep_events_s=keep_events_s),
        ),
    )
    place, parts = Place(assistant.key), components(assistant)
    for need in next(part for part in parts if part.name == "gateway").models:
        await asyncio.to_thread(pull, store, find_model(need.name, need.kind))
    with place.held():
        # What another run left in its streams would be work for this one.
        shutil.rmtree(place.nats, ignore_errors=True)
        ports = {part.name: free_port() for part in parts}
        broker = write_broker_files(place.nats, assistant.key, port=ports["nats"])
        machine = Machine(
            python=sys.executable,
            nats_server=str(find_tool("nats-server")),
            nats_config=str(broker.config),
            ollama="",
            ollama_url=_NOBODY,
            ollama_models="",
            ports=ports,
            seeds={service: str(path) for service, path in broker.seeds.items()},
            model_store=str(store.root),
        )
        chosen = [_with_instant_engine(launch) for launch in launches(parts, machine)]
        story = Story()

        def tell(event: Happened) -> None:
            if line := story.line(event):
                screen.say(line)

        screen.say(f"starting {', '.join(launch.name for launch in chosen)}; logs in {place.logs}")
        async with supervised(chosen, place, prepare={}, tell=tell, hurry=hurry) as supervisor:
            await supervisor.ready()
            story.is_complete = True
            urls = {name: launch.url for launch in chosen for name in SERVICES if name == launch.name}
            try:
                yield Assistant(
                    urls["gateway"], {str(name): pid for name, pid in supervisor.pids.items()}, urls, place.logs
                )
            finally:
                screen.say("stopping")


def _with_instant_engine(launch: Launch) -> Launch:
    if launch.name not in {"asr", "agent", "tts"}:
        return launch
    return msgspec.structs.replace(launch, command=(sys.executable, str(_PROGRAM), launch.name))
