"""What keeps pods, Jobs and volumes from their work, in words that say what to do. Pure.

Kubernetes tells such things in six places: a pod's conditions, its containers' states, its phase, a Deployment's
conditions, a Job's, and events about what could not even be made. Its own message comes along.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from parley_operator import reasons
from parley_operator.actions import find
from parley_operator.resources.claims import is_bound
from parley_operator.resources.objects import MODEL, PULL, Object, component_of

_SAID_CHARS: Final = 600
"""How much of somebody else's message is passed on."""
_LOG_CHARS: Final = 300
"""How much of what a process said last: its end, where the reason stands."""

_TERMINAL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f]")
"""Colours and cursors (ECMA-48's control sequences), and control characters."""

_MAY_PASS: Final = frozenset({reasons.UNSCHEDULABLE, reasons.INSUFFICIENT_GPU, reasons.VOLUME_PENDING})


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


def failures(*, pods: Iterable[Object], children: Sequence[Object], events: Iterable[Object]) -> tuple[Failure, ...]:
    """Return everything that is wrong, each once, what is nearest to a cause first.

    Args:
        pods: of the assistant; one that is being deleted is over.
        children: its Deployments, StatefulSets, Jobs and claims.
        events: about any of these, the latest last: warnings, and `FailedBinding`, which Kubernetes posts as normal.
    """
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    # What a node gave up stays to be read, long after another pod has taken its place.
    replaced = {component_of(pod) for pod in living if pod.get("status", {}).get("phase") == "Running"}
    living = [pod for pod in living if not (_is_given_up(pod) and component_of(pod) in replaced)]
    found = [
        *(failure for child in children for failure in _of_child(child, living)),
        *(failure for event in events for failure in _of_event(event, children, living)),
        *(failure for pod in living for failure in _of_pod(pod)),
    ]
    unique = {(failure.component, failure.reason): failure for failure in reversed(found)}
    return tuple(reversed(unique.values()))


# --- Pods ------------------------------------------------------------------------------------------------------------


def _is_given_up(pod: Object) -> bool:
    """Whether a node gave the pod up; a pull's may simply have failed, which its Job counts."""
    return pod.get("status", {}).get("phase") == "Failed" and component_of(pod) != PULL


def _of_pod(pod: Object) -> Iterator[Failure]:
    component, status = component_of(pod), pod.get("status", {})
    if _is_given_up(pod):
        yield _ended(component, status)
        return
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield _unscheduled(component, pod, str(condition.get("message", "")))
    for container in status.get("containerStatuses") or []:
        yield from _of_container(component, container)


def _ended(component: str, status: Mapping[str, Any]) -> Failure:
    """A pod that a node gave up. Its Deployment makes another; the remains tell why."""
    reason, said = str(status.get("reason", "")), _said(status.get("message"))
    if reason == "Evicted":
        advice = "the node ran short; give the component requests that say what it needs, or the node more room"
        return Failure(component=component, reason=reasons.EVICTED, message=f"a pod was evicted: {said}. {advice}")
    advice = "after a node's reboot its devices may come back late; the next pod usually finds them"
    return Failure(
        component=component,
        reason=reasons.ADMISSION_FAILED,
        message=f"a node did not admit a pod ({reason or 'Failed'}): {said}. {advice}",
    )


def _unscheduled(component: str, pod: Object, said: str) -> Failure:
    gpu = next((name for name in _limits(pod) if f"Insufficient {name}" in said), None)
    if gpu is not None:
        advice = (
            f"no node has a free share of {gpu}: end what holds one, let the device plugin share the card among more "
            "(time slicing), or set gpu.sharing to exclusive or none"
        )
        return Failure(
            component=component, reason=reasons.INSUFFICIENT_GPU, message=f"{advice}. The scheduler says: {_said(said)}"
        )
    if re.search(r'persistentvolumeclaim "[^"]*" not found', said):
        advice = "the pod waits for its volume: see the claims with kubectl get pvc"
        return Failure(component=component, reason=reasons.VOLUME_FAILED, message=f"{advice}. {_said(said)}")
    # Volumes are being made, or the claim changed while one was: the scheduler tries again by itself.
    if "persistentvolumeclaim" in said.lower():
        advice = "the pod waits for its volume to be made: see kubectl get pvc"
        return Failure(component=component, reason=reasons.VOLUME_PENDING, message=advice)
    advice = "no node takes the pod: compare its requests, gpu.nodeSelector and gpu.tolerations with the nodes"
    return Failure(
        component=component, reason=reasons.UNSCHEDULABLE, message=f"{advice}. The scheduler says: {_said(said)}"
    )


def _limits(pod: Object) -> list[str]:
    containers = pod.get("spec", {}).get("containers") or []
    return [name for container in containers for name in (container.get("resources", {}).get("limits") or {})]


def _of_container(component: str, container: Mapping[str, Any]) -> Iterator[Failure]:
    waiting = container.get("state", {}).get("waiting") or {}
    before = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated") or {}
    reason, said = str(waiting.get("reason", "")), _said(waiting.get("message"))
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}:
        advice = "check images.registry, images.tag and images.pullSecrets"
        message = f"the image {container.get('image', '')} cannot be pulled: {said or reason}. {advice}"
        yield Failure(component=component, reason=reasons.IMAGE_PULL_FAILED, message=message)
    elif reason == "CreateContainerConfigError":
        yield _misconfigured(component, said)
    elif before.get("reason") == "OOMKilled" and container.get("state", {}).get("running") is None:
        advice = "raise the memory limit of its resources, or choose a smaller model"
        yield Failure(
            component=component,
            reason=reasons.OUT_OF_MEMORY,
            message=f"it was killed for taking more memory than it may: {advice}",
        )
    elif reason == "CrashLoopBackOff":
        last = _tail(before.get("message"))
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


def _misconfigured(component: str, said: str) -> Failure:
    if "couldn't find key" in said or "references non-existent secret key" in said:
        advice = "add the key to the Secret, or name another one in the spec"
        return Failure(component=component, reason=reasons.KEY_MISSING, message=f"{said}: {advice}")
    if "not found" in said:
        return Failure(component=component, reason=reasons.SECRET_MISSING, message=f"{said}: create it, and it starts")
    return Failure(component=component, reason=reasons.CONTAINER_FAILED, message=f"it cannot be started: {said}")


# --- What could not be made ------------------------------------------------------------------------------------------


def _of_child(child: Object, pods: Sequence[Object]) -> Iterator[Failure]:
    for condition in child.get("status", {}).get("conditions") or []:
        kind, holds = condition.get("type"), condition.get("status") == "True"
        said = str(condition.get("message", ""))
        if child["kind"] == "Deployment" and kind == "ReplicaFailure" and holds:
            yield _refused(component_of(child), said)
        elif child["kind"] == "Job" and kind == "Failed" and holds:
            name = child["metadata"]["name"]
            model = (child["metadata"].get("annotations") or {}).get(MODEL, "a model")
            why = _last_words(name, pods) or _said(said)
            advice = f"It is tried again every ten minutes; to try now, kubectl delete job {name}"
            yield Failure(
                component=PULL,
                reason=reasons.MODEL_PULL_FAILED,
                message=f"{model} could not be pulled: {why}. {advice}",
            )


def _last_words(job: str, pods: Iterable[Object]) -> str:
    """Return what the last pod of a Job said when it ended."""
    said = ""
    for pod in pods:
        if (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name") == job:
            for container in pod.get("status", {}).get("containerStatuses") or []:
                said = _tail((container.get("state", {}).get("terminated") or {}).get("message")) or said
    return said.rstrip(".")


def _refused(component: str, said: str) -> Failure:
    """Say why the API server takes no pod; not of which, for each try has another name."""
    said = re.sub(r'^.*?pods "[^"]*" is forbidden: ', "", _said(said))
    if match := re.search(r'RuntimeClass "([^"]*)" not found', said):
        advice = "install NVIDIA's container runtime (k3s makes the class by itself), or set gpu.runtimeClassName to ''"
        return Failure(
            component=component,
            reason=reasons.RUNTIME_CLASS_MISSING,
            message=f"the cluster has no RuntimeClass {match[1]}: {advice}",
        )
    if "exceeded quota" in said or "failed quota" in said:
        advice = "raise the namespace's ResourceQuota, or give the component resources that fit"
        return Failure(component=component, reason=reasons.QUOTA_EXCEEDED, message=f"{said}: {advice}")
    if "violates PodSecurity" in said:
        advice = "what Parley makes fits the restricted level: does something else change its pods?"
        return Failure(component=component, reason=reasons.POD_SECURITY_REFUSED, message=f"{said}: {advice}")
    return Failure(component=component, reason=reasons.POD_REFUSED, message=f"its pods are refused: {said}")


def _of_event(event: Object, children: Sequence[Object], pods: Sequence[Object]) -> Iterator[Failure]:
    """Read an event about something that is there: events outlive what they are about."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    reason, said = event.get("reason", ""), str(event.get("message") or event.get("note") or "")
    component = _component_of_name(about, [*children, *pods])
    if component is None:
        return
    if reason == "FailedCreate":
        # A Deployment says itself whether this still holds; the others do not, but then they have no pod.
        if about.get("kind") in {"Job", "StatefulSet"} and not _has_pod(about, pods):
            yield _refused(component, said)
    elif reason in {"ProvisioningFailed", "FailedBinding"}:
        claim = find(children, "PersistentVolumeClaim", str(about.get("name")))
        if not is_bound(claim):
            yield _unprovisioned(component, said)
    elif reason in {"FailedMount", "FailedAttachVolume"} and not _runs(about, pods):
        if match := re.search(r'secret "([^"]+)" not found', said):
            yield Failure(
                component=component,
                reason=reasons.SECRET_MISSING,
                message=f"there is no Secret {match[1]}: create it, and the pod starts",
            )
        elif "references non-existent secret key" in said:
            yield _misconfigured(component, _said(said))
        else:
            yield Failure(
                component=component, reason=reasons.VOLUME_FAILED, message=f"a volume cannot be mounted: {_said(said)}"
            )
    elif reason == "FailedCreatePodSandBox" and "no runtime for" in said and not _runs(about, pods):
        advice = "the node's containerd does not know that runtime: install NVIDIA's container toolkit on it"
        yield Failure(component=component, reason=reasons.RUNTIME_CLASS_MISSING, message=f"{_said(said)}: {advice}")


def _unprovisioned(component: str, said: str) -> Failure:
    if match := re.search(r'storageclass\S* "([^"]*)" not found', said):
        advice = "name one that kubectl get storageclass lists, in a new assistant"
        return Failure(
            component=component,
            reason=reasons.STORAGE_CLASS_MISSING,
            message=f"the cluster has no StorageClass {match[1]}: {advice}",
        )
    if "no storage class is set" in said:
        advice = "mark one as the default, or name one in storage.modelCache.storageClassName"
        return Failure(
            component=component,
            reason=reasons.STORAGE_CLASS_MISSING,
            message=f"the cluster has no default StorageClass: {advice}",
        )
    return Failure(component=component, reason=reasons.VOLUME_FAILED, message=f"no volume is made: {_said(said)}")


def _component_of_name(about: Mapping[str, Any], there: Iterable[Object]) -> str | None:
    """Return the component of what an event is about; a ReplicaSet has its Deployment's name and a hash."""
    name, kind = str(about.get("name", "")), about.get("kind")
    if kind == "ReplicaSet":
        kind, name = "Deployment", name.rpartition("-")[0]
    for each in there:
        if each["metadata"]["name"] == name and each.get("kind", "Pod") == kind:
            return component_of(each) or "models"
    return None


def _has_pod(about: Mapping[str, Any], pods: Iterable[Object]) -> bool:
    return any(pod["metadata"]["name"].startswith(f"{about.get('name')}-") for pod in pods)


def _runs(about: Mapping[str, Any], pods: Iterable[Object]) -> bool:
    """Whether the pod came over it: its volumes are mounted now."""
    return any(
        pod["metadata"]["name"] == about.get("name") and pod.get("status", {}).get("phase") in {"Running", "Succeeded"}
        for pod in pods
    )


# --- Words of others -------------------------------------------------------------------------------------------------


def _said(message: object) -> str:
    """Return somebody's message on one line, of bounded length, without its last stop."""
    text = _line(message).rstrip(".")
    return text if len(text) <= _SAID_CHARS else f"{text[:_SAID_CHARS]}…"


def _tail(message: object) -> str:
    """Return the end of what a process said."""
    text = _line(message)
    return text if len(text) <= _LOG_CHARS else f"…{text[-_LOG_CHARS:]}"


def _line(message: object) -> str:
    """Return text on one line, without what a process says to a terminal alone."""
    return " ".join(_TERMINAL.sub(" ", str(message or "")).split())
