"""Whatever keeps an assistant from its work reaches its conditions, in words that say what to do, and goes with it."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, until_ready, until_says
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.observing import condition
from parley_testkit.control_plane.plane import STORAGE_CLASS, ControlPlane
from parley_testkit.control_plane.stages import Fate
from parley_testkit.control_plane.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

ON_GPU: Object = {"gpu": {"sharing": "shared"}, "asr": {"device": "auto"}}


class Case(NamedTuple):
    """What becomes of a component's pods, and what is said of it."""

    component: str
    fate: Fate
    says: str
    kind: str
    reason: str
    words: str


@pytest.mark.parametrize(
    "cases",
    [
        (
            Case("asr", "crash-loop", "model.bin: no such file", "ASRReady", "CrashLooping", "it said last: model.bin"),
            Case("tts", "image-pull", "", "TTSReady", "ImagePullFailed", "Check images.registry, images.tag and"),
            Case("gateway", "rejected", "Allocate failed", "GatewayConnected", "AdmissionFailed", "a node's reboot"),
            Case("nats", "crash-loop", "no space left", "StreamsReady", "CrashLooping", "no space left"),
        ),
        (
            Case("asr", "oom", "", "ASRReady", "OutOfMemory", "its node had no memory left"),
            Case(
                "gateway",
                "config-error",
                'secret "bot" not found',
                "GatewayConnected",
                "SecretMissing",
                "create it, and it starts",
            ),
        ),
    ],
    ids=lambda cases: "-".join(case.fate for case in cases),
)
def test_what_becomes_of_pods_becomes_conditions(namespace: Namespace, cases: tuple[Case, ...]) -> None:
    for case in cases:
        namespace.doom(case.component, case.fate, case.says)

    namespace.apply(assistant())

    for case in cases:
        said = until_says(namespace, case.kind, case.reason)
        assert said["status"] == "False"
        assert case.words in said["message"]
        until(lambda reason=case.reason: namespace.events(reason), bool)  # type: ignore[misc]
    seen = namespace.get(ASSISTANTS, "libra")
    assert condition(seen, "Ready")["status"] == "False"
    assert seen["status"]["phase"] == "Failing"


def test_a_model_that_cannot_be_pulled_is_told_with_what_the_pull_said_last(namespace: Namespace) -> None:
    namespace.doom("pull", "failed", "404 from the hub")
    namespace.apply(assistant())
    jobs = until(lambda: namespace.find("batch/v1/jobs"), lambda jobs: len(jobs) == 5)
    for job in jobs:  # Kubernetes tries four times, in which it waits for 70 s
        patch = '{"spec":{"backoffLimit":0}}'
        namespace.kubectl("patch", "job", job["metadata"]["name"], "--type=merge", f"--patch={patch}")

    said = until_says(namespace, "ModelsCached", "ModelPullFailed")

    assert "404 from the hub. It is tried again every ten minutes" in said["message"]
    assert namespace.get(ASSISTANTS, "libra")["status"]["phase"] == "Failing"


def test_a_failure_that_is_over_is_told_as_over(namespace: Namespace) -> None:
    namespace.doom("tts", "crash-loop", "no voice")
    namespace.apply(assistant())
    until_says(namespace, "TTSReady", "CrashLooping")

    namespace.spare("tts")
    namespace.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=tts")

    seen = until_ready(namespace)
    assert condition(seen, "Degraded")["status"] == "False"
    assert len(namespace.events("CrashLooping")) == 1


def test_a_card_that_is_not_there_is_told_with_the_schedulers_words(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.apply(assistant(**ON_GPU))

    said = until_says(namespace, "GPUScheduled", "InsufficientGPU")

    assert "no node has a free share of nvidia.com/gpu" in said["message"]
    assert "0/2 nodes are available" in said["message"]
    assert namespace.get(ASSISTANTS, "libra")["status"]["phase"] == "Pending"
    with plane.node(Node(name="gpu-late", gpus=1, gpu_shares=4)):
        seen = until_ready(namespace)
        assert seen["status"]["vram"]["node"] == "gpu-late"


@pytest.mark.parametrize(
    "spec, kind, reason, words",
    [
        (
            {"gpu": {"sharing": "shared", "runtimeClassName": "nowhere"}, "asr": {"device": "auto"}},
            "GPUScheduled",
            "RuntimeClassMissing",
            "the cluster has no RuntimeClass nowhere",
        ),
        (
            {"storage": {"modelCache": {"storageClassName": "nowhere"}}},
            "ModelsCached",
            "StorageClassMissing",
            "the cluster has no StorageClass nowhere",
        ),
    ],
)
def test_what_the_cluster_lacks_is_named(
    plane: ControlPlane, namespace: Namespace, spec: Object, kind: str, reason: str, words: str
) -> None:
    with plane.node(Node(name=f"gpu-{reason.lower()}", gpus=1, gpu_shares=4)):
        namespace.apply(assistant(**spec))

        assert words in until_says(namespace, kind, reason)["message"]


def test_a_quota_that_stops_pods_and_one_that_stops_children_are_both_told(namespace: Namespace) -> None:
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    namespace.apply({**quota, "spec": {"hard": {"count/services": "2"}}}, assistant())
    until(
        lambda: condition(namespace.get(ASSISTANTS, "libra"), "Degraded"),
        lambda said: said["reason"] == "QuotaExceeded" and "Service/libra-" in said["message"],
    )

    namespace.apply({**quota, "spec": {"hard": {"pods": "0"}}})

    until(
        lambda: condition(namespace.get(ASSISTANTS, "libra"), "Degraded"),
        lambda said: said["reason"] == "QuotaExceeded" and "pods" in said["message"],
        within_s=40,
    )
    namespace.kubectl("delete", "resourcequota", "small")


def test_a_broker_whose_image_cannot_be_pulled_comes_up_once_the_spec_names_another_one(namespace: Namespace) -> None:
    namespace.doom("nats", "image-pull")
    namespace.apply(assistant())
    until_says(namespace, "StreamsReady", "ImagePullFailed")

    namespace.spare("nats")
    namespace.apply(assistant(images={"registry": "registry.test/right"}))

    seen = until_ready(namespace)
    assert seen["status"]["components"]["nats"]["image"] == "registry.test/right/nats:2.15.2-alpine"


@contextlib.contextmanager
def webhook_that_is_away(plane: ControlPlane, namespace: Namespace) -> Iterator[None]:
    """Have somebody's webhook in between that does not answer, for the Ingresses of one namespace."""
    name, kind = f"away.{namespace.name}.test", "admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["ingresses"]}
    webhook = {
        "name": name,
        "clientConfig": {"url": "https://127.0.0.1:9"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    version, _, _ = kind.rpartition("/")
    plane.admin.apply(
        {
            "apiVersion": version,
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook],
        }
    )
    backend = {"service": {"name": "nobody", "port": {"number": 80}}}
    tried = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "tried"}}
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace.name}/ingresses"
    until(
        lambda: (
            plane.admin.http.post(
                path, params={"dryRun": "All"}, json={**tried, "spec": {"defaultBackend": backend}}
            ).status_code
        ),
        lambda code: code == 500,
    )
    try:
        yield
    finally:
        plane.admin.remove(kind, name)


def test_a_webhook_that_is_away_is_told_and_what_an_assistant_runs_without_holds_up_nothing(
    plane: ControlPlane, namespace: Namespace
) -> None:
    doors = {"web": {"ingress": {"host": "libra.example"}}}
    with webhook_that_is_away(plane, namespace):
        namespace.apply(assistant(doors=doors))

        said = until_says(namespace, "Degraded", "ApplyFailed")
        assert "Ingress/libra-gateway was not taken: " in said["message"]
        assert "the webhook is somebody else's" in said["message"]
        until_says(namespace, "Ready", "Ready")

    namespace.apply(assistant(doors=doors, slo={"e2ftMs": 900}))  # or it is tried again later and later
    namespace.until("networking.k8s.io/v1/ingresses", "libra-gateway", bool)
    assert condition(until_ready(namespace), "Degraded")["status"] == "False"


def test_a_volume_that_cannot_grow_is_told_and_everything_else_goes_on(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)
    larger = {"modelCache": {"size": "40Gi"}}

    namespace.apply(
        assistant(storage=larger, tts={"speed": 1.2}, doors={"web": {"ingress": {"host": "libra.example"}}})
    )

    said = until_says(namespace, "Degraded", "ApplyFailed")
    assert "PersistentVolumeClaim/libra-models was not taken: " in said["message"]
    assert "its StorageClass lets no volume grow" in said["message"]
    namespace.until("networking.k8s.io/v1/ingresses", "libra-gateway", bool)
    until_says(namespace, "Ready", "Ready")
    [container] = namespace.get("apps/v1/deployments", "libra-tts")["spec"]["template"]["spec"]["containers"]
    assert {"name": "TTS_SPEED", "value": "1.2"} in container["env"]


def test_pods_of_a_volume_that_any_node_can_have_go_to_one_node(plane: ControlPlane, namespace: Namespace) -> None:
    anywhere = plane.admin.get("storage.k8s.io/v1/storageclasses", STORAGE_CLASS)
    name = f"anywhere-{namespace.name}"
    made = {key: anywhere[key] for key in ("apiVersion", "kind", "provisioner", "reclaimPolicy")}
    plane.admin.apply({**made, "metadata": {"name": name}, "volumeBindingMode": "Immediate"})

    namespace.apply(assistant(storage={"modelCache": {"storageClassName": name}}))

    seen = until_ready(namespace)
    parts = seen["status"]["components"]
    assert len({parts[each]["node"] for each in ("asr", "tts", "gateway", "ollama")}) == 1
    plane.admin.remove("storage.k8s.io/v1/storageclasses", name)


def test_a_claim_that_is_deleted_under_running_pods_is_made_anew_by_a_pause(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)
    first = namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["uid"]

    namespace.kubectl("delete", "pvc", "libra-models", "--wait=false")
    namespace.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=asr")

    said = until_says(namespace, "ASRReady", "VolumeFailed")
    assert "its claim is being deleted, which waits for the pods that have it: set suspend to true" in said["message"]
    namespace.apply(assistant(suspend=True))
    namespace.until("v1/persistentvolumeclaims", "libra-models", lambda seen: seen and seen["metadata"]["uid"] != first)
    namespace.apply(assistant(suspend=False))
    until_ready(namespace)


def test_two_nodes_and_a_volume_that_is_made_where_the_card_is(plane: ControlPlane, namespace: Namespace) -> None:
    with plane.node(Node(name="gpu-of-volumes", gpus=1, gpu_shares=4)):
        namespace.apply(assistant(**ON_GPU))

        seen = until_ready(namespace)

        assert seen["status"]["components"]["asr"]["node"] == "gpu-of-volumes"
        volume = namespace.get("v1/persistentvolumeclaims", "libra-models")["spec"]["volumeName"]
        terms = plane.admin.get("v1/persistentvolumes", volume)["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert terms[0]["matchExpressions"][0]["values"] == ["gpu-of-volumes"]
