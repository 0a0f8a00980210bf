"""What people write becomes an assistant that is ready, stays as it was meant, and says how it fares."""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_operator.actions import Delete
from parley_operator.judgement import values_to_read
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import (
    ASSISTANTS,
    READY_S,
    assistant,
    children,
    documents,
    is_all_ready,
    until_quiet,
    until_ready,
    until_says,
)
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.observing import condition, is_gone
from parley_testkit.control_plane.operators import OperatorProcess
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until
from parley_testkit.first_plans import first_plan, resource

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "docs/samples").glob("*.yaml"))
DEPLOYMENTS = "apps/v1/deployments"

pytestmark = pytest.mark.usefixtures("operator")


def secret(name: str, **values: str) -> Object:
    data = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def secrets_of(document: Object, namespace: str) -> list[Object]:
    """Return the Secrets that a sample wants, with values of the namespace's own: two bots must not share a token."""
    named: dict[str, dict[str, str]] = {}
    for name, key in sorted(values_to_read(resource(document), ())):
        named.setdefault(name, {})[key] = base64.b64encode(f"{namespace} {name} {key}".encode()).decode()
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data} for name, data in named.items()
    ]


def discord(name: str) -> Object:
    return {"discord": {"tokenSecretRef": {"name": name, "key": "token"}}}


@pytest.fixture(scope="module", autouse=True)
def card(shared_plane: ControlPlane) -> Iterator[None]:
    """A node with a card, for all tests of this file: a node that goes takes its pods with it only after a while."""
    with shared_plane.node(Node(name="gpu-of-samples", gpus=1, gpu_shares=40, cpu="64", pods=250)):
        yield


@pytest.fixture(scope="module")
def settled(shared_plane: ControlPlane, shared_operator: OperatorProcess) -> Iterator[Namespace]:
    """A namespace with an assistant that is ready, for tests that leave its spec alone."""
    with shared_plane.namespace() as namespace:
        namespace.apply(assistant())
        until_ready(namespace)
        until_quiet(namespace)
        yield namespace


def changed(namespace: Namespace, before: dict[tuple[str, str], Object]) -> set[str]:
    """Return what has another pod template than before."""
    now = children(namespace)
    return {
        name
        for (kind, name), child in before.items()
        if kind in {DEPLOYMENTS, "apps/v1/statefulsets"}
        and now[kind, name]["spec"]["template"] != child["spec"]["template"]
    }


def test_every_sample_gets_all_its_children_and_is_ready(plane: ControlPlane) -> None:
    with contextlib.ExitStack() as stack:
        places = [(stack.enter_context(plane.namespace()), documents(path)) for path in SAMPLES]
        for namespace, samples in places:
            namespace.apply(*(each for document in samples for each in secrets_of(document, namespace.name)), *samples)

        for namespace, samples in places:
            for document in samples:
                name = document["metadata"]["name"]
                until_ready(namespace, name, within_s=4 * READY_S)  # ten at once
                wanted = {
                    (action.object["kind"], action.object["metadata"]["name"])
                    for action in first_plan(document).actions
                    if not isinstance(action, Delete)
                }
                kinds = {kind for kind, _ in wanted} - {"Job", "ControllerRevision"}
                there = {(each["kind"], each["metadata"]["name"]) for each in with_kinds(namespace, name)}
                assert {place for place in wanted if place[0] in kinds} <= there


def with_kinds(namespace: Namespace, name: str) -> list[Object]:
    kinds = {
        "serviceaccounts": "ServiceAccount",
        "networkpolicies": "NetworkPolicy",
        "configmaps": "ConfigMap",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "services": "Service",
        "ingresses": "Ingress",
        "poddisruptionbudgets": "PodDisruptionBudget",
        "statefulsets": "StatefulSet",
        "deployments": "Deployment",
        "secrets": "Secret",
    }
    return [
        {**child, "kind": kinds[place[0].rpartition("/")[2]]}
        for place, child in children(namespace, name).items()
        if place[0].rpartition("/")[2] in kinds
    ]


def test_a_status_tells_who_runs_where_and_what_happened_once(settled: Namespace) -> None:
    seen = until_ready(settled)

    assert seen["status"]["phase"] == "Ready"
    assert seen["status"]["components"]["asr"] == {
        "ready": True,
        "readyReplicas": 1,
        "image": "registry.test/parley/parley-asr:0.1.0",
        "node": seen["status"]["components"]["asr"]["node"],
    }
    assert seen["status"]["components"]["asr"]["node"]
    about = [each for each in settled.find("v1/events") if each["involvedObject"]["kind"] == "VoiceAssistant"]
    assert {each["reason"] for each in about if each["type"] == "Normal"} == {"Accepted", "ModelsCached", "Ready"}
    assert len({(each["reason"], each["message"]) for each in about}) == len(about)
    assert "metadata" in seen
    assert "finalizers" not in seen["metadata"]
    assert not [key for key in seen["metadata"].get("annotations", {}) if "kopf" in key]


def test_drift_is_repaired_and_what_others_added_is_left_alone(settled: Namespace) -> None:
    settled.kubectl("annotate", "deployment", "libra-asr", "somebody.example/else=here")
    settled.kubectl("scale", "deployment", "libra-agent", "--replicas=2")
    settled.kubectl("delete", "service", "libra-tts")
    settled.kubectl("set", "image", "deployment/libra-gateway", "gateway=registry.test/mine:1")
    patch = '{"spec":{"egress":[]}}'
    settled.kubectl("patch", "networkpolicy", "libra-asr", "--type=merge", f"--patch={patch}")

    settled.until("v1/services", "libra-tts", bool)
    image = "registry.test/parley/parley-gateway:0.1.0"
    settled.until(
        DEPLOYMENTS,
        "libra-gateway",
        lambda seen: seen["spec"]["template"]["spec"]["containers"][0]["image"] == image,
    )
    settled.until("networking.k8s.io/v1/networkpolicies", "libra-asr", lambda seen: seen["spec"].get("egress"))
    until_quiet(settled)
    assert settled.get(DEPLOYMENTS, "libra-asr")["metadata"]["annotations"]["somebody.example/else"] == "here"
    assert settled.get(DEPLOYMENTS, "libra-agent")["spec"]["replicas"] == 2


def test_a_change_of_one_component_restarts_that_one_alone(namespace: Namespace) -> None:
    cases: list[tuple[Object, set[str]]] = [
        ({"asr": {"beamSize": 3}}, {"libra-asr"}),
        ({"asr": {"beamSize": 3}, "tts": {"speed": 1.2}}, {"libra-tts"}),
        ({"asr": {"beamSize": 3}, "tts": {"speed": 1.2}, "slo": {"e2ftMs": 900}}, set()),
    ]
    namespace.apply(assistant())
    until_ready(namespace)

    for spec, restarted in cases:
        before = children(namespace)
        namespace.apply(assistant(**spec))
        until_ready(namespace)
        assert changed(namespace, before) == restarted


def test_a_new_token_restarts_the_gateway_alone_and_a_new_seed_the_broker_too(namespace: Namespace) -> None:
    namespace.apply(secret("bot", token="one"), assistant(doors=discord("bot")))
    until_ready(namespace)
    before = children(namespace)

    namespace.apply(secret("bot", token="two"), assistant(doors=discord("bot"), slo={"e2ftMs": 800}))
    until_ready(namespace)
    token_changed = changed(namespace, before)
    namespace.kubectl("delete", "secret", "libra-nats-tts")
    before = children(namespace)
    namespace.apply(assistant(doors=discord("bot"), slo={"e2ftMs": 900}))
    namespace.until("v1/secrets", "libra-nats-tts", bool)
    until_ready(namespace)

    assert token_changed == {"libra-gateway"}
    assert changed(namespace, before) == {"libra-tts", "libra-nats"}


def test_a_secret_that_is_in_the_way_is_told_until_it_is_gone(namespace: Namespace) -> None:
    namespace.apply(secret("libra-nats-tts", mine="hush"), assistant())

    said = until_says(namespace, "Ready", "LookFailed")

    assert said["message"].startswith("the Secret libra-nats-tts is somebody else's: ")
    assert namespace.events("LookFailed") == [said["message"]]
    namespace.kubectl("delete", "secret", "libra-nats-tts")
    namespace.apply(assistant(slo={"e2ftMs": 900}))
    until_ready(namespace)


def test_a_spec_that_is_refused_leaves_the_last_accepted_one_running(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)
    before = children(namespace)

    namespace.apply(assistant(asr={"model": "smal"}, tts={"speed": 1.3}))

    refused = until_says(namespace, "Accepted", "UnknownModel")
    assert refused["status"] == "False"
    assert "did you mean small?" in refused["message"]
    assert refused["message"].endswith("Generation 1 goes on running")
    seen = namespace.get(ASSISTANTS, "libra")
    assert (seen["status"]["phase"], condition(seen, "Ready")["status"]) == ("Degraded", "True")
    assert changed(namespace, before) == set()
    namespace.apply(assistant(asr={"model": "small"}))
    until_says(namespace, "Accepted", "Accepted")


def test_an_assistant_waits_for_a_secret_that_is_missing_and_goes_on_when_it_comes(namespace: Namespace) -> None:
    namespace.apply(assistant(doors=discord("bot")))
    missing = until_says(namespace, "Accepted", "SecretMissing")
    assert "create it with the key token" in missing["message"]
    assert children(namespace) == {}

    namespace.apply(secret("bot", token="one"))

    until_ready(namespace)


def test_a_token_serves_the_assistant_that_had_it_first(namespace: Namespace) -> None:
    namespace.apply(secret("bot", token="one"), secret("same", token="one"), assistant("first", doors=discord("bot")))
    until_ready(namespace, "first")

    namespace.apply(assistant("second", doors=discord("same")))

    said = until_says(namespace, "Accepted", "TokenInUse", "second")
    assert f"{namespace.name}/first uses the same token" in said["message"]
    namespace.kubectl("delete", "va", "first")
    until_ready(namespace, "second")


def test_a_suspended_assistant_has_no_pods_and_keeps_its_models(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)
    claim = namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["uid"]

    namespace.apply(assistant(suspend=True))

    until(
        lambda: [pod for pod in namespace.find("v1/pods") if "job-name" not in pod["metadata"]["labels"]],
        lambda pods: pods == [],
    )
    assert until_says(namespace, "Ready", "Suspended")["status"] == "False"
    assert namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["uid"] == claim
    namespace.apply(assistant(suspend=False))
    until_ready(namespace)


def asr_pods(namespace: Namespace) -> set[str]:
    found = namespace.find("v1/pods")
    return {
        pod["metadata"]["uid"] for pod in found if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "asr"
    }


def test_while_another_model_is_pulled_the_one_before_goes_on_answering(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)
    before = asr_pods(namespace)
    namespace.doom("pull", "running")

    namespace.apply(assistant(asr={"model": "base.en"}))

    assert until_says(namespace, "ModelsCached", "Pulling")["status"] == "False"
    assert until_says(namespace, "Ready", "Ready")["status"] == "True"
    assert asr_pods(namespace) == before


def pulls_begun(namespace: Namespace) -> set[str]:
    return {
        event["metadata"]["name"]
        for event in namespace.find("v1/events")
        if event["reason"] == "SuccessfulCreate" and event["involvedObject"]["kind"] == "Job"
    }


def test_models_that_are_retained_outlive_their_assistant_and_are_not_pulled_again(namespace: Namespace) -> None:
    kept = {"modelCache": {"deletionPolicy": "Retain"}}
    namespace.apply(assistant(storage=kept))
    until_ready(namespace)
    claim = namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["uid"]
    namespace.kubectl("delete", "va", "libra")
    namespace.until(DEPLOYMENTS, "libra-asr", is_gone)
    pulls = pulls_begun(namespace)
    assert pulls

    namespace.apply(assistant(storage=kept))

    until_ready(namespace)
    assert namespace.get("v1/persistentvolumeclaims", "libra-models")["metadata"]["uid"] == claim
    assert pulls_begun(namespace) == pulls


def test_an_assistant_that_is_made_anew_at_once_is_another_one(namespace: Namespace) -> None:
    namespace.apply(assistant())
    until_ready(namespace)

    namespace.kubectl("delete", "va", "libra")
    namespace.apply(assistant())

    seen = until_ready(namespace)
    owners = {
        owner["uid"] for child in children(namespace).values() for owner in child["metadata"].get("ownerReferences", [])
    }
    assert owners == {seen["metadata"]["uid"]}


def test_the_operator_tells_prometheus_of_its_work_and_its_probes_that_it_lives(
    settled: Namespace, operator: OperatorProcess
) -> None:
    until_ready(settled)

    assert (operator.get("health", "/healthz").status_code, operator.get("health", "/readyz").status_code) == (200, 200)
    assert operator.metric("parley_operator_reconciles_total", result="changed") > 0
    assert operator.metric("parley_operator_assistants", phase="Ready") >= 1
    assert operator.metric("parley_operator_time_to_ready_seconds_count") >= 1
    assert operator.metric("parley_operator_queue_oldest_seconds") < 60


def test_a_volume_of_the_owners_is_used_and_noted_upon(namespace: Namespace) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    mine = {"modelCache": {"existingClaim": "mine"}}
    namespace.apply(assistant(storage=mine))
    missing = until_says(namespace, "ModelsCached", "ClaimMissing")
    assert "there is no PersistentVolumeClaim mine" in missing["message"]

    namespace.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "mine"}, "spec": spec})

    seen = until_ready(namespace)
    claim = namespace.get("v1/persistentvolumeclaims", "mine")
    assert "ownerReferences" not in claim["metadata"]
    assert "tiny.en" in claim["metadata"]["annotations"].values()
    assert is_all_ready(seen)
