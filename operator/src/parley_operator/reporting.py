"""How an assistant fares, written into its status where that says something new, and posted as events.

The last part of a look, called by `reconciling`. What a status says is `status`'s business.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from parley_contract.errors import PermanentError, RetryableError
from parley_operator import reasons
from parley_operator.failures import failures
from parley_operator.observing import Look
from parley_operator.plan import Plan
from parley_operator.pod_failures import Failure
from parley_operator.resources.objects import Object
from parley_operator.seen import Seen
from parley_operator.status import News, as_document, faulty, is_settled, news, status
from parley_operator.surroundings import Surroundings
from parley_operator.world import Key


class Report(NamedTuple):
    """What became of telling."""

    is_written: bool
    """Whether there was something new to say."""
    is_well: bool
    """Whether the assistant is as it should be, and nothing is on its way."""


class Reporter:
    """Tells of assistants."""

    def __init__(self, around: Surroundings) -> None:
        """Tell of those of this world."""
        self._around = around

    async def report(self, key: Key, look: Look, made: Plan, refused: Failure | None, waits_for: str) -> Report:
        """Say how an assistant fares now.

        Args:
            key: which.
            look: what was found of it.
            made: what was done.
            refused: what the API server did not take of that.
            waits_for: the assistant that gets new images first; empty for none.

        Raises:
            RetryableError, PermanentError: it could not be written.
        """
        around = self._around
        resource = around.world.assistant(key)
        if resource is None or resource["metadata"]["uid"] != look.observed.uid:
            # It went meanwhile, and what is there now is another one, of which nothing is known yet.
            return Report(is_written=False, is_well=False)
        previous: Mapping[str, Any] = resource.get("status") or {}
        seen = msgspec.structs.replace(self._seen(key, look, made, refused), waits_for=waits_for)
        current = status(seen, previous, around.now())
        around.metrics.phase(key, current.phase)
        is_well = current.phase == "Suspended" or is_settled(current)
        document = as_document(current)
        if document == previous:
            return Report(is_written=False, is_well=is_well)
        around.metrics.writes.labels("status").inc()
        written = await around.cluster.apply_status(resource, document)
        around.world.put(written)
        if int(written["metadata"].get("generation", 0)) != look.judgement.observed_generation:
            # Somebody changed the spec meanwhile: the watch will tell of what the answer has told already.
            around.tell(key)
        self._count_ready(previous, document)
        for each in news(previous, current):
            await around.posts.post(resource, each, around.now())
        return Report(is_written=True, is_well=is_well)

    async def report_fault(self, key: Key, said: str) -> None:
        """Say that nothing more can be found out, once; where even that is refused, the log has it."""
        around = self._around
        resource = around.world.assistant(key)
        if resource is None:
            return
        previous: Mapping[str, Any] = resource.get("status") or {}
        document = faulty(previous, said, around.now())
        if document == previous:
            return
        around.metrics.phase(key, document["phase"])
        around.metrics.writes.labels("status").inc()
        with contextlib.suppress(RetryableError, PermanentError):
            around.world.put(await around.cluster.apply_status(resource, document))
            fault = News(is_warning=True, reason=reasons.LOOK_FAILED, message=said)
            await around.posts.post(resource, fault, around.now())

    def _seen(self, key: Key, look: Look, made: Plan, refused: Failure | None) -> Seen:
        around = self._around
        children, pods = around.world.children(key), around.world.pods(key)
        claim = made.context.claim if made.context is not None else None
        if claim is not None and all(child["metadata"]["uid"] != claim["metadata"]["uid"] for child in children):
            children = (*children, claim)
        found = failures(pods=pods, children=children, events=around.world.events(key))
        if refused is not None:
            found = (refused, *found)
        seen = Seen(judgement=look.judgement, context=made.context, children=children, pods=pods, failures=found)
        if not seen.is_ready("agent"):
            around.agents.leave(key)
            return seen
        around.agents.follow(key)
        return msgspec.structs.replace(seen, agent=around.agents.said(key))

    def _count_ready(self, previous: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        before, after = ready(previous), ready(document)
        if before.get("status") == "False" and after.get("status") == "True":
            took = dt.datetime.fromisoformat(after["lastTransitionTime"]) - dt.datetime.fromisoformat(
                before["lastTransitionTime"]
            )
            self._around.metrics.time_to_ready_s.observe(took.total_seconds())


def ready(document: Mapping[str, Any]) -> Object:
    """Return the condition Ready of a status; an empty one if it has none."""
    found: list[Object] = document.get("conditions") or []
    return next((each for each in found if each["type"] == "Ready"), {})
