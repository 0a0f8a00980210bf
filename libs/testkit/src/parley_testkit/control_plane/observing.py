"""What one looks for in Kubernetes objects. Of one that is not there, or that nobody has judged yet, nothing holds."""

from collections.abc import Callable
from typing import Final

from parley_testkit.control_plane.access import Object

_SILENCE: Final = {"status": "", "reason": "", "message": ""}


def condition(seen: Object, name: str) -> Object:
    """Return a condition by its type; one that says nothing if the object has none of it."""
    conditions: list[Object] = seen.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == name), _SILENCE)


def has(name: str, status: str = "True") -> Callable[[Object], bool]:
    """Return what tells whether a condition has a status."""
    return lambda seen: bool(condition(seen, name)["status"] == status)


is_ready: Final = has("Ready")
is_unschedulable: Final = has("PodScheduled", "False")


def is_gone(seen: Object) -> bool:
    """Whether there is no such object."""
    return not seen


def is_available(seen: Object) -> bool:
    """Whether a Deployment or StatefulSet has all the replicas that it wants, of its latest generation."""
    status, spec = seen.get("status", {}), seen.get("spec", {})
    return bool(
        seen
        and status.get("observedGeneration") == seen["metadata"]["generation"]
        and status.get("availableReplicas", 0) == status.get("updatedReplicas", 0) == spec["replicas"]
    )


def container(seen: Object) -> Object:
    """Return the status of a pod's first container; an empty one before its kubelet has said anything."""
    statuses: list[Object] = seen.get("status", {}).get("containerStatuses", [])
    return statuses[0] if statuses else {"state": {}}


def waits_for(reason: str) -> Callable[[Object], bool]:
    """Return what tells whether a pod's first container waits for a reason."""
    return lambda seen: bool(container(seen)["state"].get("waiting", {}).get("reason") == reason)
