"""The ground that the operator's tests stand on: what is real of the control plane works, what is played looks real."""

import json
from typing import Any

import pytest

from parley_testkit.control_plane.access import CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import GPU, Node
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


def container(**more: Any) -> Object:  # noqa: ANN401  # fields of a container
    return {"name": "main", "image": "registry.test/asr:1", "securityContext": RESTRICTED, **more}


def pod(name: str = "one", *, fate: str = "", spec: Object | None = None, **more: Any) -> Object:  # noqa: ANN401  # as above
    metadata = {"name": name, "labels": {"app": name}, "annotations": {FATE: fate} if fate else {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container(**more)], **(spec or {})},
    }


def deployment(name: str = "asr", replicas: int = 1, spec: Object | None = None, **more: Any) -> Object:  # noqa: ANN401  # as above
    labels = {"app": name, COMPONENT: name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container(**more)], **(spec or {})}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def job(name: str = "pull", fate: str = "") -> Object:
    metadata = {"labels": {"app": name}, "annotations": {FATE: fate} if fate else {}}
    template = {"metadata": metadata, "spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }


def claim(name: str = "models") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }


def with_claim(name: str = "models") -> Object:
    return {"volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": name}}]}


def condition(seen: Object | None, name: str) -> Object:
    """Return a condition of an object; without one, one that says nothing."""
    conditions: list[Object] = (seen or {}).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == name), {"status": "", "reason": "", "message": ""})


def is_ready(seen: Object | None) -> bool:
    return bool(condition(seen, "Ready")["status"] == "True")


def has_available(count: int) -> Any:  # noqa: ANN401  # a predicate
    return lambda seen: (seen or {}).get("status", {}).get("availableReplicas") == count


def waits_for(reason: str) -> Any:  # noqa: ANN401  # a predicate
    return lambda seen: state_of(seen).get("waiting", {}).get("reason") == reason


def state_of(seen: Object | None) -> Object:
    statuses: list[Object] = (seen or {}).get("status", {}).get("containerStatuses", [])
    return dict(statuses[0]["state"]) if statuses else {}


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

    until(lambda: namespace.get("apps/v1/deployments", "asr"), has_available(2))
    until(
        lambda: namespace.find("discovery.k8s.io/v1/endpointslices"),
        lambda slices: sum(each["conditions"]["ready"] for one in slices for each in one["endpoints"] or []) == 2,
    )


def test_a_pod_that_no_card_is_left_for_waits_with_the_schedulers_own_words(
    plane: ControlPlane, namespace: Namespace
) -> None:
    on_gpu = {"nodeSelector": {"nvidia.com/gpu.present": "true"}}
    resources = {"limits": {GPU: "1"}}
    with plane.node(Node(name="gpu-1", gpus=1)):
        namespace.apply(pod("first", spec=on_gpu, resources=resources))
        until(lambda: namespace.get("v1/pods", "first"), is_ready)

        namespace.apply(pod("second", spec=on_gpu, resources=resources))

        waiting = until(
            lambda: condition(namespace.get("v1/pods", "second"), "PodScheduled"),
            lambda seen: seen["reason"] == "Unschedulable",
        )
        assert "1 Insufficient nvidia.com/gpu" in waiting["message"]
        namespace.kubectl("delete", "pod", "first")
        until(lambda: namespace.get("v1/pods", "second"), is_ready)


def test_a_shared_card_takes_as_many_pods_as_it_has_shares(plane: ControlPlane, namespace: Namespace) -> None:
    with plane.node(Node(name="gpu-2", gpus=1, gpu_shares=3)):
        namespace.apply(deployment(replicas=3, resources={"limits": {GPU: "1"}}))

        until(lambda: namespace.get("apps/v1/deployments", "asr"), has_available(3))
        labels = (plane.admin.get("v1/nodes", "gpu-2") or {})["metadata"]["labels"]
        assert (labels["nvidia.com/gpu.memory"], labels["nvidia.com/gpu.replicas"]) == ("12282", "3")


def test_what_an_object_owns_goes_with_it(namespace: Namespace) -> None:
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    owner = until(lambda: namespace.get("v1/configmaps", "owner"), bool) or {}
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned = deployment()
    owned["metadata"]["ownerReferences"] = [reference]
    namespace.apply(owned)
    until(lambda: namespace.get("apps/v1/deployments", "asr"), has_available(1))

    namespace.kubectl("delete", "configmap", "owner", "--wait=false")

    until(lambda: (namespace.get("apps/v1/deployments", "asr"), namespace.find("v1/pods")), lambda s: s == (None, []))


def test_a_claim_gets_its_volume_where_its_first_pod_goes(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.apply(claim())
    until(lambda: namespace.events("WaitForFirstConsumer"), bool)
    assert (namespace.get("v1/persistentvolumeclaims", "models") or {})["status"]["phase"] == "Pending"

    namespace.apply(pod("first", spec={**with_claim(), "nodeSelector": {"kubernetes.io/hostname": "plain-2"}}))

    until(lambda: namespace.get("v1/pods", "first"), is_ready)
    bound = namespace.get("v1/persistentvolumeclaims", "models") or {}
    assert (bound["status"]["phase"], bound["spec"]["storageClassName"]) == ("Bound", STORAGE_CLASS)
    namespace.apply(pod("astray", spec={**with_claim(), "nodeSelector": {"kubernetes.io/hostname": "plain-1"}}))
    astray = until(
        lambda: condition(namespace.get("v1/pods", "astray"), "PodScheduled"),
        lambda seen: seen["reason"] == "Unschedulable",
    )
    assert "didn't match PersistentVolume's node affinity" in astray["message"]
    namespace.kubectl("delete", "pod", "first", "astray")
    namespace.kubectl("delete", "persistentvolumeclaim", "models")
    until(lambda: plane.admin.get("v1/persistentvolumes", bound["spec"]["volumeName"]), lambda seen: seen is None)


def test_a_claim_of_an_unknown_class_keeps_its_pod_waiting(namespace: Namespace) -> None:
    lost = claim()
    lost["spec"]["storageClassName"] = "nowhere"

    namespace.apply(lost, pod(spec=with_claim()))

    waiting = until(lambda: condition(namespace.get("v1/pods", "one"), "PodScheduled"), lambda seen: seen["reason"])
    assert "pod has unbound immediate PersistentVolumeClaims" in waiting["message"]
    until(
        lambda: namespace.events("ProvisioningFailed"),
        lambda said: said == ['storageclass.storage.k8s.io "nowhere" not found'],
    )


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
    events = until(
        lambda: plane.audit.events(begin, user=user), lambda seen: any(event.resource == "secrets" for event in seen)
    )
    assert ("list", "pods", 200, True) in {(e.verb, e.resource, e.code, e.was_allowed) for e in events}
    assert ("get", "secrets", 403, False) in {(e.verb, e.resource, e.code, e.was_allowed) for e in events}


def test_a_pod_with_rights_that_it_does_not_need_is_refused(namespace: Namespace) -> None:
    careless = pod(securityContext={"privileged": True})

    with pytest.raises(CommandFailedError, match='violates PodSecurity "restricted:latest": privileged'):
        namespace.apply(careless)


def test_a_namespace_is_deleted_to_the_end(plane: ControlPlane) -> None:
    with plane.namespace() as namespace:
        namespace.apply(deployment(), claim(), job())
        until(lambda: namespace.get("apps/v1/deployments", "asr"), has_available(1))

    until(lambda: plane.admin.get("v1/namespaces", namespace.name), lambda seen: seen is None, within_s=30)


def test_controllers_go_on_after_an_outage_of_the_api_server(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.apply(deployment("before"))
    until(lambda: namespace.get("apps/v1/deployments", "before"), has_available(1))

    with plane.outage(), pytest.raises(CommandFailedError, match="refused"):
        namespace.kubectl("get", "pods")

    namespace.apply(deployment("after"), claim(), pod(spec=with_claim()))
    assert has_available(1)(namespace.get("apps/v1/deployments", "before"))
    until(lambda: namespace.get("apps/v1/deployments", "after"), has_available(1), within_s=30)
    until(lambda: namespace.get("v1/pods", "one"), is_ready, within_s=30)
    plane.check()


def test_helm_installs_a_chart_for_this_kubernetes_and_removes_it(
    namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chart = tmp_path_factory.mktemp("chart")
    (chart / "templates").mkdir()
    page = {"apiVersion": "v2", "name": "small", "version": "0.1.0", "kubeVersion": ">=1.34.0-0 <1.36.0-0"}
    (chart / "Chart.yaml").write_text(json.dumps(page))
    (chart / "templates/deployment.yaml").write_text(json.dumps(deployment()))
    assert "kind: Deployment" in namespace.helm("template", "small", str(chart)).replace('"', "")

    namespace.helm("install", "small", str(chart), "--wait", "--timeout=30s")

    assert has_available(1)(namespace.get("apps/v1/deployments", "asr"))
    namespace.helm("uninstall", "small", "--wait", "--cascade=foreground", "--timeout=30s")
    assert (namespace.get("apps/v1/deployments", "asr"), namespace.find("v1/pods")) == (None, [])


# --- What is played ---------------------------------------------------------------------------------------------------


def test_a_crash_loop_tells_what_the_container_said_and_goes_on(namespace: Namespace) -> None:
    namespace.apply(pod(fate="crash-loop: model.bin: no such file"))

    seen = until(lambda: namespace.get("v1/pods", "one"), waits_for("CrashLoopBackOff")) or {}
    status = seen["status"]["containerStatuses"][0]
    assert seen["status"]["phase"] == "Running"
    assert not is_ready(seen)
    assert condition(seen, "Ready")["message"] == "containers with unready status: [main]"
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main pod=one_")
    last = status["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"], last["message"]) == ("Error", 1, "model.bin: no such file")
    assert until(lambda: namespace.events("BackOff"), bool) == ["Back-off restarting failed container"]
    until(
        lambda: (namespace.get("v1/pods", "one") or {})["status"]["containerStatuses"][0]["restartCount"],
        lambda restarts: restarts > 1,
    )


def test_a_container_that_the_kernel_killed_says_so(namespace: Namespace) -> None:
    namespace.apply(pod(fate="oom"))

    seen = until(lambda: namespace.get("v1/pods", "one"), waits_for("CrashLoopBackOff")) or {}
    last = seen["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"], "message" in last) == ("OOMKilled", 137, False)


@pytest.mark.parametrize(
    "fate, reason, message",
    [
        ("starting", "ContainerCreating", ""),
        ("image-pull", "ImagePullBackOff", 'Back-off pulling image "registry.test/asr:1": ErrImagePull: rpc error: '),
        ("image-pull: no route", "ImagePullBackOff", 'Back-off pulling image "registry.test/asr:1": ErrImagePull: no '),
        ('config-error: secret "discord" not found', "CreateContainerConfigError", 'secret "discord" not found'),
    ],
)
def test_a_container_that_cannot_be_made_waits_and_says_why(
    namespace: Namespace, fate: str, reason: str, message: str
) -> None:
    namespace.apply(pod(fate=fate))

    seen = until(lambda: namespace.get("v1/pods", "one"), waits_for(reason)) or {}
    assert seen["status"]["phase"] == "Pending"
    assert state_of(seen)["waiting"].get("message", "").startswith(message)


def test_a_pod_whose_probe_fails_runs_and_is_not_ready(namespace: Namespace) -> None:
    namespace.apply(pod(fate="unready"))

    seen = until(lambda: namespace.get("v1/pods", "one"), lambda seen: "running" in state_of(seen)) or {}
    assert (seen["status"]["phase"], is_ready(seen)) == ("Running", False)
    assert until(lambda: namespace.events("Unhealthy"), bool)


def test_a_pod_that_its_kubelet_refuses_has_failed_with_the_reason(namespace: Namespace) -> None:
    namespace.apply(pod(fate="rejected"))

    seen = (
        until(lambda: namespace.get("v1/pods", "one"), lambda seen: (seen or {})["status"]["phase"] == "Failed") or {}
    )
    assert seen["status"]["reason"] == "UnexpectedAdmissionError"
    assert "cannot allocate unhealthy devices nvidia.com/gpu" in seen["status"]["message"]


def test_a_job_ends_as_its_pod_does(namespace: Namespace) -> None:
    namespace.apply(job("fine"), job("bad", "failed: 404 from the hub"), job("long", "running"))

    until(lambda: condition(namespace.get("batch/v1/jobs", "fine"), "Complete")["status"], lambda s: s == "True")
    failed = until(lambda: condition(namespace.get("batch/v1/jobs", "bad"), "Failed"), lambda seen: seen["reason"])
    assert failed["reason"] == "BackoffLimitExceeded"
    end = state_of(namespace.pod("app=bad"))["terminated"]
    assert (end["exitCode"], end["message"]) == (1, "404 from the hub")
    until(lambda: namespace.pod("app=long"), is_ready)
    namespace.kubectl("annotate", "pod", "--selector=app=long", f"{FATE}-")
    until(lambda: condition(namespace.get("batch/v1/jobs", "long"), "Complete")["status"], lambda s: s == "True")


@pytest.mark.parametrize("fate", ["starting", "crash-loop", "oom", "image-pull", "config-error", "unready"])
def test_a_pod_that_is_spared_its_fate_becomes_ready(namespace: Namespace, fate: Fate) -> None:
    namespace.apply(pod(fate=fate))
    until(lambda: state_of(namespace.get("v1/pods", "one")), bool)

    namespace.kubectl("annotate", "pod", "one", f"{FATE}-")

    until(lambda: namespace.get("v1/pods", "one"), is_ready)


def test_the_fate_of_a_component_is_that_of_the_pods_that_a_controller_makes_for_it(namespace: Namespace) -> None:
    namespace.doom("asr", "crash-loop", "CUDA out of memory")

    namespace.apply(deployment("asr"), deployment("tts"))

    seen = until(lambda: namespace.pod("app=asr"), waits_for("CrashLoopBackOff")) or {}
    last = seen["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["message"] == "CUDA out of memory"
    until(lambda: namespace.get("apps/v1/deployments", "tts"), has_available(1))
    namespace.spare("asr")
    namespace.kubectl("delete", "pod", "--selector=app=asr")
    until(lambda: namespace.get("apps/v1/deployments", "asr"), has_available(1))
