"""Now and then what is held to be there is compared with what is: a watch that broke for too long missed deletions.

kopf lists again after such a break, and so hears of everything that is new or changed; of what is gone nobody tells. So
names are compared after each such list, the first one too: nobody watched between the operator's own list and kopf's.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Final

import structlog

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.cluster import Cluster
from parley_operator.kinds import WATCHED, Kind
from parley_operator.world import Key, World, ghosts

EVERY_S: Final = 600.0
"""Also without a list."""
SETTLE_S: Final = 3.0
"""Each kind is listed for itself, and what breaks one watch breaks all of them."""
_LOG: Final = structlog.get_logger()


async def sweep_for_ever(
    world: World,
    cluster: Cluster,
    namespaces: Collection[str],
    tell: Callable[[Key, float], None],
    listed: asyncio.Event,
) -> None:
    """Sweep now and then, and soon after `listed` was set, until cancelled."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await listed.wait()
        await asyncio.sleep(SETTLE_S)
        listed.clear()
        for kind in WATCHED:
            if kind.name != "Event":  # the API server forgets those by itself, and `failures` those of what is gone
                await sweep(world, cluster, kind, namespaces, tell)


async def sweep(
    world: World, cluster: Cluster, kind: Kind, namespaces: Collection[str], tell: Callable[[Key, float], None]
) -> None:
    """Forget what is not there any more of one kind, and have its assistants looked at."""
    held = world.places(kind.name)
    if not held:
        return
    there = []
    try:
        for namespace in namespaces or ("",):
            there += [each async for each in cluster.objects(kind, namespace, names_only=True)]
    except (RetryableError, PermanentError) as error:
        _LOG.warning("could not compare what is there", kind=kind.name, reason=str(error))
        return
    for gone in ghosts(held, there, kind.name):
        keys = world.keys_of_held(gone)
        world.remove(gone)
        _LOG.info("a deletion was missed", kind=kind.name, name=gone["metadata"]["name"])
        for key in keys:
            tell(key, 0.0)
