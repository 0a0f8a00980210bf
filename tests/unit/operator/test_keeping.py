"""What is kept of an object is what somebody reads: everything else that happens to it is nothing that happened."""

import copy
from typing import Any

import pytest

from parley_operator.failures import failures
from parley_operator.keeping import kept
from parley_operator.seen import node_of

POD: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {
        "name": "libra-asr-1",
        "namespace": "voices",
        "uid": "1",
        "resourceVersion": "5",
        "labels": {"app.kubernetes.io/component": "asr"},
        "annotations": {"somebody.example/else": "here"},
    },
    "spec": {
        "nodeName": "node-1",
        "containers": [{"name": "asr", "image": "asr:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
    },
    "status": {
        "phase": "Running",
        "podIP": "198.18.0.1",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "message": "1 Insufficient nvidia.com/gpu",
                "lastProbeTime": None,
            },
            {"type": "Ready", "status": "False"},
        ],
        "containerStatuses": [
            {
                "name": "asr",
                "image": "asr:1",
                "ready": False,
                "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"exitCode": 1, "message": "no model"}},
            }
        ],
    },
}
DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "libra-asr", "namespace": "voices", "uid": "2", "labels": POD["metadata"]["labels"]},
    "spec": {"replicas": 1},
    "status": {
        "replicas": 1,
        "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}],
    },
}


def test_of_a_pod_that_its_node_holds_remains_that_it_does() -> None:
    lost = copy.deepcopy(POD)
    lost["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    lost["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "a taint"}
    ]

    [failure] = failures(pods=[kept(lost)], children=[], events=[])

    assert failure.reason == "NodeLost"
    assert failure.message.startswith("node-1 does not answer")


def test_of_a_pod_and_a_deployment_remains_whatever_failures_read() -> None:
    whole = failures(pods=[POD], children=[DEPLOYMENT], events=[])

    assert {failure.reason for failure in whole} == {"InsufficientGPU", "CrashLooping", "QuotaExceeded"}
    assert failures(pods=[kept(POD)], children=[kept(DEPLOYMENT)], events=[]) == whole
    assert node_of([kept(POD)], "asr") == "node-1"


@pytest.mark.parametrize(
    "path, value",
    [
        (("metadata", "resourceVersion"), "6"),
        (("metadata", "managedFields"), [{"manager": "kubelet"}]),
        (("metadata", "annotations"), {}),
        (("status", "podIP"), "198.18.0.2"),
        (("status", "startTime"), "2026-01-02T03:04:05Z"),
    ],
)
def test_what_nobody_reads_is_no_difference(path: tuple[str, str], value: object) -> None:
    other = copy.deepcopy(POD)
    other[path[0]][path[1]] = value

    assert kept(other) == kept(POD)


@pytest.mark.parametrize("path, value", [(("status", "phase"), "Failed"), (("spec", "nodeName"), "node-2")])
def test_what_somebody_reads_is_a_difference(path: tuple[str, str], value: object) -> None:
    other = copy.deepcopy(POD)
    other[path[0]][path[1]] = value

    assert kept(other) != kept(POD)


@pytest.mark.parametrize("kind", ["VoiceAssistant", "ConfigMap", "ControllerRevision", "NetworkPolicy"])
def test_of_what_is_compared_with_a_plan_everything_is_kept_but_who_wrote_it(kind: str) -> None:
    whole = {
        "kind": kind,
        "metadata": {"name": "libra", "annotations": {"a": "b"}, "generation": 2},
        "spec": {"a": 1},
        "data": {"b": "c"},
        "status": {"phase": "Ready"},
    }

    assert kept({**whole, "metadata": {**whole["metadata"], "managedFields": []}}) == whole  # type: ignore[dict-item]
