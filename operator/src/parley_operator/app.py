"""The operator as a process: what it is made of, in which order it starts, and how it ends."""

import asyncio
import datetime as dt
import os
import socket
import time
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.agents import Agents
from parley_operator.cluster import Cluster, connected
from parley_operator.handlers import watch
from parley_operator.kinds import ASSISTANT, WATCHED
from parley_operator.logs import configure_logs
from parley_operator.metrics import Metrics
from parley_operator.pod_access import pod_access
from parley_operator.posts import Posts
from parley_operator.queues import Workers
from parley_operator.reconciling import Reconciler, Surroundings
from parley_operator.secret_values import Secrets
from parley_operator.serving import served
from parley_operator.settings import Settings
from parley_operator.sweeping import sweep_for_ever
from parley_operator.world import Key, World

_DEFINITION_S: Final = 2.0
"""So often is looked for the definition of VoiceAssistants, before which there is nothing to watch."""
_LOG: Final = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Look after assistants until SIGTERM or SIGINT.

    Raises:
        InvalidDocumentError: settings that hold documents of their own cannot be read.
    """
    configure_logs(settings.log_level)
    metrics, world, watching, listed = Metrics(), World(), asyncio.Event(), asyncio.Event()
    clock = time.monotonic
    pod = pod_access(Path(settings.service_account), os.environ)
    async with connected(pod) as cluster, aiohttp.ClientSession(trust_env=False) as http:
        secrets = Secrets(cluster, clock)
        agents = Agents(http, lambda key: looks.add(key), clock, address=settings.agent_status_url)  # noqa: PLW0108
        around = Surroundings(
            world=world,
            cluster=cluster,
            secrets=secrets,
            agents=agents,
            posts=Posts(cluster, socket.gethostname()),
            tell=lambda key: looks.add(key),  # noqa: PLW0108  # they come to be below
            metrics=metrics,
            installation=settings.installation(),
            clock=clock,
            now=lambda: dt.datetime.now(dt.UTC),
        )
        looks: Workers[Key] = Workers(Reconciler(around).reconcile, at_once=settings.at_once, clock=clock)
        metrics.ask_queue(lambda: len(looks.queue), lambda: looks.queue.oldest_s(clock()))
        ports = (settings.health_port, settings.metrics_port)
        async with served(settings.host, ports, metrics, lambda: looks.queue.oldest_s(clock()), watching.is_set):
            await _until_defined(cluster, settings.namespaces)
            await _look_around(world, cluster, settings.namespaces)
            for key in world.keys():  # noqa: SIM118  # no mapping
                looks.add(key)
            async with asyncio.TaskGroup() as tasks:
                background = (
                    tasks.create_task(looks.run()),
                    tasks.create_task(agents.workers.run()),
                    tasks.create_task(sweep_for_ever(world, cluster, settings.namespaces, looks.add, listed)),
                )
                _LOG.info("watching", namespaces=settings.namespaces or "all")
                await watch(world, looks.add, settings.namespaces, watching, listed, pod)
                for task in background:
                    task.cancel()
    _LOG.info("ended")


async def _until_defined(cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    """Wait until there are VoiceAssistants to watch: kopf looks for kinds once, when it starts."""
    said = ""
    while True:
        try:
            async for _ in cluster.objects(ASSISTANT, namespaces[0] if namespaces else "", names_only=True):
                break
        except (RetryableError, PermanentError) as error:
            if said != str(error):
                said = str(error)
                _LOG.warning("waiting for the definition of VoiceAssistants and the right to list them", reason=said)
        else:
            return
        await asyncio.sleep(_DEFINITION_S)


async def _look_around(world: World, cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    """See everything once, before anything is done: what was not seen yet would be taken for missing."""
    while True:
        try:
            for kind in WATCHED:
                for namespace in namespaces or ("",):
                    async for each in cluster.objects(kind, namespace):
                        world.put(each)
        except (RetryableError, PermanentError) as error:
            _LOG.warning("could not list what is there", reason=str(error))
            await asyncio.sleep(_DEFINITION_S)
        else:
            return
