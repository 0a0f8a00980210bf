"""The only page that knows kopf: it watches, and whatever happens gives an assistant a place in the queue.

Nothing is done in a handler, so nothing of kopf's own machinery is used: no finalizer, no timer, no annotation, no
retry, no event. What kopf is good at is left to it: first lists in pages, watches that go on where they broke and that
notice silence, 410s, credentials that change. What is there at the start is listed by `app` before kopf runs: kopf's
indices would do that, but let every object wait for every other one, which takes minutes for ten thousand.

One operator watches an assistant at a time (`replicas: 1`, Recreate): kopf elects no leader. Two that overlap for a
moment apply the same things, and make what is made once by `create`, which the second one loses.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import kopf

from parley_operator.kinds import ASSISTANT, WATCHED, Kind
from parley_operator.pod_access import PodAccess
from parley_operator.resources.objects import DOMAIN
from parley_operator.world import Key, World

SERVER_S: Final = 300
"""After so long the server ends a watch, and it goes on with the next one: connections do not live for ever."""
CLIENT_S: Final = 320.0
"""After so long we end it, if the server's end is lost."""
SILENCE_S: Final = 75.0
"""The server sends a bookmark each minute: a watch that says nothing for longer is dead."""
CONNECT_S: Final = 10.0
REQUEST_S: Final = 60.0
"""A page of a first list, from a server that has just started."""
PAGE: Final = 200
COALESCE_S: Final = 0.15
"""What happens to children comes in bursts, most of them our own doing: they are looked at together."""
_BACKOFFS: Final = (0.2, 0.5, 1, 2, 3, *([5] * 24), *([30] * 120))
"""An API server that restarts is met again five seconds later at most; one that is away for an hour does not end us."""


class _KeepsNothing(kopf.DiffBaseStorage):
    """kopf copies each object to find what changed in it; nobody asks it that."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


async def watch(
    world: World,
    tell: Callable[[Key, float], None],
    namespaces: Collection[str],
    ready: asyncio.Event,
    listed: asyncio.Event,
    stop: asyncio.Event,
    pod: PodAccess | None = None,
) -> None:
    """Watch until SIGTERM, SIGINT or `stop`, with the API server's answers kept in a world.

    Args:
        world: what is seen goes there.
        tell: called with an assistant that something happened to, and after how many seconds to look.
        namespaces: which; empty for all.
        ready: set when watching begins.
        listed: set when a kind is listed, at the start and after a watch that broke for too long.
        stop: ends it when set.
        pod: how the API server is reached; None for what KUBECONFIG says.
    """
    await kopf.operator(
        registry=_registry(world, tell, listed, pod),
        settings=_settings(),
        namespaces=list(namespaces),
        clusterwide=not namespaces,
        standalone=True,
        stop_flag=stop,
        ready_flag=ready,
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # Namespaces and definitions are what they were at the start: watching those takes rights that nothing else needs.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = SERVER_S
    settings.watching.client_timeout = CLIENT_S
    settings.watching.connect_timeout = CONNECT_S
    settings.watching.inactivity_timeout = SILENCE_S
    settings.watching.chunk_size = PAGE
    settings.networking.connect_timeout = CONNECT_S
    settings.networking.request_timeout = REQUEST_S
    settings.networking.error_backoffs = _BACKOFFS
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    settings.process.ultimate_exiting_timeout = 20.0
    # Never written; but if a handler ever made kopf write, it would be under a name of ours.
    settings.persistence.finalizer = f"{DOMAIN}/never"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{DOMAIN}")
    settings.persistence.diffbase_storage = _KeepsNothing()
    for kind in WATCHED:
        if kind.labels:
            settings.watching.label_selectors[_selector(kind)] = kind.labels
        if kind.fields:
            settings.watching.field_selectors[_selector(kind)] = kind.fields
    for chatty in ("kopf", "aiohttp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return settings


def _registry(
    world: World, tell: Callable[[Key, float], None], listed: asyncio.Event, pod: PodAccess | None
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def happened(event: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401  # kopf's keywords
        seen = event["object"]
        if event["type"] is None:
            listed.set()
        if event["type"] == "DELETED":
            keys = world.keys_of(seen)
            is_news = world.remove(seen)
        else:
            is_news = world.put(seen)
            keys = world.keys_of(seen)
        for key in keys if is_news else ():
            tell(key, 0.0 if seen["kind"] == ASSISTANT.name else COALESCE_S)
        if event["type"] == "DELETED" and seen["kind"] == ASSISTANT.name:
            for key in world.contenders():
                tell(key, COALESCE_S)

    async def log_in(**keywords: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401
        # Called again whenever a token is refused: by then there is another one.
        if pod is not None:
            return kopf.ConnectionInfo(server=pod.server, ca_path=str(pod.authority), token=pod.token())
        return kopf.login_with_kubeconfig(**keywords)

    kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)(log_in)
    for kind in WATCHED:
        kopf.on.event(*_selector(kind), id=f"tell-{kind.plural}", registry=registry)(happened)
    return registry


def _selector(kind: Kind) -> tuple[str, str, str]:
    return kind.group, kind.version, kind.plural
