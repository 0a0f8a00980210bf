"""The chart on a real API server: what it makes is taken there, comes up, changes, goes, and leaves assistants alone.

Kubelets are played by kwok, so no image runs: what a pod would do is tried by `test_operating`.
"""

import contextlib
import functools
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley_testkit.control_plane.access import CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.observing import condition, has, is_available, is_gone
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "charts/parley")
EXAMPLES = sorted((ROOT / "charts/parley/examples").glob("*.yaml"))
ASSISTANTS = "parley.dev/v1alpha1/voiceassistants"
DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = "voiceassistants.parley.dev"
DEPLOYMENTS = "apps/v1/deployments"
OPERATOR = "parley-operator"
AWAIT = ("--wait", "--timeout=30s")
COMBINATIONS: list[Object] = [
    {},
    {"crds": {"enabled": False}, "userRoles": {"enabled": False}, "networkPolicy": {"enabled": False}},
    {"watchNamespaces": ["home", "office"], "networkPolicy": {"apiServerPorts": [16443]}},
    {"watchAllNamespaces": True, "operator": {"logLevel": "debug", "resources": {"limits": {"cpu": 1}}}},
    {"operator": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "nodeSelector": {"a/b": "c"}}},
    {"images": {"registry": "localhost:5000", "tag": "main", "pullPolicy": "Always", "pullSecrets": ["one", "two"]}},
    {"monitoring": {"scrapeNamespaces": {"team": "sre"}, "podMonitor": {"labels": {"a": "b"}, "interval": "5s"}}},
    {"monitoring": {"alerts": {"labels": {"a": "b"}, "e2ftSeconds": 0.75}, "dashboard": {"enabled": True}}},
]

Render = Callable[..., list[Object]]


def named(kind: str, plural: str) -> Object:
    """The definition of a kind that the Prometheus Operator has, as far as helm and the API server ask for it here."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


@pytest.fixture
def prometheus(plane: ControlPlane) -> Iterator[None]:
    """The control plane knows the kinds of the Prometheus Operator."""
    kinds = [named("PodMonitor", "podmonitors"), named("PrometheusRule", "prometheusrules")]
    plane.admin.apply(*kinds)
    names = [each["metadata"]["name"] for each in kinds]
    for name in names:
        until(functools.partial(plane.admin.get, DEFINITIONS, name), has("Established"))
    yield
    plane.admin.kubectl("delete", "crd", *names)


@pytest.fixture(scope="module")
def watched(shared_plane: ControlPlane) -> Iterator[None]:
    """The namespaces are there that examples and combinations name."""
    with contextlib.ExitStack() as stack:
        for name in ("parley", "home", "office", "trial"):
            stack.enter_context(shared_plane.namespace(name))
        yield


def install(namespace: Namespace, *words: str) -> None:
    """Install the chart and wait until the operator's pod is ready; helm's own waiting looks every two seconds."""
    namespace.helm("install", "parley", CHART, *words)
    namespace.until(DEPLOYMENTS, OPERATOR, is_available)


def helm_error(namespace: Namespace, *words: str) -> str:
    with pytest.raises(CommandFailedError) as caught:
        namespace.helm(*words)
    return str(caught.value)


def test_the_api_server_takes_all_that_is_made_of_every_example_and_combination(
    plane: ControlPlane, watched: None, prometheus: None, render: Render
) -> None:
    api = (
        "--api-versions=monitoring.coreos.com/v1/PodMonitor",
        "--api-versions=monitoring.coreos.com/v1/PrometheusRule",
    )
    made = [each for values in COMBINATIONS for each in render(values, *api)]
    made += [each for path in EXAMPLES for each in render(None, f"--values={path}", *api)]
    unlike = list({json.dumps(each): each for each in made}.values())
    assert {"PodMonitor", "PrometheusRule", "ConfigMap", "Job", "Role", "ClusterRole"} <= {
        each["kind"] for each in made
    }

    page = {"apiVersion": "v1", "kind": "List", "items": unlike}
    said = plane.admin.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(page)
    )

    assert said.count("serverside-applied (server dry run)") == len(unlike) > 40


def test_it_comes_up_changes_goes_back_and_goes_and_assistants_never_notice(
    plane: ControlPlane, namespace: Namespace, no_definition: None
) -> None:
    said = namespace.helm("install", "parley", CHART, "--set=images.registry=registry.test/parley", *AWAIT)

    assert f"cares for assistants in {namespace.name}." in said
    assert is_available(namespace.get(DEPLOYMENTS, OPERATOR))
    [first] = re.findall(r"^kubectl .* apply --filename - <<EOF\n(.*?)^EOF$", said, re.DOTALL | re.MULTILINE)
    namespace.kubectl("apply", "--filename=-", stdin=first)
    before = namespace.get(ASSISTANTS, "libra")["metadata"]

    older = '--patch=[{"op": "remove", "path": "/spec/names/shortNames"}]'
    plane.admin.kubectl("patch", "crd", DEFINITION, "--type=json", older)
    namespace.helm("upgrade", "parley", CHART, "--reset-then-reuse-values", "--set=operator.logLevel=debug", *AWAIT)
    assert log_level(namespace) == "debug"
    assert plane.admin.get(DEFINITIONS, DEFINITION)["spec"]["names"]["shortNames"] == ["va"]

    namespace.helm("rollback", "parley", "1", *AWAIT)
    assert log_level(namespace) == "info"

    namespace.helm("uninstall", "parley", "--wait", "--cascade=foreground", "--timeout=30s")
    assert is_gone(namespace.get(DEPLOYMENTS, OPERATOR))
    assert namespace.find("rbac.authorization.k8s.io/v1/roles") == []
    after = namespace.get(ASSISTANTS, "libra")["metadata"]
    assert [after[key] for key in ("uid", "resourceVersion")] == [before[key] for key in ("uid", "resourceVersion")]

    namespace.helm("install", "parley", CHART)
    assert namespace.get(ASSISTANTS, "libra")["metadata"]["resourceVersion"] == before["resourceVersion"]


def log_level(namespace: Namespace) -> str:
    [pod] = [
        each
        for each in namespace.find("v1/pods", labels=f"app.kubernetes.io/name={OPERATOR}")
        if "deletionTimestamp" not in each["metadata"]
    ]
    [level] = [each["value"] for each in pod["spec"]["containers"][0]["env"] if each["name"] == "LOG_LEVEL"]
    return str(level)


def test_the_definition_that_another_release_left_is_taken_over_only_when_told_so(
    plane: ControlPlane, namespace: Namespace, no_definition: None
) -> None:
    with plane.namespace() as other:
        install(other)
        other.helm("uninstall", "parley")
        kept = plane.admin.get(DEFINITIONS, DEFINITION)

        assert "invalid ownership metadata" in helm_error(namespace, "install", "parley", CHART)
        install(namespace, "--take-ownership")

    taken = plane.admin.get(DEFINITIONS, DEFINITION)["metadata"]
    assert taken["uid"] == kept["metadata"]["uid"]
    assert taken["annotations"]["meta.helm.sh/release-namespace"] == namespace.name


def test_two_installations_share_a_definition_and_nothing_else(
    plane: ControlPlane, namespace: Namespace, no_definition: None, watched: None
) -> None:
    install(namespace)
    trial = Namespace("trial", plane.admin)

    install(trial, f"--values={CHART}/examples/second-installation.yaml")
    trial.helm("uninstall", "parley")

    trial.until(DEPLOYMENTS, OPERATOR, is_gone)
    assert is_available(namespace.get(DEPLOYMENTS, OPERATOR))
    assert namespace.find("rbac.authorization.k8s.io/v1/roles")
    assert plane.admin.get(DEFINITIONS, DEFINITION)


def test_a_release_for_the_whole_cluster_leaves_no_cluster_role_behind(
    plane: ControlPlane, namespace: Namespace, definition: None
) -> None:
    name = f"{namespace.name}-{OPERATOR}"
    values = ("--set=watchAllNamespaces=true", "--set=crds.enabled=false")

    install(namespace, *values)
    assert plane.admin.get("rbac.authorization.k8s.io/v1/clusterroles", name)

    namespace.helm("uninstall", "parley")
    assert not [
        each
        for kind in ("clusterroles", "clusterrolebindings")
        for each in plane.admin.find(f"rbac.authorization.k8s.io/v1/{kind}")
        if each["metadata"]["name"].startswith(name)
    ]


def test_a_namespace_to_watch_that_is_not_there_is_said_at_once(namespace: Namespace, definition: None) -> None:
    said = helm_error(
        namespace, "install", "parley", CHART, "--set=watchNamespaces={nowhere}", "--set=crds.enabled=false"
    )

    assert 'namespaces "nowhere" not found' in said


def test_helm_test_asks_a_job_and_tells_how_that_ended(namespace: Namespace, definition: None) -> None:
    install(namespace, "--set=crds.enabled=false")

    assert "Phase:          Succeeded" in namespace.helm("test", "parley", "--timeout=30s")
    assert namespace.find("batch/v1/jobs") == []

    namespace.doom("test", "failed", "http://parley-operator:8080/readyz does not answer")
    assert "job parley-operator-test failed: BackoffLimitExceeded" in helm_error(namespace, "test", "parley")
    assert namespace.get("batch/v1/jobs", "parley-operator-test")


def test_what_prometheus_reads_comes_with_the_next_upgrade_after_it_is_there(
    namespace: Namespace, definition: None, request: pytest.FixtureRequest
) -> None:
    install(namespace, "--set=crds.enabled=false")

    request.getfixturevalue("prometheus")
    namespace.helm("upgrade", "parley", CHART, "--reset-then-reuse-values")

    found = namespace.find("monitoring.coreos.com/v1/podmonitors")
    assert [each["metadata"]["name"] for each in found] == ["parley-operator", "parley-operator-assistants"]
    assert namespace.find("monitoring.coreos.com/v1/prometheusrules")


def test_an_image_that_cannot_be_pulled_is_an_install_that_failed_and_says_so(
    namespace: Namespace, definition: None
) -> None:
    namespace.doom("operator", "image-pull")

    said = helm_error(namespace, "install", "parley", CHART, "--set=crds.enabled=false", "--wait", "--timeout=3s")

    assert "context deadline exceeded" in said
    seen = until(lambda: namespace.get(DEPLOYMENTS, OPERATOR), lambda seen: condition(seen, "Available")["status"])
    assert condition(seen, "Available")["status"] == "False"


def notes(plane: ControlPlane, *values: str) -> str:
    words = ("--dry-run=client", "--take-ownership", "--namespace=parley-system")
    said = plane.admin.helm("install", "parley", CHART, *words, *values)
    return said.partition("NOTES:\n")[2]


@pytest.mark.parametrize(
    "values, said",
    [
        ([], "cares for assistants in parley-system."),
        (["--set=watchNamespaces={home,office}"], "cares for assistants in home, office."),
        (["--set=watchAllNamespaces=true"], "cares for assistants in every namespace."),
    ],
)
def test_what_is_said_after_an_installation_names_where_assistants_belong(
    plane: ControlPlane, values: list[str], said: str
) -> None:
    page = notes(plane, *values)

    assert said in page
    assert ("gets neither pods nor a status" in page) is ("every" not in said)
    first = re.split("[ ,.]", said.removeprefix("cares for assistants in "))[0]
    assert f"kubectl --namespace {'default' if first == 'every' else first} get va --watch" in page
    assert "kubectl --namespace parley-system rollout status deployment/parley-operator" in page


def test_who_names_no_registry_is_told_where_nodes_then_look(plane: ControlPlane) -> None:
    assert "nodes look for parley-operator:main and" in notes(plane, "--set=images.tag=main")
    assert "No registry is named" not in notes(plane, "--set=images.registry=registry.example")


def test_the_command_of_the_readme_is_taken(plane: ControlPlane, no_definition: None) -> None:
    page = (ROOT / "charts/parley/README.md").read_text()
    [command] = re.findall(r"^```\nhelm ((?:.*\n)*?)```$", page, re.MULTILINE)
    words = [CHART if word == "charts/parley" else word for word in shlex.split(command.replace("\\\n", " "))]

    said = plane.admin.helm(*words, "--dry-run=server")

    assert "registry.example/parley/parley-operator" in said
