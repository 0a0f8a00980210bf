"""What the chart lets the operator do, against one list, and against a real API server doing what plans ask for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from parley_operator.actions import Action, Create, Delete
from parley_operator.judgement import Facts, judge
from parley_operator.plan import Observed, plan
from parley_operator.resources.objects import FIELD_MANAGER
from parley_testkit.control_plane.access import Access, CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until
from parley_testkit.first_plans import INSTALLATION, NOW, new_keys

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "docs/samples"
MANIFESTS = ROOT / "tests/contract/golden/manifests"

RIGHTS: Final = {
    "voiceassistants.parley.dev": "list watch",
    "voiceassistants.parley.dev/status": "patch",
    "deployments.apps": "list watch create patch delete",
    "statefulsets.apps": "list watch create patch delete",
    "networkpolicies.networking.k8s.io": "list watch create patch delete",
    "poddisruptionbudgets.policy": "list watch create patch delete",
    "configmaps": "list watch create patch delete",
    "services": "list watch create patch delete",
    "serviceaccounts": "list watch create patch delete",
    "controllerrevisions.apps": "list watch create delete",
    "jobs.batch": "list watch create delete",
    "persistentvolumeclaims": "list watch create patch",
    "secrets": "get create",
    "pods": "list watch",
    "events": "list watch",
    "events.events.k8s.io": "create patch",
}
"""Everything the operator may do where it watches. Whoever adds a word here says in the chart what for."""

MAY_SEE: Final = "get list watch"
MAY_CHANGE: Final = "create update patch delete deletecollection"

Render = Callable[..., list[Object]]


def granted(role: Object) -> dict[str, str]:
    """What a Role grants, in the words of RIGHTS."""
    found: dict[str, str] = {}
    for rule in role["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name, slash, part = resource.partition("/")
                key = f"{name}{f'.{group}' if group else ''}{slash}{part}"
                assert key not in found
                found[key] = " ".join(rule["verbs"])
    return found


def roles(made: list[Object]) -> Iterator[tuple[str, Object]]:
    return ((each["metadata"]["name"], each) for each in made if each["kind"] in {"Role", "ClusterRole"})


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["home", "office"]}, {"watchAllNamespaces": True}], ids=str)
def test_the_operator_may_do_what_the_list_says_and_nothing_else(render: Render, values: Object) -> None:
    given = [granted(role) for name, role in roles(render(values)) if name == "parley-parley-operator"]

    assert given
    assert all(each == RIGHTS for each in given)


def test_nobody_is_given_everything_of_anything(render: Render) -> None:
    made = render({"watchAllNamespaces": True})

    assert "*" not in str([role["rules"] for _, role in roles(made)])


def test_people_see_and_change_assistants_and_nobody_writes_a_status_by_hand(render: Render) -> None:
    people = {name: role for name, role in roles(render()) if name != "parley-parley-operator"}

    seen = "voiceassistants.parley.dev"
    assert {name: granted(role) for name, role in people.items()} == {
        "parley-parley-operator-view": {seen: MAY_SEE, f"{seen}/status": MAY_SEE},
        "parley-parley-operator-edit": {seen: MAY_CHANGE},
    }


# --- On a real API server ---------------------------------------------------------------------------------------------


@pytest.fixture
def operator(plane: ControlPlane, namespace: Namespace, definition: None, render: Render) -> Access:
    """The operator's own access, as the chart gives it in this namespace."""
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    plane.admin.apply(*(each for each in render(namespace=namespace.name) if each["kind"] in kinds))
    return plane.service_account(namespace.name, "parley-operator")


def path_of(child: Object) -> str:
    version, metadata = child["apiVersion"], child["metadata"]
    plural = "networkpolicies" if child["kind"] == "NetworkPolicy" else f"{child['kind'].lower()}s"
    return f"{'/apis' if '/' in version else '/api'}/{version}/namespaces/{metadata['namespace']}/{plural}"


def carried_out(operator: Access, action: Action) -> int:
    """Do it as the operator does, and return what the API server answered."""
    if isinstance(action, Delete):
        child = {"apiVersion": action.api_version, "kind": action.kind, "metadata": {"namespace": action.namespace}}
        return operator.http.delete(f"{path_of(child)}/{action.name}").status_code
    path = path_of(action.object)
    if isinstance(action, Create):
        return operator.http.post(path, json=action.object).status_code
    return operator.http.patch(
        f"{path}/{action.object['metadata']['name']}",
        content=json.dumps(action.object),
        headers={"Content-Type": "application/apply-patch+yaml"},
        params={"fieldManager": FIELD_MANAGER, "force": "true"},
    ).status_code


def first_actions(there: Object) -> tuple[Action, ...]:
    observed = Observed(uid=there["metadata"]["uid"], new_keys=new_keys())
    return plan(judge(there, (), Facts()), observed, INSTALLATION, NOW).actions


def test_the_operator_may_carry_out_its_plan_and_remove_what_it_made_but_for_volumes_and_seeds(
    namespace: Namespace, operator: Access
) -> None:
    namespace.kubectl("apply", "--filename", str(SAMPLES / "gpu-8gb.yaml"))
    actions = first_actions(namespace.get("parley.dev/v1alpha1/voiceassistants", "libra"))
    kinds = {action.object["kind"] for action in actions if not isinstance(action, Delete)}

    answers = {carried_out(operator, action) for action in actions}

    assert answers == {201}
    kept = {"PersistentVolumeClaim", "Secret"}
    for action in actions:
        assert not isinstance(action, Delete)
        child = action.object
        code = operator.http.delete(f"{path_of(child)}/{child['metadata']['name']}").status_code
        assert code == (403 if child["kind"] in kept else 200), child["kind"]
    assert kept < kinds


def test_the_plan_of_every_sample_needs_no_kind_that_is_not_on_the_list() -> None:
    needed = {
        (document["kind"].lower(), verb)
        for page in MANIFESTS.glob("*.yaml")
        for verb, document in zip(
            (line.removeprefix("--- # ") for line in page.read_text().splitlines() if line.startswith("--- # ")),
            yaml.safe_load_all(page.read_text()),
            strict=True,
        )
    }
    singular = {
        (name.partition(".")[0].removesuffix("ies") + "y" if "policies" in name else name.partition(".")[0][:-1]): verbs
        for name, verbs in RIGHTS.items()
        if "/" not in name
    }

    for kind, verb in needed:
        wanted = {"create"} if verb == "create" else {"create", "patch"}
        assert wanted <= set(singular[kind].split()), kind


def test_the_operator_reads_a_secret_by_name_and_never_lists_any(namespace: Namespace, operator: Access) -> None:
    namespace.kubectl("create", "secret", "generic", "discord", "--from-literal=token=secret")
    secrets = f"/api/v1/namespaces/{namespace.name}/secrets"

    assert operator.http.get(f"{secrets}/discord").status_code == 200
    assert operator.http.get(secrets).status_code == 403
    assert operator.http.get(secrets, params={"watch": "true"}).status_code == 403
    assert operator.http.patch(f"{secrets}/discord", json={}).status_code in {403, 415}


def test_the_operator_reaches_no_other_namespace(plane: ControlPlane, operator: Access) -> None:
    with plane.namespace() as other:
        for resource in ("configmaps", "pods", "secrets/discord"):
            assert operator.http.get(f"/api/v1/namespaces/{other.name}/{resource}").status_code == 403
    assert operator.http.get("/api/v1/nodes").status_code == 403


def test_people_get_their_rights_through_the_roles_that_kubernetes_has(
    plane: ControlPlane, namespace: Namespace, definition: None, render: Render
) -> None:
    made = render(namespace=namespace.name)
    plane.admin.apply(*(each for each in made if "aggregate-to-edit" in str(each["metadata"].get("labels"))))
    namespace.kubectl("create", "rolebinding", "ann", "--clusterrole=edit", "--user=ann")
    namespace.kubectl("create", "rolebinding", "bob", "--clusterrole=view", "--user=bob")
    # Kubernetes adds to its own roles a moment after a role asks for it.
    until(lambda: can(namespace, "ann", "create", "voiceassistants"), bool)

    may = {
        (user, verb): can(namespace, user, verb, what)
        for user in ("ann", "bob")
        for verb, what in (
            ("list", "voiceassistants"),
            ("create", "voiceassistants"),
            ("delete", "voiceassistants"),
            ("patch", "voiceassistants/status"),
        )
    }

    assert [verb for (user, verb), allowed in may.items() if user == "ann" and allowed] == ["list", "create", "delete"]
    assert [verb for (user, verb), allowed in may.items() if user == "bob" and allowed] == ["list"]


def can(namespace: Namespace, user: str, verb: str, what: str) -> bool:
    resource, _, subresource = what.partition("/")
    part = [f"--subresource={subresource}"] if subresource else []
    try:
        namespace.kubectl("auth", "can-i", verb, f"{resource}.parley.dev", *part, f"--as={user}", "--quiet")
    except CommandFailedError:
        return False
    return True
