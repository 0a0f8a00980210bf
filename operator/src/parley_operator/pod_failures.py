"""What a pod says of itself that keeps it from its work: a component, a reason, and words that say what to do. Pure.

`failures` asks this page for each pod, and borrows its way of passing on what others said.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from parley_operator import reasons
from parley_operator.resources.objects import PULL, Object, component_of

_SAID_CHARS: Final = 600
"""How much of somebody else's message is passed on."""
_LOG_CHARS: Final = 300
"""How much of what a process said last: its end, where the reason stands."""

_TERMINAL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f]")
"""Colours and cursors (ECMA-48's control sequences), and control characters."""

_ELSEWHERE: Final = "node(s) didn't match PersistentVolume's node affinity"
"""What the scheduler says of nodes on which a pod's volume is not (kube-scheduler 1.34)."""

_NODE_TROUBLES: Final = {
    "not-ready": "a node is not ready: see kubectl get nodes",
    "unreachable": "a node does not answer: start it, or its kubelet (k3s), again",
    "disk-pressure": "the disk of a node is nearly full: free some, as of images and models that nobody needs",
    "memory-pressure": "the memory of a node is nearly full: end something there, or choose smaller models",
    "pid-pressure": "a node has too many processes: end something there",
}
"""What Kubernetes puts on nodes in trouble, as taints below `node.kubernetes.io/`, and what to do."""

_MAY_PASS: Final = frozenset(
    {reasons.UNSCHEDULABLE, reasons.INSUFFICIENT_GPU, reasons.VOLUME_PENDING, reasons.NODE_LOST}
)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that keeps a component from its work."""

    component: str
    """Which; `pull` for a model's Job, `models` for their volume."""
    reason: str
    """One of `reasons`."""
    message: str
    """What is wrong and what to do."""

    @property
    def may_pass(self) -> bool:
        """Whether it may go away by itself: others end, a node comes."""
        return self.reason in _MAY_PASS


def is_given_up(pod: Object) -> bool:
    """Whether a node gave the pod up; a pull's may simply have failed, which its Job counts."""
    return pod.get("status", {}).get("phase") == "Failed" and component_of(pod) != PULL


def of_pod(pod: Object) -> Iterator[Failure]:
    """Return what is wrong with a pod."""
    component, status = component_of(pod), pod.get("status", {})
    if is_given_up(pod):
        yield _ended(component, status)
        return
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield _unscheduled(component, pod, str(condition.get("message", "")))
    for container in status.get("containerStatuses") or []:
        yield from _of_container(component, container, _limits(pod))


def of_lost_pod(pod: Object) -> Iterator[Failure]:
    """Return what keeps a pod that is being deleted: only a kubelet that answers lets one go."""
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("reason") == "DeletionByTaintManager":
            node = pod.get("spec", {}).get("nodeName") or "its node"
            yield Failure(
                component=component_of(pod),
                reason=reasons.NODE_LOST,
                message=f"{node} does not answer, and holds its pod: start it again, or kubectl delete node {node} if "
                "it never comes back",
            )


def _ended(component: str, status: Mapping[str, Any]) -> Failure:
    """A pod that a node gave up. Its Deployment makes another; the remains tell why."""
    reason, said = str(status.get("reason", "")), quoted(status.get("message"))
    if reason == "Evicted":
        advice = "The node ran short: give the component requests that say what it needs, or the node more room"
        return Failure(component=component, reason=reasons.EVICTED, message=f"a pod was evicted: {said}. {advice}")
    advice = "After a node's reboot its devices may come back late: the next pod usually finds them"
    return Failure(
        component=component,
        reason=reasons.ADMISSION_FAILED,
        message=f"a node did not admit a pod ({reason or 'Failed'}): {said}. {advice}",
    )


def _unscheduled(component: str, pod: Object, said: str) -> Failure:
    troubles = [advice for taint, advice in _NODE_TROUBLES.items() if f"{{node.kubernetes.io/{taint}" in said]
    gpu = next((name for name in _limits(pod) if f"Insufficient {name}" in said), None)
    if gpu is not None:
        advice = (
            f"no node has a free share of {gpu}: end what holds one, let the device plugin share the card among more "
            "(time slicing), or set gpu.sharing to exclusive or none; if kubectl describe nodes shows none at all, the "
            "device plugin is missing"
        )
        return Failure(
            component=component,
            reason=reasons.INSUFFICIENT_GPU,
            message=f"{'; '.join([*troubles, advice])}. The scheduler says: {quoted(said)}",
        )
    if re.search(r'persistentvolumeclaim "[^"]*" not found', said):
        advice = "the pod waits for its volume: see the claims with kubectl get pvc"
        return Failure(component=component, reason=reasons.VOLUME_FAILED, message=f"{advice}. {quoted(said)}")
    if re.search(r'persistentvolumeclaim "[^"]*" is being deleted', said):
        advice = (
            "its claim is being deleted, which waits for the pods that have it: set suspend to true and, once they are "
            "gone, to false again, and it is made anew"
        )
        return Failure(component=component, reason=reasons.VOLUME_FAILED, message=f"{advice}. {quoted(said)}")
    # Volumes are being made, or the claim changed while one was: the scheduler tries again by itself.
    if "persistentvolumeclaim" in said.lower():
        advice = "the pod waits for its volume to be made: see kubectl get pvc"
        return Failure(component=component, reason=reasons.VOLUME_PENDING, message=advice)
    if troubles:
        advice = "; ".join(troubles)
    elif _ELSEWHERE in said:
        advice = "its volume lies on a node that does not take the pod now: uncordon that node, or make room on it"
    else:
        advice = "no node takes the pod: compare its requests, gpu.nodeSelector and gpu.tolerations with the nodes"
    return Failure(
        component=component, reason=reasons.UNSCHEDULABLE, message=f"{advice}. The scheduler says: {quoted(said)}"
    )


def _limits(pod: Object) -> dict[str, str]:
    containers = pod.get("spec", {}).get("containers") or []
    limits = [each.get("resources", {}).get("limits") or {} for each in containers]
    return {name: str(limit) for each in limits for name, limit in each.items()}


def _of_container(component: str, container: Mapping[str, Any], limits: Mapping[str, str]) -> Iterator[Failure]:
    waiting = container.get("state", {}).get("waiting") or {}
    before = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated") or {}
    reason, said = str(waiting.get("reason", "")), quoted(waiting.get("message"))
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}:
        advice = "Check images.registry, images.tag and images.pullSecrets"
        message = f"the image {container.get('image', '')} cannot be pulled: {said or reason}. {advice}"
        yield Failure(component=component, reason=reasons.IMAGE_PULL_FAILED, message=message)
    elif reason == "CreateContainerConfigError":
        yield misconfigured(component, said)
    elif before.get("reason") == "OOMKilled" and container.get("state", {}).get("running") is None:
        yield _out_of_memory(component, limits.get("memory", ""))
    elif reason == "CrashLoopBackOff":
        last = last_of(before.get("message"))
        ended = f"it ends again and again with exit code {before.get('exitCode', '?')}"
        yield Failure(
            component=component,
            reason=reasons.CRASH_LOOPING,
            message=f"{ended}; it said last: {last}" if last else f"{ended}; see its log with kubectl logs",
        )
    elif reason in {"CreateContainerError", "RunContainerError", "StartError"}:
        yield Failure(
            component=component, reason=reasons.CONTAINER_FAILED, message=f"its container cannot be started: {said}"
        )


def _out_of_memory(component: str, limit: str) -> Failure:
    if limit:
        said = f"it was killed for taking more memory than its limit of {limit}"
        advice = "raise the memory limit of its resources, or choose a smaller model"
    else:
        said = "it was killed because its node had no memory left"
        advice = "end something there, choose smaller models, or give the components requests that say what they need"
    return Failure(component=component, reason=reasons.OUT_OF_MEMORY, message=f"{said}: {advice}")


def misconfigured(component: str, said: str) -> Failure:
    """Say what a container reads that is not there."""
    if "couldn't find key" in said or "references non-existent secret key" in said:
        advice = "add the key to the Secret, or name another one in the spec"
        return Failure(component=component, reason=reasons.KEY_MISSING, message=f"{said}: {advice}")
    if "not found" in said:
        return Failure(component=component, reason=reasons.SECRET_MISSING, message=f"{said}: create it, and it starts")
    return Failure(component=component, reason=reasons.CONTAINER_FAILED, message=f"it cannot be started: {said}")


def quoted(message: object) -> str:
    """Return somebody's message on one line, of bounded length, without its last stop."""
    text = _line(message).rstrip(".")
    return text if len(text) <= _SAID_CHARS else f"{text[:_SAID_CHARS]}…"


def last_of(message: object) -> str:
    """Return the end of what a process said."""
    text = _line(message)
    return text if len(text) <= _LOG_CHARS else f"…{text[-_LOG_CHARS:]}"


def _line(message: object) -> str:
    """Return text on one line, without what a process says to a terminal alone."""
    return " ".join(_TERMINAL.sub(" ", str(message or "")).split())
