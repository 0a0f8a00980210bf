"""A node is drained: budgets hold what they are for, what can go elsewhere goes, and what cannot says why."""

import contextlib
from collections.abc import Iterator

import pytest

from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, until_ready, until_says
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.observing import is_ready
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

NAME = "drained"
BUDGETS = "policy/v1/poddisruptionbudgets"


@contextlib.contextmanager
def cordoned(plane: ControlPlane, node: str) -> Iterator[None]:
    """Have a node take no new pods while the block lasts."""
    plane.admin.kubectl("cordon", node)
    try:
        yield
    finally:
        plane.admin.kubectl("uncordon", node)


def pods(namespace: Namespace, component: str) -> list[Object]:
    """Return the pods of a component that are not on their way out."""
    labels = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}"
    found = namespace.find("v1/pods", labels=labels)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def nodes(found: list[Object]) -> list[str]:
    return sorted(pod["spec"].get("nodeName", "") for pod in found)


def evict(plane: ControlPlane, pod: Object) -> int:
    """Ask for a pod's eviction, as a drain does; return the HTTP status."""
    meta = {key: pod["metadata"][key] for key in ("name", "namespace")}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
    return plane.admin.http.post(path, json=body).status_code


def test_a_drain_leaves_one_agent_and_moves_the_others_and_what_is_bound_to_the_node_waits_for_it(
    plane: ControlPlane, namespace: Namespace
) -> None:
    with cordoned(plane, "plain-2"):
        namespace.apply(assistant(NAME, agent={"replicas": 2}))
        until_ready(namespace, NAME)
        namespace.until(BUDGETS, f"{NAME}-agent", lambda seen: seen["status"]["disruptionsAllowed"] == 1)
        first, second = pods(namespace, "agent")
    assert [each["metadata"]["name"] for each in namespace.find(BUDGETS)] == [f"{NAME}-agent"]

    with cordoned(plane, "plain-1"):
        namespace.doom("agent", "starting")
        assert evict(plane, first) == 201
        until(lambda: nodes(pods(namespace, "agent")), lambda seen: seen == ["plain-1", "plain-2"])
        assert evict(plane, second) == 429
        assert is_ready(namespace.get(ASSISTANTS, NAME))

        namespace.spare("agent")
        (late,) = (pod for pod in pods(namespace, "agent") if pod["spec"]["nodeName"] == "plain-2")
        namespace.kubectl("delete", "pod", late["metadata"]["name"], "--wait=false")
        until(lambda: [is_ready(pod) for pod in pods(namespace, "agent")], lambda seen: seen == [True, True])
        selector = f"--pod-selector=app.kubernetes.io/instance={NAME}"
        plane.admin.kubectl("drain", "plain-1", selector, "--delete-emptydir-data", "--force", "--timeout=60s")

        until(lambda: nodes(pods(namespace, "agent")), lambda seen: seen == ["plain-2", "plain-2"])
        said = until_says(namespace, "ASRReady", "Unschedulable", NAME)
        assert "its volume lies on a node that does not take the pod now" in said["message"]
        assert namespace.get(ASSISTANTS, NAME)["status"]["phase"] == "Pending"

    until_ready(namespace, NAME)
