"""Events on assistants (events.k8s.io/v1): what became so, once.

An event has a name made from what it says, so that the same news is the same event: the API server then counts it, and
an operator that starts anew repeats nothing. One that cannot be posted is lost: conditions say the same.
"""

import datetime as dt
from typing import Final

import structlog

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.cluster import Cluster
from parley_operator.resources.objects import FIELD_MANAGER, Object, digest
from parley_operator.status import News

_NOTE_CHARS: Final = 1024
"""What the API server takes."""
_KNOWN: Final = 1000
_LOG: Final = structlog.get_logger()


class Posts:
    """Posts events."""

    def __init__(self, cluster: Cluster, instance: str) -> None:
        """Post to this cluster, as this process."""
        self._cluster = cluster
        self._instance = instance
        self._times: dict[str, int] = {}

    async def post(self, resource: Object, news: News, now: dt.datetime) -> None:
        """Post news of an assistant."""
        event = document(resource, news, now, self._instance)
        name = event["metadata"]["name"]
        times = self._times.pop(name, 0) + 1
        self._times[name] = times
        if len(self._times) > _KNOWN:
            del self._times[next(iter(self._times))]
        try:
            await self._cluster.post_event(event, times)
        except (RetryableError, PermanentError) as error:
            _LOG.warning("an event was not posted", reason=news.reason, error=str(error))


def document(resource: Object, news: News, now: dt.datetime, instance: str) -> Object:
    """Return the event that tells some news."""
    meta = resource["metadata"]
    told = (news.reason, news.message, news.is_warning)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{digest([meta['uid'], *told])}", "namespace": meta["namespace"]},
        "eventTime": now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"parley.dev/{FIELD_MANAGER}",
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": news.reason,
        "type": "Warning" if news.is_warning else "Normal",
        "note": news.message[:_NOTE_CHARS],
        "regarding": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }
