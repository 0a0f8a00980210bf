"""The four services of the laptop sample as the processes they are in production, on one broker, for whole turns.

Which model server they ask, and where they send their traces, is the test's business. Not `parley up`: nothing here
comes back when it dies.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

from parley_contract.catalogue import find_model
from parley_contract.components import components
from parley_contract.resource import load_manifest
from parley_contract.services import Service
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_testkit.nats_server import NatsServer, running_nats
from parley_testkit.service_process import ServiceProcess, running_service


class AssistantProcesses(NamedTuple):
    """All processes of one assistant, and their broker."""

    nats: NatsServer
    services: Mapping[Service, ServiceProcess]

    @property
    def door(self) -> str:
        """Where the gateway listens."""
        return self.services["gateway"].url


@contextlib.asynccontextmanager
async def running_assistant(
    folder: Path, manifest: str, environment: Mapping[str, str]
) -> AsyncIterator[AssistantProcesses]:
    """Run an assistant while the block lasts; it begins when all of it is ready.

    Args:
        folder: where logs and keys go.
        manifest: its VoiceAssistant, as YAML.
        environment: settings of every service, over those that follow from the manifest.
    """
    parts = components(load_manifest(manifest))
    for need in (need for part in parts for need in part.models if need.kind != "llm"):
        await asyncio.to_thread(pull, ModelStore.at(), find_model(need.name, need.kind))
    async with running_nats(folder, streams=False) as nats, contextlib.AsyncExitStack() as stack:
        services: dict[Service, ServiceProcess] = {}
        for part in parts:
            if part.service:
                settings = {**part.environment, **environment}
                del settings["ASSISTANT"]
                running = running_service(part.service, nats, folder, settings, wait=False)
                services[part.service] = await stack.enter_async_context(running)
        for service in services.values():
            await service.until_ready()
        yield AssistantProcesses(nats, services)
