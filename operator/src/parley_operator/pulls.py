"""Which models are pulled when. Part of the plan, beside which it has the only clock: failed pulls wait."""

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from typing import Final

from parley_contract.components import ModelNeed
from parley_operator.actions import Action, Create, delete, find, of_kind
from parley_operator.resources import claims, jobs
from parley_operator.resources.objects import MODEL, Context, Object, child_name, is_ours, model_key

RETRY_PULL_AFTER_S: Final = 600.0
"""A failed pull is tried again after so long: an index may be away for a while, and a name stays wrong for ever."""


def finished_pulls(context: Context, there: Iterable[Object]) -> frozenset[str]:
    """Return the models whose Job is done, by `model_key`, whether or not that is noted on the claim yet."""
    there = tuple(there)
    return frozenset(
        model_key(need)
        for need in context.needs()
        if _holds(find(there, "Job", _job_name(context, need)), "Complete") is not None
    )


class Pulls:
    """The Jobs that pull models."""

    def __init__(self, context: Context, there: Iterable[Object], now: dt.datetime) -> None:
        self._context = context
        self._now = now
        self._there = {job["metadata"]["name"]: job for job in of_kind(there, "Job")}
        self._noted = claims.pulled(context.claim)

    def created(self) -> Iterator[Action]:
        """Begin every pull that may begin."""
        context = self._context
        if context.assistant.spec.suspend or not _has_claim(context):
            return
        missing = [need for need in context.needs() if model_key(need) not in context.pulled]
        new = [need for need in missing if _job_name(context, need) not in self._there]
        if context.uses_gpu and not claims.is_bound(context.claim):
            # The first one decides where the volume comes to be, and holds a share of the card while it runs.
            new = [] if len(new) < len(missing) else new[:1]
        for need in new:
            yield Create(object=jobs.pull(context, need))

    def removed(self) -> Iterator[Action]:
        """Remove Jobs whose work is noted on the claim or wanted no more, and failed ones that have waited."""
        wanted = {_job_name(self._context, need): model_key(need) for need in self._context.needs()}
        for name, job in self._there.items():
            if not is_ours(self._context, job) or MODEL not in (job["metadata"].get("annotations") or {}):
                continue
            waited_s = self._waited_s(job)
            is_due = waited_s is not None and waited_s >= RETRY_PULL_AFTER_S
            if name not in wanted or wanted[name] in self._noted or is_due:
                yield delete(job)

    def look_again_after_s(self) -> float:
        """Say when the next failed Job has waited long enough; never, where none failed."""
        waited = [self._waited_s(job) for job in self._there.values()]
        return min((max(0.0, RETRY_PULL_AFTER_S - each) for each in waited if each is not None), default=math.inf)

    def _waited_s(self, job: Object) -> float | None:
        """Return how long ago a Job failed; None for one that did not."""
        since = _holds(job, "Failed")
        return None if since is None else (self._now - dt.datetime.fromisoformat(since)).total_seconds()


def _has_claim(context: Context) -> bool:
    """Whether there is, or will be, something to pull onto."""
    return context.claim is not None or not context.assistant.spec.storage.model_cache.existing_claim


def _job_name(context: Context, need: ModelNeed) -> str:
    return child_name(context, f"pull-{model_key(need)}")


def _holds(job: Object | None, kind: str) -> str | None:
    """Return since when a condition of a Job holds (RFC 3339); None if it does not."""
    for condition in (job or {}).get("status", {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return str(condition.get("lastTransitionTime", ""))
    return None
