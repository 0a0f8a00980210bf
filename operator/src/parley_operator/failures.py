"""What keeps pods, Jobs and volumes from their work, in words that say what to do. Pure.

Kubernetes tells such things in six places: a pod's conditions, its containers' states, its phase, a Deployment's
conditions, a Job's, and events about what could not even be made. Its own message comes along.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from parley_operator import reasons
from parley_operator.actions import find
from parley_operator.pod_failures import Failure, is_given_up, last_of, misconfigured, of_lost_pod, of_pod, quoted
from parley_operator.resources.claims import is_bound
from parley_operator.resources.objects import MODEL, PULL, Object, component_of


def failures(*, pods: Iterable[Object], children: Sequence[Object], events: Iterable[Object]) -> tuple[Failure, ...]:
    """Return everything that is wrong, each once, what is nearest to a cause first.

    Args:
        pods: of the assistant; one that is being deleted is over, unless its node never lets it go.
        children: its Deployments, StatefulSets, Jobs and claims.
        events: about any of these, the latest last: warnings, and `FailedBinding`, which Kubernetes posts as normal.
    """
    pods = list(pods)
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    # What a node gave up stays to be read, long after another pod has taken its place.
    replaced = {component_of(pod) for pod in living if pod.get("status", {}).get("phase") == "Running"}
    living = [pod for pod in living if not (is_given_up(pod) and component_of(pod) in replaced)]
    found = [
        *(failure for child in children for failure in _of_child(child, living)),
        *(failure for event in events for failure in _of_event(event, children, living)),
        *(failure for pod in living for failure in of_pod(pod)),
        *(
            failure
            for pod in pods
            if pod not in living and component_of(pod) not in replaced
            for failure in of_lost_pod(pod)
        ),
    ]
    if any(failure.reason in _NO_VOLUME for failure in found):
        # Whoever waits for such a volume has nothing to add.
        found = [failure for failure in found if failure.reason != reasons.VOLUME_PENDING]
    unique = {(failure.component, failure.reason): failure for failure in reversed(found)}
    return tuple(reversed(unique.values()))


_NO_VOLUME: Final = frozenset({reasons.STORAGE_CLASS_MISSING, reasons.VOLUME_FAILED})


def _of_child(child: Object, pods: Sequence[Object]) -> Iterator[Failure]:
    for condition in child.get("status", {}).get("conditions") or []:
        kind, holds = condition.get("type"), condition.get("status") == "True"
        said = str(condition.get("message", ""))
        if child["kind"] == "Deployment" and kind == "ReplicaFailure" and holds:
            yield _refused(component_of(child), said)
        elif child["kind"] == "Job" and kind == "Failed" and holds:
            name = child["metadata"]["name"]
            model = (child["metadata"].get("annotations") or {}).get(MODEL, "a model")
            why = _last_words(name, pods) or quoted(said)
            advice = f"It is tried again every ten minutes; to try now, kubectl delete job {name}"
            if "no space left" in why.lower():
                advice = f"Make room on the node, or raise storage.modelCache.size. {advice}"
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
                said = last_of((container.get("state", {}).get("terminated") or {}).get("message")) or said
    return said.rstrip(".")


def _refused(component: str, said: str) -> Failure:
    """Say why the API server takes no pod; not of which, for each try has another name."""
    said = re.sub(r'^.*?pods "[^"]*" is forbidden: ', "", quoted(said))
    if match := re.search(r'RuntimeClass "([^"]*)" not found', said):
        advice = "install NVIDIA's container runtime (k3s makes the class by itself), or set gpu.runtimeClassName to ''"
        return Failure(
            component=component,
            reason=reasons.RUNTIME_CLASS_MISSING,
            message=f"the cluster has no RuntimeClass {match[1]}: {advice}",
        )
    if "exceeded quota" in said or "failed quota" in said:
        advice = "raise the namespace's ResourceQuota, or give the component resources that fit"
        if "must specify" in said:
            # Also of the broker and of pulls, for which the spec has no resources.
            advice = "make a LimitRange in the namespace, whose defaults are for all pods that say nothing themselves"
        return Failure(component=component, reason=reasons.QUOTA_EXCEEDED, message=f"{said}: {advice}")
    if "violates PodSecurity" in said:
        advice = "what Parley makes fits the restricted level: does something else change its pods?"
        return Failure(component=component, reason=reasons.POD_SECURITY_REFUSED, message=f"{said}: {advice}")
    advice = "change who refuses them (a LimitRange, a webhook, a policy), or the component's resources"
    return Failure(component=component, reason=reasons.POD_REFUSED, message=f"its pods are refused: {said}: {advice}")


def not_taken(component: str, child: str, said: str) -> Failure:
    """Say why the API server did not take a child.

    Args:
        component: whose it is.
        child: its kind and name.
        said: the API server's words.
    """
    reason, advice = reasons.APPLY_FAILED, "it is tried again; see the operator's log"
    if "exceeded quota" in said:
        reason, advice = reasons.QUOTA_EXCEEDED, "raise the namespace's ResourceQuota"
    elif "must support resize" in said:
        advice = (
            "its StorageClass lets no volume grow: allow it there (allowVolumeExpansion), if its provisioner can, "
            "or make another assistant with a larger one; this one goes on with what it has"
        )
    elif "updates to statefulset spec for fields other than" in said or "field is immutable" in said:
        # An operator of another version made it.
        kind, _, name = child.partition("/")
        advice = f"it cannot become what it should be: kubectl delete {kind.lower()} {name}, and it is made anew"
    elif " is invalid: " in said:
        advice = "change what the spec says there"
    elif " webhook" in said:
        advice = "the webhook is somebody else's: let them mend it, or except this namespace. It is tried again"
    elif " is forbidden: User " in said:
        advice = "the operator lacks a right: helm upgrade gives it those that its version needs"
    return Failure(component=component, reason=reason, message=f"{child} was not taken: {quoted(said)}: {advice}")


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
        yield _unmounted(component, said)
    elif reason == "FailedCreatePodSandBox" and "no runtime for" in said and not _runs(about, pods):
        advice = "the node's containerd does not know that runtime: install NVIDIA's container toolkit on it"
        yield Failure(component=component, reason=reasons.RUNTIME_CLASS_MISSING, message=f"{quoted(said)}: {advice}")


def _unmounted(component: str, said: str) -> Failure:
    """Say why a pod does not get a volume that is there, or a Secret as one."""
    if match := re.search(r'secret "([^"]+)" not found', said):
        advice = "create it, and the pod starts"
        return Failure(
            component=component, reason=reasons.SECRET_MISSING, message=f"there is no Secret {match[1]}: {advice}"
        )
    if "references non-existent secret key" in said:
        return misconfigured(component, quoted(said))
    message = f"a volume cannot be mounted: {quoted(said)}"
    if "Multi-Attach" in said:
        message = (
            "its volume is at one node at a time, and another pod has it elsewhere: keep its pods on one node "
            "(gpu.nodeSelector), or take a volume that many nodes mount (existingClaim)"
        )
    return Failure(component=component, reason=reasons.VOLUME_FAILED, message=message)


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
    return Failure(component=component, reason=reasons.VOLUME_FAILED, message=f"no volume is made: {quoted(said)}")


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
