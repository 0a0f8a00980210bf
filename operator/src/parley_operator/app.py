"""The operator as a process: what it is made of, in which order it starts, and how it ends."""

import asyncio
import datetime as dt
import os
import signal
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
from parley_operator.kinds import WATCHED
from parley_operator.logs import configure_logs
from parley_operator.metrics import Metrics
from parley_operator.pod_access import pod_access
from parley_operator.posts import Posts
from parley_operator.queues import Workers
from parley_operator.reach import until_changed, until_reached
from parley_operator.reconciling import Reconciler
from parley_operator.secret_values import Secrets
from parley_operator.serving import served
from parley_operator.settings import Settings
from parley_operator.surroundings import Surroundings
from parley_operator.sweeping import sweep_for_ever
from parley_operator.world import Key, World

_AGAIN_S: Final = 2.0
"""After so long is listed again what could not be listed."""
_LOG: Final = structlog.get_logger()


async def run(settings: Settings) -> bool:
    """Look after assistants until SIGTERM or SIGINT; return whether to begin anew, for other namespaces are in reach.

    Raises:
        CancelledError: told to end before there was anything to watch.
        InvalidDocumentError: settings that hold documents of their own cannot be read.
    """
    configure_logs(settings.log_level)
    _end_by_signals()
    metrics, world, lacking = Metrics(), World(), dict[str, str]()
    watching, listed, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
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
        signs = (metrics, lambda: looks.queue.oldest_s(clock()), watching.is_set, lacking)
        async with served(settings.host, ports, *signs):
            reached = await _look_around(world, cluster, settings.namespaces, lacking)
            for key in world.keys():  # noqa: SIM118  # no mapping
                looks.add(key)
            async with asyncio.TaskGroup() as tasks:
                background = (
                    tasks.create_task(looks.run()),
                    tasks.create_task(agents.workers.run()),
                    tasks.create_task(sweep_for_ever(world, cluster, reached, looks.add, listed)),
                    tasks.create_task(_stop_when_changed(cluster, settings, reached, stop)),
                )
                _LOG.info("watching", namespaces=reached if settings.namespaces else "all")
                await watch(world, looks.add, reached if settings.namespaces else (), watching, listed, stop, pod)
                for task in background:
                    task.cancel()
    if not stop.is_set():
        _LOG.info("ended")
    return stop.is_set()


def _end_by_signals() -> None:
    """End what this task runs when told to, until kopf takes that over.

    The first process of a container does not end by itself: for it, these signals have no default.
    """
    if (task := asyncio.current_task()) is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _look_around(
    world: World, cluster: Cluster, namespaces: tuple[str, ...], lacking: dict[str, str]
) -> tuple[str, ...]:
    """See everything once, before anything is done: what was not seen yet would be taken for missing.

    Returns:
        The namespaces that can be watched, of which `lacking` has the others.
    """
    while True:
        reached = await until_reached(cluster, namespaces, lacking)
        try:
            for kind in WATCHED:
                for namespace in reached:
                    async for each in cluster.objects(kind, namespace):
                        world.put(each)
        except (RetryableError, PermanentError) as error:
            _LOG.warning("could not list what is there", reason=str(error))
            await asyncio.sleep(_AGAIN_S)
        else:
            return reached


async def _stop_when_changed(
    cluster: Cluster, settings: Settings, reached: tuple[str, ...], stop: asyncio.Event
) -> None:
    if settings.namespaces:  # or there is but one reach, with or without rights
        await until_changed(cluster, settings.namespaces, reached, every_s=settings.wait_for_others_s)
        stop.set()
