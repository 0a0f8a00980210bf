"""What the chart lets the operator do, against one list, and against a real API server doing what plans ask for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from parley_operator.actions import Apply, Create, Delete
from parley_operator.judgement import Facts, judge
from parley_operator.kinds import kind_named
from parley_operator.plan import Observed, plan
from parley_operator.resources.objects import FIELD_MANAGER
from parley_testkit.control_plane.access import Access, CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until
from parley_testkit.first_plans import INSTALLATION, NOW, first_plan, new_keys

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "docs/samples"

LIST: Final = ROOT / "tests/cluster/operator-rights.yaml"
"""Everything the operator may do where it watches: what the tests of the operator let it do, too."""

MAY_SEE: Final = "get list watch"
MAY_CHANGE: Final = "create update patch delete deletecollection"

Render = Callable[..., list[Object]]


def granted(rules: list[Object]) -> dict[str, str]:
    """What rules grant, as `deployments.apps: list watch`."""
    found: dict[str, str] = {}
    for rule in rules:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name, slash, part = resource.partition("/")
                key = f"{name}{f'.{group}' if group else ''}{slash}{part}"
                assert key not in found
                found[key] = " ".join(rule["verbs"])
    return found


RIGHTS: Final = granted(yaml.safe_load(LIST.read_text()))


def roles(made: list[Object]) -> Iterator[tuple[str, Object]]:
    return ((each["metadata"]["name"], each) for each in made if each["kind"] in {"Role", "ClusterRole"})


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["home", "office"]}, {"watchAllNamespaces": True}], ids=str)
def test_the_operator_may_do_what_the_list_says_and_nothing_else(render: Render, values: Object) -> None:
    given = [granted(role["rules"]) for name, role in roles(render(values)) if name == "parley-parley-operator"]

    assert given
    assert all(each == RIGHTS for each in given)


def test_nobody_is_given_everything_of_anything(render: Render) -> None:
    made = render({"watchAllNamespaces": True})

    assert "*" not in str([role["rules"] for _, role in roles(made)])


def test_people_see_and_change_assistants_and_nobody_writes_a_status_by_hand(render: Render) -> None:
    people = {name: role for name, role in roles(render()) if name != "parley-parley-operator"}

    seen = "voiceassistants.parley.dev"
    assert {name: granted(role["rules"]) for name, role in people.items()} == {
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


def carried_out(operator: Access, action: Create | Apply) -> int:
    """Do it as the operator does, and return what the API server answered."""
    meta, kind = action.object["metadata"], kind_named(action.object["kind"])
    if isinstance(action, Create):
        return operator.http.post(kind.path(meta["namespace"]), json=action.object).status_code
    return operator.http.patch(
        kind.path(meta["namespace"], meta["name"]),
        content=json.dumps(action.object),
        headers={"Content-Type": "application/apply-patch+yaml"},
        params={"fieldManager": FIELD_MANAGER, "force": "true"},
    ).status_code


def first_actions(there: Object) -> list[Create | Apply]:
    observed = Observed(uid=there["metadata"]["uid"], new_keys=new_keys())
    actions = plan(judge(there, (), Facts()), observed, INSTALLATION, NOW).actions
    return [action for action in actions if not isinstance(action, Delete)]


def test_the_operator_may_carry_out_its_plan_and_remove_what_it_made_but_for_volumes_and_seeds(
    namespace: Namespace, operator: Access
) -> None:
    namespace.kubectl("apply", "--filename", str(SAMPLES / "gpu-8gb.yaml"))
    actions = first_actions(namespace.get("parley.dev/v1alpha1/voiceassistants", "libra"))

    answers = {carried_out(operator, action) for action in actions}

    assert answers == {201}
    removed = {action.object["kind"]: is_removed(operator, action.object) for action in actions}
    assert {kind for kind, is_gone in removed.items() if not is_gone} == {"PersistentVolumeClaim", "Secret"}
    assert len(removed) == 10


def is_removed(operator: Access, child: Object) -> bool:
    path = kind_named(child["kind"]).path(child["metadata"]["namespace"], child["metadata"]["name"])
    return operator.http.delete(path).is_success


def test_the_list_has_all_that_the_plans_of_the_samples_need() -> None:
    needed = {
        (kind_named(action.object["kind"]), type(action))
        for page in SAMPLES.glob("*.yaml")
        for document in yaml.safe_load_all(page.read_text())
        for action in first_plan(document).actions
        if not isinstance(action, Delete)
    }

    assert len(needed) > 8
    for kind, verb in needed:
        granted_verbs = RIGHTS[f"{kind.plural}.{kind.group}".rstrip(".")].split()
        assert {"create"} | ({"patch"} if verb is Apply else set()) <= set(granted_verbs), kind


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
