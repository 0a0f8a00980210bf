"""The ground that the operator's tests stand on: what is real of the control plane works, what is played looks real."""

import json
from pathlib import Path

import pytest

from parley_testkit.control_plane.access import CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import GPU, Node
from parley_testkit.control_plane.observing import (
    condition,
    container,
    has,
    is_available,
    is_gone,
    is_ready,
    is_unschedulable,
    waits_for,
)
from parley_testkit.control_plane.plane import STORAGE_CLASS, ControlPlane
from parley_testkit.control_plane.programs import pinned_version
from parley_testkit.control_plane.stages import COMPONENT, FATE, Fate
from parley_testkit.control_plane.waiting import until

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def one_container(fields: Object | None = None) -> list[Object]:
    return [{"name": "main", "image": "registry.test/asr:1", "securityContext": RESTRICTED, **(fields or {})}]


def pod(name: str = "one", *, fate: str = "", spec: Object | None = None, main: Object | None = None) -> Object:
    metadata = {"name": name, "labels": {"app": name}, "annotations": {FATE: fate} if fate else {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": one_container(main), **(spec or {})},
    }


def deployment(name: str = "asr", *, replicas: int = 1, main: Object | None = None) -> Object:
    labels = {"app": name, COMPONENT: name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": one_container(main)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def job(name: str, fate: str = "") -> Object:
    metadata = {"labels": {"app": name}, "annotations": {FATE: fate} if fate else {}}
    template = {"metadata": metadata, "spec": {"restartPolicy": "Never", "containers": one_container()}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }


def claim(storage_class: str = STORAGE_CLASS) -> Object:
    storage = {"requests": {"storage": "5Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": storage}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}


WITH_CLAIM: Object = {"volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]}
ONE_GPU: Object = {"resources": {"limits": {GPU: "1"}}}


# --- What is real -----------------------------------------------------------------------------------------------------


def test_programs_say_the_versions_that_are_pinned(plane: ControlPlane) -> None:
    kubernetes = f"v{pinned_version('kubectl')}"

    said = json.loads(plane.admin.kubectl("version", "--output=json"))

    assert said["serverVersion"]["gitVersion"] == said["clientVersion"]["gitVersion"] == kubernetes
    assert plane.admin.helm("version", "--template={{.Version}}") == f"v{pinned_version('helm')}"


def test_a_deployment_becomes_available_and_its_service_finds_the_pods(namespace: Namespace) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "asr"},
        "spec": {"selector": {"app": "asr"}, "ports": [{"port": 5005}]},
    }

    namespace.apply(service, deployment(replicas=2))

    namespace.until("apps/v1/deployments", "asr", is_available)
    until(
        lambda: namespace.find("discovery.k8s.io/v1/endpointslices"),
        lambda slices: sum(each["conditions"]["ready"] for one in slices for each in one["endpoints"] or []) == 2,
    )


def test_a_pod_that_no_card_is_left_for_waits_with_the_schedulers_own_words(
    plane: ControlPlane, namespace: Namespace
) -> None:
    with plane.node(Node(name="gpu-1", gpus=1)):
        namespace.apply(pod("first", main=ONE_GPU))
        namespace.until("v1/pods", "first", is_ready)

        namespace.apply(pod("second", main=ONE_GPU))

        waiting = namespace.until("v1/pods", "second", is_unschedulable)
        assert "3 Insufficient nvidia.com/gpu" in condition(waiting, "PodScheduled")["message"]
        namespace.kubectl("delete", "pod", "first")
        namespace.until("v1/pods", "second", is_ready)


def test_a_shared_card_takes_as_many_pods_as_it_has_shares(plane: ControlPlane, namespace: Namespace) -> None:
    with plane.node(Node(name="gpu-2", gpus=1, gpu_shares=3)):
        namespace.apply(deployment(replicas=3, main=ONE_GPU))

        namespace.until("apps/v1/deployments", "asr", is_available)
        labels = plane.admin.get("v1/nodes", "gpu-2")["metadata"]["labels"]
        assert (labels["nvidia.com/gpu.memory"], labels["nvidia.com/gpu.replicas"]) == ("12282", "3")


def test_what_an_object_owns_goes_with_it(namespace: Namespace) -> None:
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    uid = namespace.get("v1/configmaps", "owner")["metadata"]["uid"]
    owned = deployment()
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    namespace.apply(owned)
    namespace.until("apps/v1/deployments", "asr", is_available)

    namespace.kubectl("delete", "configmap", "owner", "--wait=false")

    namespace.until("apps/v1/deployments", "asr", is_gone)
    until(lambda: namespace.find("v1/pods"), lambda pods: pods == [])


def test_a_claim_gets_its_volume_where_its_first_pod_goes(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.apply(claim())
    until(lambda: namespace.events("WaitForFirstConsumer"), bool)
    assert namespace.get("v1/persistentvolumeclaims", "models")["status"]["phase"] == "Pending"

    namespace.apply(pod("first", spec={**WITH_CLAIM, "nodeSelector": {"kubernetes.io/hostname": "plain-2"}}))

    namespace.until("v1/pods", "first", is_ready)
    bound = namespace.get("v1/persistentvolumeclaims", "models")
    assert bound["status"]["phase"] == "Bound"
    namespace.apply(pod("astray", spec={**WITH_CLAIM, "nodeSelector": {"kubernetes.io/hostname": "plain-1"}}))
    astray = namespace.until("v1/pods", "astray", is_unschedulable)
    assert "didn't match PersistentVolume's node affinity" in condition(astray, "PodScheduled")["message"]
    namespace.kubectl("delete", "pod", "first", "astray")
    namespace.kubectl("delete", "persistentvolumeclaim", "models")
    until(lambda: plane.admin.get("v1/persistentvolumes", bound["spec"]["volumeName"]), is_gone)


def test_a_claim_without_a_class_gets_the_default_one(namespace: Namespace) -> None:
    classless = claim()
    del classless["spec"]["storageClassName"]

    namespace.apply(classless)

    assert namespace.get("v1/persistentvolumeclaims", "models")["spec"]["storageClassName"] == STORAGE_CLASS


def test_a_claim_of_an_unknown_class_keeps_its_pod_waiting(namespace: Namespace) -> None:
    namespace.apply(claim("nowhere"), pod(spec=WITH_CLAIM))

    waiting = namespace.until("v1/pods", "one", is_unschedulable)
    assert "pod has unbound immediate PersistentVolumeClaims" in condition(waiting, "PodScheduled")["message"]
    said = until(lambda: namespace.events("ProvisioningFailed"), bool)
    assert said == ['storageclass.storage.k8s.io "nowhere" not found']


def test_a_service_account_has_the_rights_of_its_role_and_the_audit_log_tells_what_it_tried(
    plane: ControlPlane, namespace: Namespace
) -> None:
    namespace.kubectl("create", "serviceaccount", "reader")
    namespace.kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace.name}:reader")
    reader = plane.service_account(namespace.name, "reader")
    begin = plane.audit.position()

    until(lambda: reader.http.get(f"/api/v1/namespaces/{namespace.name}/pods").status_code, lambda code: code == 200)
    with pytest.raises(CommandFailedError, match='cannot get resource "secrets" in API group ""'):
        reader.kubectl("get", "secret", "token", namespace=namespace.name)

    user = f"system:serviceaccount:{namespace.name}:reader"
    seen = until(
        lambda: {(e.verb, e.resource, e.code, e.was_allowed) for e in plane.audit.events(begin, user=user)},
        lambda seen: ("get", "secrets", 403, False) in seen,
    )
    assert ("list", "pods", 200, True) in seen


def test_a_pod_with_rights_that_it_does_not_need_is_refused(namespace: Namespace) -> None:
    careless = pod(main={"securityContext": {"privileged": True}})

    with pytest.raises(CommandFailedError, match='violates PodSecurity "restricted:latest": privileged'):
        namespace.apply(careless)


def test_a_namespace_is_deleted_to_the_end(plane: ControlPlane) -> None:
    with plane.namespace() as namespace:
        namespace.apply(deployment(), claim(), job("pull"))
        namespace.until("apps/v1/deployments", "asr", is_available)

    until(lambda: plane.admin.get("v1/namespaces", namespace.name), is_gone, within_s=40)


def test_controllers_go_on_after_an_outage_of_the_api_server(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.apply(deployment("before"))
    namespace.until("apps/v1/deployments", "before", is_available)

    with plane.outage(), pytest.raises(CommandFailedError, match="refused"):
        namespace.kubectl("get", "pods")

    namespace.apply(deployment("after"), claim(), pod(spec=WITH_CLAIM))
    assert is_available(namespace.get("apps/v1/deployments", "before"))
    namespace.until("apps/v1/deployments", "after", is_available, within_s=30)
    namespace.until("v1/pods", "one", is_ready, within_s=30)
    plane.check()


def test_helm_installs_a_chart_for_this_kubernetes_and_removes_it(namespace: Namespace, tmp_path: Path) -> None:
    minor = pinned_version("kubectl").rpartition(".")[0]
    page = {"apiVersion": "v2", "name": "small", "version": "0.1.0", "kubeVersion": f"~{minor}.0-0"}
    (tmp_path / "Chart.yaml").write_text(json.dumps(page))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/deployment.yaml").write_text(json.dumps(deployment()))
    assert '"kind": "Deployment"' in namespace.helm("template", "small", str(tmp_path))

    namespace.helm("install", "small", str(tmp_path), "--wait", "--timeout=30s")

    assert is_available(namespace.get("apps/v1/deployments", "asr"))
    namespace.helm("uninstall", "small", "--wait", "--cascade=foreground", "--timeout=30s")
    assert is_gone(namespace.get("apps/v1/deployments", "asr"))
    assert namespace.find("v1/pods") == []


# --- What is played ---------------------------------------------------------------------------------------------------


def test_a_crash_loop_tells_what_the_container_said_and_goes_on(namespace: Namespace) -> None:
    namespace.apply(pod(fate="crash-loop: model.bin: no such file"))

    seen = namespace.until("v1/pods", "one", waits_for("CrashLoopBackOff"))
    assert seen["status"]["phase"] == "Running"
    assert not is_ready(seen)
    assert condition(seen, "Ready")["message"] == "containers with unready status: [main]"
    said = container(seen)["state"]["waiting"]["message"]
    assert said.startswith("back-off 10s restarting failed container=main pod=one_")
    last = container(seen)["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"], last["message"]) == ("Error", 1, "model.bin: no such file")
    assert until(lambda: namespace.events("BackOff"), bool) == ["Back-off restarting failed container"]
    namespace.until("v1/pods", "one", lambda seen: container(seen)["restartCount"] > 1)


def test_a_container_that_the_kernel_killed_says_so(namespace: Namespace) -> None:
    namespace.apply(pod(fate="oom"))

    seen = namespace.until("v1/pods", "one", waits_for("CrashLoopBackOff"))
    last = container(seen)["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"], "message" in last) == ("OOMKilled", 137, False)


def test_a_container_that_cannot_be_made_waits_and_says_why(namespace: Namespace) -> None:
    pulling = 'Back-off pulling image "registry.test/asr:1": ErrImagePull: '
    cases = {
        "slow": ("starting", "ContainerCreating", ""),
        "unnamed": ("image-pull", "ImagePullBackOff", f"{pulling}rpc error: "),
        "far": ("image-pull: no route", "ImagePullBackOff", f"{pulling}no "),
        "poor": ('config-error: secret "bot" not found', "CreateContainerConfigError", 'secret "bot" not found'),
    }

    namespace.apply(*(pod(name, fate=fate) for name, (fate, _, _) in cases.items()))

    for name, (_, reason, message) in cases.items():
        seen = namespace.until("v1/pods", name, waits_for(reason))
        assert seen["status"]["phase"] == "Pending"
        assert container(seen)["state"]["waiting"].get("message", "").startswith(message)


def test_a_pod_whose_probe_fails_runs_and_is_not_ready(namespace: Namespace) -> None:
    namespace.apply(pod(fate="unready"))

    seen = namespace.until("v1/pods", "one", lambda seen: "running" in container(seen)["state"])
    assert (seen["status"]["phase"], is_ready(seen)) == ("Running", False)
    assert until(lambda: namespace.events("Unhealthy"), bool)


def test_a_pod_that_its_kubelet_refuses_has_failed_with_the_reason(namespace: Namespace) -> None:
    namespace.apply(pod(fate="rejected"))

    seen = namespace.until("v1/pods", "one", lambda seen: seen["status"]["phase"] == "Failed")
    assert seen["status"]["reason"] == "UnexpectedAdmissionError"
    assert "cannot allocate unhealthy devices nvidia.com/gpu" in seen["status"]["message"]


def test_a_job_ends_as_its_pod_does(namespace: Namespace) -> None:
    namespace.apply(job("fine"), job("bad", "failed: 404 from the hub"), job("long", "running"))

    namespace.until("batch/v1/jobs", "fine", has("Complete"))
    failed = namespace.until("batch/v1/jobs", "bad", has("Failed"))
    assert condition(failed, "Failed")["reason"] == "BackoffLimitExceeded"
    end = container(namespace.pod("app=bad"))["state"]["terminated"]
    assert (end["exitCode"], end["message"]) == (1, "404 from the hub")
    until(lambda: namespace.pod("app=long"), is_ready)
    namespace.kubectl("annotate", "pod", "--selector=app=long", f"{FATE}-")
    namespace.until("batch/v1/jobs", "long", has("Complete"))


def test_a_pod_that_is_spared_its_fate_becomes_ready(namespace: Namespace) -> None:
    fates: tuple[Fate, ...] = ("starting", "crash-loop", "oom", "image-pull", "config-error", "unready")
    namespace.apply(*(pod(fate, fate=fate) for fate in fates))
    for fate in fates:
        namespace.until("v1/pods", fate, lambda seen: container(seen)["state"])

    namespace.kubectl("annotate", "pod", "--all", f"{FATE}-")

    for fate in fates:
        namespace.until("v1/pods", fate, is_ready)


def test_the_fate_of_a_component_is_that_of_the_pods_that_a_controller_makes_for_it(namespace: Namespace) -> None:
    namespace.doom("asr", "crash-loop", "CUDA out of memory")

    namespace.apply(deployment("asr"), deployment("tts"))

    seen = until(lambda: namespace.pod("app=asr"), waits_for("CrashLoopBackOff"))
    assert container(seen)["lastState"]["terminated"]["message"] == "CUDA out of memory"
    namespace.until("apps/v1/deployments", "tts", is_available)
    namespace.spare("asr")
    namespace.kubectl("delete", "pod", "--selector=app=asr")
    namespace.until("apps/v1/deployments", "asr", is_available)
