"""What the operator decides holds on a real control plane: every sample comes up, and each failure says what it is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley_contract.resource.status import Status
from parley_operator.resources.objects import Object
from parley_testkit.control_plane.access import Access
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import GPU, Node
from parley_testkit.control_plane.plane import STORAGE_CLASS, ControlPlane
from parley_testkit.control_plane.stages import Fate
from parley_testkit.control_plane.waiting import until
from parley_testkit.operator_by_hand import Hand

SAMPLES = sorted((Path(__file__).parents[2] / "docs/samples").glob("*.yaml"))
TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
SECRETS: dict[str, tuple[str, ...]] = {
    "libra-discord": ("token",),
    "libra-nats": ("asr.creds", "agent.creds", "tts.creds", "gateway.creds"),
}
LAPTOP = {"profile": "laptop"}
SHARED = {"profile": "lowLatency", "gpu": {"tolerations": [{"key": GPU, "operator": "Exists"}]}}

pytestmark = pytest.mark.usefixtures("voice_assistants")


@pytest.fixture(scope="module")
def runtime_class(shared_plane: ControlPlane) -> Iterator[None]:
    manifest = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "n"}
    shared_plane.admin.apply(manifest)
    yield
    shared_plane.admin.kubectl("delete", "runtimeclass", "nvidia")


@pytest.fixture
def card(shared_plane: ControlPlane, runtime_class: None) -> Iterator[Node]:
    """A node with one card of four shares, which takes only who tolerates that."""
    node = Node(name="card-1", gpus=1, gpu_shares=4, taints=(TAINT,))
    with shared_plane.node(node):
        yield node


def write(namespace: Namespace, spec: Object) -> None:
    names = {"name": "libra"}
    namespace.apply({"apiVersion": "parley.dev/v1alpha1", "kind": "VoiceAssistant", "metadata": names, "spec": spec})


def hand(plane: ControlPlane, namespace: Namespace, name: str = "libra") -> Hand:
    return Hand(plane.admin, namespace.name, name)


def is_phase(*phases: str) -> Callable[[Status], bool]:
    return lambda current: current.phase in phases


def has(kind: str, status: str, reason: str) -> Callable[[Status], bool]:
    return lambda current: any(
        (each.type, each.status, each.reason) == (kind, status, reason) for each in current.conditions
    )


def message(current: Status, kind: str) -> str:
    return next(each.message for each in current.conditions if each.type == kind)


def pods(access: Access, namespace: Namespace) -> dict[str, Object]:
    found = access.find("v1/pods", namespace.name, labels="app.kubernetes.io/name=parley")
    return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in found}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_becomes_ready_and_then_nothing_is_written(
    plane: ControlPlane, namespace: Namespace, runtime_class: None, path: Path
) -> None:
    for name, keys in SECRETS.items():
        namespace.kubectl("create", "secret", "generic", name, *(f"--from-literal={key}=hush" for key in keys))
    namespace.kubectl("apply", "--filename", str(path))
    hands = [hand(plane, namespace, each["metadata"]["name"]) for each in yaml.safe_load_all(path.read_text())]
    # Untainted, because not every sample knows of taints.
    with plane.node(Node(name=f"card-of-{path.stem}", gpus=1, gpu_shares=4)):
        for each in hands:
            each.until(is_phase("Ready", "Degraded"))
        before = [child["metadata"]["resourceVersion"] for each in hands for child in each.children()]

        again = [each.look_and_act()[0] for each in hands]

        assert not any(again)
        assert [child["metadata"]["resourceVersion"] for each in hands for child in each.children()] == before


def test_models_come_to_be_where_the_card_is_and_all_that_mount_them_follow(
    plane: ControlPlane, namespace: Namespace, card: Node
) -> None:
    write(namespace, SHARED)

    current = hand(plane, namespace).until(is_phase("Ready"))

    nodes = {component: pod["spec"]["nodeName"] for component, pod in pods(plane.admin, namespace).items()}
    assert {nodes[name] for name in ("asr", "ollama", "tts", "gateway")} == {card.name}
    assert nodes["nats"] != card.name
    assert current.vram is not None
    assert current.vram.node == card.name


def test_a_card_that_has_no_share_left_is_told_in_the_schedulers_own_words(
    plane: ControlPlane, namespace: Namespace, runtime_class: None
) -> None:
    write(namespace, SHARED)
    with plane.node(Node(name="card-3", gpus=1, gpu_shares=1, taints=(TAINT,))):
        current = hand(plane, namespace).until(has("GPUScheduled", "False", "InsufficientGPU"))

    assert "Insufficient nvidia.com/gpu" in message(current, "GPUScheduled")
    assert current.phase == "Pending"


def test_a_runtime_class_that_is_not_there_is_named(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, {**SHARED, "gpu": {**SHARED["gpu"], "runtimeClassName": "absent"}})  # type: ignore[dict-item]

    with plane.node(Node(name="card-4", gpus=1, gpu_shares=4, taints=(TAINT,))):
        current = hand(plane, namespace).until(has("ASRReady", "False", "RuntimeClassMissing"))

    assert "no RuntimeClass absent" in message(current, "ASRReady")


@pytest.mark.parametrize(
    "component, fate, condition, reason",
    [
        ("asr", "crash-loop", "ASRReady", "CrashLooping"),
        ("tts", "oom", "TTSReady", "OutOfMemory"),
        ("gateway", "image-pull", "GatewayConnected", "ImagePullFailed"),
        ("ollama", "config-error", "LLMReady", "SecretMissing"),
        ("agent", "rejected", "LLMReady", "AdmissionFailed"),
        ("nats", "crash-loop", "StreamsReady", "CrashLooping"),
        ("pull", "failed", "ModelsCached", "ModelPullFailed"),
    ],
)
def test_each_failure_of_a_pod_comes_to_its_condition(
    plane: ControlPlane, namespace: Namespace, component: str, fate: Fate, condition: str, reason: str
) -> None:
    namespace.doom(component, fate)
    write(namespace, LAPTOP)

    # A Job gives up after its second pod, ten seconds after the first.
    current = hand(plane, namespace).until(has(condition, "False", reason), within_s=60)

    assert current.phase == "Failing"
    assert has("Ready", "False", reason)(current)


def test_a_quota_that_is_used_up_is_named(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "small", "--hard=pods=0")
    write(namespace, LAPTOP)

    current = hand(plane, namespace).until(has("StreamsReady", "False", "QuotaExceeded"))

    assert "exceeded quota: small" in message(current, "StreamsReady")


def test_a_storage_class_that_is_not_there_is_named(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, {**LAPTOP, "storage": {"modelCache": {"storageClassName": "absent"}}})

    current = hand(plane, namespace).until(has("ModelsCached", "False", "StorageClassMissing"))

    assert "no StorageClass absent" in message(current, "ModelsCached")


def test_a_secret_that_comes_later_is_enough(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, {**LAPTOP, "asr": {"authSecretRef": {"name": "vault", "key": "token"}}})
    there = hand(plane, namespace)
    refused = there.until(has("Accepted", "False", "SecretMissing"))

    namespace.kubectl("create", "secret", "generic", "vault", "--from-literal=token=hush")

    assert refused.phase == "Refused"
    there.until(is_phase("Ready"))


def test_while_another_model_is_pulled_the_pods_of_the_one_before_stay(
    plane: ControlPlane, namespace: Namespace
) -> None:
    write(namespace, LAPTOP)
    there = hand(plane, namespace)
    there.until(is_phase("Ready"))
    before = pods(plane.admin, namespace)["asr"]["metadata"]["uid"]
    namespace.doom("pull", "running")

    write(namespace, {**LAPTOP, "asr": {"model": "base.en"}})
    pulling = there.until(has("ModelsCached", "False", "Pulling"))

    assert pulling.phase == "Ready"
    assert pods(plane.admin, namespace)["asr"]["metadata"]["uid"] == before


def test_drift_is_repaired_and_foreign_fields_are_left_alone(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, LAPTOP)
    there = hand(plane, namespace)
    there.until(is_phase("Ready"))
    namespace.kubectl("scale", "deployment/libra-agent", "--replicas=2")
    namespace.kubectl("annotate", "deployment/libra-agent", "someone/else=here")
    namespace.kubectl("set", "env", "deployment/libra-asr", "BEAM_SIZE=9")

    there.until(is_phase("Ready"))

    agent, asr = (namespace.get("apps/v1/deployments", f"libra-{name}") for name in ("agent", "asr"))
    assert (agent["spec"]["replicas"], agent["metadata"]["annotations"]["someone/else"]) == (2, "here")
    variables: dict[str, Any] = {
        each["name"]: each.get("value") for each in asr["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert variables["BEAM_SIZE"] == "1"


def test_a_suspended_assistant_has_no_pod_and_comes_back(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, LAPTOP)
    there = hand(plane, namespace)
    there.until(is_phase("Ready"))

    write(namespace, {**LAPTOP, "suspend": True})
    there.until(is_phase("Suspended"))
    until(lambda: pods(plane.admin, namespace), lambda found: not found)
    write(namespace, LAPTOP)

    there.until(is_phase("Ready"))


def test_deleting_an_assistant_takes_everything_with_it(plane: ControlPlane, namespace: Namespace) -> None:
    write(namespace, LAPTOP)
    there = hand(plane, namespace)
    there.until(is_phase("Ready"))

    namespace.kubectl("delete", "va", "libra")

    until(there.children, lambda found: not found, within_s=30)
    until(lambda: namespace.find("v1/secrets"), lambda found: not found)


def test_a_retained_volume_stays_and_the_next_one_of_that_name_pulls_nothing(
    plane: ControlPlane, namespace: Namespace
) -> None:
    cache = {"deletionPolicy": "Retain", "storageClassName": STORAGE_CLASS}
    write(namespace, {**LAPTOP, "storage": {"modelCache": cache}})
    hand(plane, namespace).until(is_phase("Ready"))
    namespace.kubectl("delete", "va", "libra")
    until(lambda: namespace.find("apps/v1/deployments"), lambda found: not found, within_s=30)
    namespace.doom("pull", "failed")

    # It names no class, and the volume shall go with it.
    write(namespace, LAPTOP)

    hand(plane, namespace).until(is_phase("Ready"))
    [owner] = namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["ownerReferences"]
    assert owner["name"] == "libra"
