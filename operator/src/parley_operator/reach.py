"""How far the operator reaches: which of the namespaces that it is told to watch it can watch.

One that is deleted takes the operator's rights there with it, and one may be named before it is there. Such a namespace
is left out, said in the log and by `/readyz`, and asked for again; it must not hold up the assistants of the others.
What is watched is decided once, when `app` starts, as kopf's watches are: where the reach changes, `app` begins anew.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import structlog

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.cluster import Cluster, MissingError
from parley_operator.kinds import ASSISTANT

EVERYWHERE: Final = ""
"""Stands for all namespaces at once."""
_WAIT_S: Final = 2.0
"""So often is looked for the first thing that can be watched: the definition may be installed after the operator."""
_SURE: Final = 2
"""So often in a row has another reach to be seen: API servers forbid things for a moment while they start."""
_LOG: Final = structlog.get_logger()


class Reach(NamedTuple):
    """What can be watched, and what cannot."""

    namespaces: tuple[str, ...]
    """Those that can; EVERYWHERE alone for all."""
    lacking: Mapping[str, str]
    """Those that cannot, and why."""


async def find_reach(cluster: Cluster, namespaces: Collection[str]) -> Reach:
    """Ask of each namespace whether its assistants can be listed.

    Args:
        cluster: who is asked.
        namespaces: which; empty for all of the cluster, at once.

    Raises:
        RetryableError: nobody knows at the moment.
    """
    can: list[str] = []
    lacking: dict[str, str] = {}
    for namespace in namespaces or (EVERYWHERE,):
        try:
            async for _ in cluster.objects(ASSISTANT, namespace, names_only=True, page=1):
                break
        except MissingError:
            advice = "apply crds/, or let the chart do it (crds.enabled)"
            lacking[namespace] = f"the definition of VoiceAssistants is not installed: {advice}"
        except PermanentError as error:
            advice = "if the namespace is there, helm upgrade gives the operator its rights in it"
            lacking[namespace] = f"{error}: {advice}" if namespace else str(error)
        else:
            can.append(namespace)
    return Reach(tuple(can), lacking)


async def until_reached(cluster: Cluster, namespaces: Collection[str], lacking: dict[str, str]) -> tuple[str, ...]:
    """Wait until something can be watched, and return that.

    Args:
        cluster: who is asked.
        namespaces: which; empty for all.
        lacking: becomes those that cannot be watched, and why, each time it is asked.
    """
    while True:
        before = dict(lacking)
        try:
            found = await find_reach(cluster, namespaces)
        except RetryableError as error:
            found = Reach((), dict.fromkeys(namespaces or (EVERYWHERE,), str(error)))
        lacking.clear()
        lacking.update(found.lacking)
        for namespace, why in lacking.items():
            if before.get(namespace) != why:
                _LOG.warning("cannot watch", namespace=namespace or "all", reason=why)
        if found.namespaces:
            return found.namespaces
        await asyncio.sleep(_WAIT_S)


async def until_changed(
    cluster: Cluster, namespaces: Collection[str], watched: Collection[str], *, every_s: float
) -> None:
    """Wait until other namespaces can be watched than are."""
    others: list[tuple[str, ...]] = []
    while len(others) < _SURE:
        await asyncio.sleep(every_s)
        try:
            found = (await find_reach(cluster, namespaces)).namespaces
        except RetryableError:
            continue
        others = [*others, found] if set(found) != set(watched) else []
    _LOG.warning("other namespaces can be watched now: beginning anew", namespaces=others[-1])
