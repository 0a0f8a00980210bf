"""What is kept of an object that is watched: what somebody here reads, and nothing else. Pure.

Most of what happens to an assistant's children is said in fields that nobody reads: times, counts of what is on its
way, who wrote what. What is kept tells whether something happened: where it stays the same, no look is due. It also
takes less: of a pod a tenth remains.
"""

from collections.abc import Mapping
from typing import Any, Final

_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("observedGeneration", "replicas", "readyReplicas", "updatedReplicas", "conditions"),
    "Ingress": (),
    "Job": ("conditions",),
    "PersistentVolumeClaim": ("phase",),
    "Pod": ("phase", "reason", "message", "conditions", "containerStatuses"),
    "StatefulSet": ("observedGeneration", "replicas", "readyReplicas", "updatedReplicas"),
}
"""Fields of a status that `seen`, `conditions`, `failures` and `pulls` read. Of a kind that is not here all is kept."""
_CONDITIONS: Final[Mapping[str, frozenset[str]]] = {
    "Deployment": frozenset({"ReplicaFailure"}),
    "Job": frozenset({"Complete", "Failed"}),
    "Pod": frozenset({"DisruptionTarget", "PodScheduled"}),
}
"""Conditions that they read."""
_TIMES: Final = frozenset({"lastProbeTime", "lastUpdateTime"})
"""When somebody looked, which is nothing that happened."""


def kept(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as it is kept; the same for two of its versions between which nothing of interest happened."""
    unread = {"managedFields", "resourceVersion", *({"annotations"} if seen["kind"] == "Pod" else ())}
    made = {**seen, "metadata": {key: value for key, value in seen["metadata"].items() if key not in unread}}
    if seen["kind"] == "Pod":
        made["spec"] = _pod_spec(seen.get("spec") or {})
    fields = _STATUS.get(seen["kind"])
    if fields is not None:
        made["status"] = _status(seen["kind"], fields, seen.get("status") or {})
    return made


def _pod_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the pod runs and what it asked for; the rest is its template's."""
    asked = [{"resources": each.get("resources") or {}} for each in spec.get("containers") or []]
    return {"nodeName": spec.get("nodeName"), "containers": asked}


def _status(kind: str, fields: tuple[str, ...], status: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: status[key] for key in fields if status.get(key)}
    if "conditions" in made:
        wanted = [each for each in made["conditions"] if each.get("type") in _CONDITIONS[kind]]
        made["conditions"] = [{key: each[key] for key in each if key not in _TIMES} for each in wanted]
        if not wanted:
            del made["conditions"]
    if "containerStatuses" in made:
        states = ("image", "state", "lastState")
        made["containerStatuses"] = [
            {key: each[key] for key in states if key in each} for each in made["containerStatuses"]
        ]
    return made
