"""What Kubernetes says of pods, Jobs and volumes becomes a component, a reason and words that say what to do.

The messages of others are as Kubernetes 1.34 and containerd write them.
"""

from typing import Any

import pytest

from parley_operator.failures import failures, not_taken
from parley_operator.pod_failures import Failure
from parley_operator.resources.objects import Object

QUOTA = (
    'pods "libra-asr-7d9-x" is forbidden: exceeded quota: small, requested: requests.memory=256Mi, '
    "used: requests.memory=1Gi, limited: requests.memory=1Gi"
)
POD_SECURITY = 'pods "libra-asr-7d9-x" is forbidden: violates PodSecurity "restricted:latest": privileged'
NO_RUNTIME_CLASS = 'pods "libra-asr-7d9-x" is forbidden: pod rejected: RuntimeClass "nvidia" not found'
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
ELSEWHERE = (
    "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) were unschedulable."
)
CANNOT_GROW = (
    'persistentvolumeclaims "libra-models" is forbidden: only dynamically provisioned pvc can be resized and the '
    "storageclass that provisions the pvc must support resize"
)
UNREACHABLE = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }."
FULL_AND_NO_GPU = (
    "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint "
    "{node.kubernetes.io/disk-pressure: }."
)
UNTOLERATED = "0/2 nodes are available: 2 node(s) had untolerated taint {nvidia.com/gpu: present}."


def labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "libra"}


def pod(component: str = "asr", *, name: str = "", limits: dict[str, str] | None = None, **status: object) -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": name or f"libra-{component}-7d9-x", "labels": labels(component)},
        "spec": {"containers": [{"name": component, "resources": {"limits": limits or {}}}]},
        "status": status,
    }


def container(component: str = "asr", *, state: Any = None, last: Any = None) -> Object:  # noqa: ANN401  # any state
    status = {"name": component, "image": "here/parley-asr:1", "state": state or {}, "lastState": last or {}}
    return pod(component, phase="Running", containerStatuses=[status])


def waiting(reason: str, message: str = "", *, last: Any = None) -> Object:  # noqa: ANN401  # as `container`
    return container(state={"waiting": {"reason": reason, "message": message}}, last=last)


def unscheduled(message: str, **more: Any) -> Object:  # noqa: ANN401  # as `pod`
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(phase="Pending", conditions=[condition], **more)


def child(kind: str, suffix: str, component: str, **status: object) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": f"libra-{suffix}", "labels": labels(component), "annotations": {"parley.dev/model": "m"}},
        "status": status,
    }


def refused(message: str) -> Object:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return child("Deployment", "asr", "asr", conditions=[condition])


def event(kind: str, name: str, reason: str, message: str) -> Object:
    return {"involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message, "type": "Warning"}


def found(*, pods: list[Object] = [], children: list[Object] = [], events: list[Object] = []) -> tuple[Failure, ...]:  # noqa: B006
    return failures(pods=pods, children=children, events=events)


@pytest.mark.parametrize(
    "of, reason, says",
    [
        (
            unscheduled(NO_GPU, limits={"nvidia.com/gpu": "1"}),
            "InsufficientGPU",
            ["free share of nvidia.com/gpu", "shows none at all, the device plugin is missing", NO_GPU[:-1]],
        ),
        (
            unscheduled(FULL_AND_NO_GPU, limits={"nvidia.com/gpu": "1"}),
            "InsufficientGPU",
            ["the disk of a node is nearly full: free some", "; no node has a free share of nvidia.com/gpu"],
        ),
        (
            unscheduled(UNREACHABLE),
            "Unschedulable",
            ["a node does not answer: start it, or its kubelet (k3s), again. The scheduler says: 0/1"],
        ),
        (unscheduled(UNTOLERATED), "Unschedulable", ["gpu.tolerations", UNTOLERATED[:-1]]),
        (
            unscheduled(ELSEWHERE),
            "Unschedulable",
            ["its volume lies on a node that does not take the pod now", ELSEWHERE[:-1]],
        ),
        (
            unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"),
            "VolumePending",
            ["waits for its volume"],
        ),
        (
            unscheduled(
                'running PreBind plugin "VolumeBinding": Operation cannot be fulfilled on persistentvolumeclaims '
                '"libra-models": the object has been modified'
            ),
            "VolumePending",
            ["waits for its volume"],
        ),
        (
            unscheduled('persistentvolumeclaim "libra-models" is being deleted'),
            "VolumeFailed",
            ["set suspend to true and, once they are gone, to false again"],
        ),
        (
            unscheduled('persistentvolumeclaim "mine" not found'),
            "VolumeFailed",
            ["kubectl get pvc", 'persistentvolumeclaim "mine" not found'],
        ),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "here/parley-asr:1"'),
            "ImagePullFailed",
            ["here/parley-asr:1", "images.pullSecrets"],
        ),
        (waiting("InvalidImageName"), "ImagePullFailed", ["cannot be pulled: InvalidImageName. Check images.registry"]),
        (
            waiting("CrashLoopBackOff", "back-off", last={"terminated": {"exitCode": 1, "message": "no\n such model"}}),
            "CrashLooping",
            ["exit code 1", "it said last: no such model"],
        ),
        (
            waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 2}}),
            "CrashLooping",
            ["exit code 2", "kubectl logs"],
        ),
        (
            waiting("CrashLoopBackOff", last={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
            "OutOfMemory",
            ["its node had no memory left", "smaller models"],
        ),
        (
            pod(
                limits={"memory": "2Gi"},
                containerStatuses=[{"state": {}, "lastState": {"terminated": {"reason": "OOMKilled"}}}],
            ),
            "OutOfMemory",
            ["more memory than its limit of 2Gi: raise the memory limit"],
        ),
        (
            waiting("CreateContainerConfigError", 'secret "vault" not found'),
            "SecretMissing",
            ['secret "vault" not found: create it'],
        ),
        (
            waiting("CreateContainerConfigError", "couldn't find key token in Secret default/vault"),
            "KeyMissing",
            ["couldn't find key token in Secret default/vault", "add the key"],
        ),
        (waiting("RunContainerError", "exec: no such file"), "ContainerFailed", ["exec: no such file"]),
        (
            pod(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed due to no healthy devices"),
            "AdmissionFailed",
            ["UnexpectedAdmissionError", "no healthy devices", "reboot"],
        ),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted", ["low on memory", "requests"]),
    ],
)
def test_a_pod_says_what_is_wrong_and_what_to_do(of: Object, reason: str, says: list[str]) -> None:
    [failure] = found(pods=[of])

    assert (failure.component, failure.reason) == ("asr", reason)
    for words in says:
        assert words in failure.message


@pytest.mark.parametrize(
    "message, reason, says",
    [
        (QUOTA, "QuotaExceeded", "raise the namespace's ResourceQuota"),
        (
            'pods "libra-asr-7d9-x" is forbidden: failed quota: small: must specify limits.memory for: asr',
            "QuotaExceeded",
            "must specify limits.memory for: asr: make a LimitRange in the namespace",
        ),
        (POD_SECURITY, "PodSecurityRefused", "restricted level"),
        (NO_RUNTIME_CLASS, "RuntimeClassMissing", "no RuntimeClass nvidia: install NVIDIA's container runtime"),
        (
            'pods "libra-asr-7d9-x" is forbidden: minimum cpu usage per Container is 200m, but request is 50m',
            "PodRefused",
            "minimum cpu usage per Container is 200m, but request is 50m: change who refuses them",
        ),
        ("admission webhook denied the request", "PodRefused", "admission webhook denied the request"),
    ],
)
def test_pods_that_are_not_taken_are_told_by_their_deployment(message: str, reason: str, says: str) -> None:
    [failure] = found(children=[refused(message)])

    assert (failure.component, failure.reason) == ("asr", reason)
    assert says in failure.message
    # Each try has another name: the status would change with every one of them.
    assert "libra-asr-7d9-x" not in failure.message


def test_a_statefulset_and_a_job_tell_it_by_events_while_they_have_no_pod() -> None:
    broker = child("StatefulSet", "nats", "nats")
    said = event("StatefulSet", "libra-nats", "FailedCreate", QUOTA)

    [failure] = found(children=[broker], events=[said])

    assert (failure.component, failure.reason) == ("nats", "QuotaExceeded")
    assert found(children=[broker], events=[said], pods=[pod("nats", name="libra-nats-0", phase="Running")]) == ()


def test_an_old_event_of_a_deployment_that_has_its_pods_again_says_nothing() -> None:
    asr = child("Deployment", "asr", "asr", conditions=[])

    assert found(children=[asr], events=[event("ReplicaSet", "libra-asr-7d9", "FailedCreate", QUOTA)]) == ()


@pytest.mark.parametrize(
    "reason, message, becomes, says",
    [
        (
            "ProvisioningFailed",
            'storageclass.storage.k8s.io "fast" not found',
            "StorageClassMissing",
            "no StorageClass fast: name one that kubectl get storageclass lists",
        ),
        (
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
            "StorageClassMissing",
            "no default StorageClass: mark one",
        ),
        ("ProvisioningFailed", "the disk array is away", "VolumeFailed", "the disk array is away"),
    ],
)
def test_a_claim_without_a_volume_says_why(reason: str, message: str, becomes: str, says: str) -> None:
    claim = child("PersistentVolumeClaim", "models", "models", phase="Pending")
    said = event("PersistentVolumeClaim", "libra-models", reason, message)
    # Nothing keeps other kinds from having the same name, as those of the broker do.
    namesake = child("Service", "models", "models")

    [failure] = found(children=[namesake, claim], events=[said])

    assert (failure.component, failure.reason) == ("models", becomes)
    assert says in failure.message
    bound = child("PersistentVolumeClaim", "models", "models", phase="Bound")
    assert found(children=[namesake, bound], events=[said]) == ()


@pytest.mark.parametrize(
    "reason, message, becomes",
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "bus-key" : secret "libra-nats-asr" not found',
            "SecretMissing",
        ),
        ("FailedMount", "MountVolume.SetUp failed: references non-existent secret key: asr.creds", "KeyMissing"),
        ("FailedAttachVolume", "AttachVolume.Attach failed for volume pvc-1: timed out", "VolumeFailed"),
        ("FailedCreatePodSandBox", 'no runtime for "nvidia" is configured', "RuntimeClassMissing"),
    ],
)
def test_a_pod_that_hangs_before_its_container_says_why_until_it_runs(reason: str, message: str, becomes: str) -> None:
    said = event("Pod", "libra-asr-7d9-x", reason, message)

    [failure] = found(pods=[pod(phase="Pending")], events=[said])

    assert (failure.component, failure.reason) == ("asr", becomes)
    assert found(pods=[pod(phase="Running")], events=[said]) == ()


def test_a_volume_that_another_node_holds_is_told_with_what_keeps_pods_together() -> None:
    said = event(
        "Pod", "libra-asr-7d9-x", "FailedAttachVolume", "Multi-Attach error for volume pvc-1 Volume is already"
    )

    [failure] = found(pods=[pod(phase="Pending")], events=[said])

    assert failure.reason == "VolumeFailed"
    assert "another pod has it elsewhere: keep its pods on one node (gpu.nodeSelector)" in failure.message


def test_who_waits_for_a_volume_that_cannot_be_made_has_nothing_to_add() -> None:
    claim = child("PersistentVolumeClaim", "models", "models", phase="Pending")
    said = event("PersistentVolumeClaim", "libra-models", "ProvisioningFailed", 'storageclass "fast" not found')
    waits = unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")

    assert [each.reason for each in found(children=[claim], events=[said], pods=[waits])] == ["StorageClassMissing"]


def test_a_pod_that_its_node_never_lets_go_is_told_until_another_one_runs() -> None:
    lost = pod("nats", name="libra-nats-0", phase="Running")
    lost["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    lost["spec"]["nodeName"] = "attic"
    evicted = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    lost["status"]["conditions"] = [evicted]

    [failure] = found(pods=[lost])

    assert (failure.component, failure.reason, failure.may_pass) == ("nats", "NodeLost", True)
    assert failure.message.startswith(
        "attic does not answer, and holds its pod: start it again, or kubectl delete node"
    )
    assert found(pods=[lost, pod("nats", name="libra-nats-1", phase="Running")]) == ()


@pytest.mark.parametrize(
    "said, reason, advice",
    [
        (
            'services "libra-nats" is forbidden: exceeded quota: q, requested: count/services=1',
            "QuotaExceeded",
            "raise the namespace's ResourceQuota",
        ),
        (
            'Deployment.apps "libra-asr" is invalid: spec.x: Invalid value: "2": must be at most the limit',
            "ApplyFailed",
            "change what the spec says there",
        ),
        (
            'Deployment.apps "libra-asr" is invalid: spec.selector: Invalid value: {}: field is immutable',
            "ApplyFailed",
            "kubectl delete deployment libra-asr, and it is made anew",
        ),
        (CANNOT_GROW, "ApplyFailed", "allow it there (allowVolumeExpansion)"),
        ('failed calling webhook "policy.example": no endpoints', "ApplyFailed", "let them mend it"),
        (
            'deployments.apps is forbidden: User "system:serviceaccount:p:o" cannot create resource "deployments"',
            "ApplyFailed",
            "helm upgrade gives it those",
        ),
        ("something else", "ApplyFailed", "see the operator's log"),
    ],
)
def test_a_child_that_is_not_taken_is_told_with_who_can_do_something_about_it(
    said: str, reason: str, advice: str
) -> None:
    failure = not_taken("asr", "Deployment/libra-asr", said)

    assert failure.reason == reason
    assert failure.message.startswith(f"Deployment/libra-asr was not taken: {said}: ")
    assert advice in failure.message


def test_a_pull_that_failed_says_what_its_last_pod_said() -> None:
    ended = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached the limit",
    }
    job = child("Job", "pull-0123456789", "pull", conditions=[ended])
    last = pod("pull", name="libra-pull-0123456789-abcde", phase="Failed")
    last["metadata"]["labels"]["batch.kubernetes.io/job-name"] = "libra-pull-0123456789"
    last["status"]["containerStatuses"] = [
        {"name": "pull", "state": {"terminated": {"exitCode": 1, "message": "no source gave m."}}}
    ]

    [failure] = found(children=[job], pods=[last])

    assert failure.reason == "ModelPullFailed"
    assert failure.message.startswith("m could not be pulled: no source gave m. It is tried again every ten minutes")
    assert "kubectl delete job libra-pull-0123456789" in failure.message


def test_a_pull_for_which_there_is_no_room_says_where_to_make_some() -> None:
    ended = {"type": "Failed", "status": "True", "message": "write /models/blob: no space left on device"}

    [failure] = found(children=[child("Job", "pull-0123456789", "pull", conditions=[ended])])

    assert "no space left on device. Make room on the node, or raise storage.modelCache.size" in failure.message


def test_a_pod_on_its_way_out_and_one_that_runs_have_nothing_to_say() -> None:
    leaving = unscheduled(NO_GPU)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    restarted = container(state={"running": {}}, last={"terminated": {"reason": "OOMKilled"}})

    assert found(pods=[leaving, restarted]) == ()


def test_what_a_node_gave_up_is_forgotten_once_another_pod_runs() -> None:
    given_up = pod(phase="Failed", reason="UnexpectedAdmissionError", message="no healthy devices")

    assert len(found(pods=[given_up, pod(name="libra-asr-7d9-y", phase="Pending")])) == 1
    assert found(pods=[given_up, pod(name="libra-asr-7d9-y", phase="Running")]) == ()


def test_the_same_trouble_of_two_pods_is_said_once() -> None:
    assert len(found(pods=[unscheduled(UNTOLERATED), unscheduled(UNTOLERATED)])) == 1


def test_what_a_process_says_to_a_terminal_is_left_out() -> None:
    said = "\x1b[?2026h\x1b[1Gpulling manifest \x1b[K\x1b[?25h\nError: no such\tmodel\x00"

    [crash] = found(pods=[waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 1, "message": said}})])

    assert crash.message.endswith("it said last: pulling manifest Error: no such model")


def test_long_messages_are_cut_where_a_reader_would() -> None:
    log = "x" * 5000 + " the reason"
    [crash] = found(pods=[waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 1, "message": log}})])
    [pull] = found(pods=[waiting("ErrImagePull", "y" * 5000)])

    assert crash.message.endswith("the reason")
    assert max(len(crash.message), len(pull.message)) < 1000
