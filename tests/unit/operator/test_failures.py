"""What Kubernetes says of pods, Jobs and volumes becomes a component, a reason and words that say what to do.

The messages of others are as Kubernetes 1.34 and containerd write them.
"""

from typing import Any

import pytest

from parley_operator.failures import failures
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
            ["free share of nvidia.com/gpu", NO_GPU[:-1]],
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
            unscheduled('persistentvolumeclaim "mine" not found'),
            "VolumeFailed",
            ["kubectl get pvc", 'persistentvolumeclaim "mine" not found'],
        ),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "here/parley-asr:1"'),
            "ImagePullFailed",
            ["here/parley-asr:1", "images.pullSecrets"],
        ),
        (waiting("InvalidImageName"), "ImagePullFailed", ["cannot be pulled: InvalidImageName. check images.registry"]),
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
            ["memory limit", "smaller model"],
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
        (POD_SECURITY, "PodSecurityRefused", "restricted level"),
        (NO_RUNTIME_CLASS, "RuntimeClassMissing", "no RuntimeClass nvidia: install NVIDIA's container runtime"),
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
        ("FailedAttachVolume", "Multi-Attach error for volume pvc-1", "VolumeFailed"),
        ("FailedCreatePodSandBox", 'no runtime for "nvidia" is configured', "RuntimeClassMissing"),
    ],
)
def test_a_pod_that_hangs_before_its_container_says_why_until_it_runs(reason: str, message: str, becomes: str) -> None:
    said = event("Pod", "libra-asr-7d9-x", reason, message)

    [failure] = found(pods=[pod(phase="Pending")], events=[said])

    assert (failure.component, failure.reason) == ("asr", becomes)
    assert found(pods=[pod(phase="Running")], events=[said]) == ()


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
