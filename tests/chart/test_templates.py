"""What the chart makes of its values, before any cluster sees it: objects, or a refusal that says what is wrong."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley_operator.resources.objects import Installation
from parley_operator.settings import load_settings
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.programs import find_program

CHART = Path(__file__).parents[2] / "charts/parley"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))

Render = Callable[..., list[Object]]


def of_kind(made: list[Object], kind: str) -> list[Object]:
    return [each for each in made if each["kind"] == kind]


def the(made: list[Object], kind: str) -> Object:
    [only] = of_kind(made, kind)
    return only


def environment(made: list[Object]) -> dict[str, str]:
    [container] = the(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def refusal(render: Render, values: Object) -> str:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        render(values)
    return str(caught.value.stderr)


def pod_specs(made: list[Object]) -> list[Any]:
    return [each["spec"]["template"]["spec"] for each in made if each["kind"] in {"Deployment", "Job"}]


@pytest.mark.parametrize("path", [None, *EXAMPLES], ids=lambda path: path.stem if path else "defaults")
def test_helm_lint_finds_nothing(path: Path | None) -> None:
    words = [f"--values={path}"] if path else []

    done = subprocess.run(
        [find_program("helm"), "lint", "--strict", "--quiet", str(CHART), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"image": {"tag": "1"}}, "additional properties 'image' not allowed"),
        ({"images": {"registy": "x"}}, "at '/images': additional properties 'registy' not allowed"),
        (
            {"images": {"registry": "https://registry.example"}},
            "at '/images/registry': 'https://registry.example' does",
        ),
        ({"images": {"pullSecrets": "registry"}}, "at '/images/pullSecrets': got string, want array"),
        ({"images": {"pullPolicy": "Sometimes"}}, "at '/images/pullPolicy': value must be one of 'IfNotPresent', 'Al"),
        ({"watchNamespaces": "home"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Home"]}, "at '/watchNamespaces/0': 'Home' does not match pattern"),
        ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"operator": {"replicas": 2}}, "at '/operator': additional properties 'replicas' not allowed"),
        ({"operator": {"logLevel": "loud"}}, "at '/operator/logLevel': value must be one of 'debug', 'info'"),
        ({"operator": {"resources": {"limits": {"memory": "512 MB"}}}}, "at '/operator/resources/limits/memory': '512"),
        ({"crds": {"enabled": "yes"}}, "at '/crds/enabled': got string, want boolean"),
        ({"monitoring": {"alerts": {"enabled": "no"}}}, "at '/monitoring/alerts/enabled': value must be one of 'auto'"),
        ({"monitoring": {"alerts": {"e2ftSeconds": 0}}}, "at '/monitoring/alerts/e2ftSeconds': exclusiveMinimum"),
        ({"monitoring": {"podMonitor": {"interval": "30"}}}, "at '/monitoring/podMonitor/interval': '30' does not"),
        ({"networkPolicy": {"apiServerPorts": []}}, "at '/networkPolicy/apiServerPorts': minItems"),
        (
            {"watchAllNamespaces": True, "watchNamespaces": ["home"]},
            "watchAllNamespaces and watchNamespaces exclude each other: leave one of them out",
        ),
    ],
)
def test_a_value_that_says_nothing_is_refused_with_its_path(render: Render, values: Object, sentence: str) -> None:
    assert sentence in refusal(render, values)


def test_every_value_can_be_given_as_it_is_by_default(render: Render) -> None:
    assert render(yaml.safe_load((CHART / "values.yaml").read_text())) == render()


def test_a_chart_that_contains_this_one_may_have_global_values(render: Render) -> None:
    assert render({"global": {"storageClass": "fast"}}) == render()


@pytest.mark.parametrize(
    "images, image",
    [
        ({}, "parley-operator:0.1.0"),
        ({"registry": "registry.example/parley"}, "registry.example/parley/parley-operator:0.1.0"),
        ({"registry": "localhost:5000", "tag": "main"}, "localhost:5000/parley-operator:main"),
    ],
)
def test_registry_and_tag_are_those_of_the_operator_and_of_its_assistants(
    render: Render, images: Object, image: str
) -> None:
    made = render({"images": images})

    assert {spec["containers"][0]["image"] for spec in pod_specs(made)} == {image}
    told = environment(made)
    assert (told["IMAGE_REGISTRY"], told["IMAGE_TAG"]) == (images.get("registry", ""), images.get("tag", "0.1.0"))


@pytest.mark.parametrize(
    "values, watched, rights",
    [
        ({}, "parley", [("Role", "parley")]),
        ({"watchNamespaces": ["home", "office"]}, "home,office", [("Role", "home"), ("Role", "office")]),
        ({"watchAllNamespaces": True}, "", [("ClusterRole", None)]),
    ],
)
def test_the_operator_has_rights_where_it_watches_and_nowhere_else(
    render: Render, values: Object, watched: str, rights: list[tuple[str, str | None]]
) -> None:
    made = render({**values, "userRoles": {"enabled": False}})

    assert environment(made)["WATCH_NAMESPACES"] == watched
    bindings = of_kind(made, "RoleBinding") + of_kind(made, "ClusterRoleBinding")
    given = [(each["roleRef"]["kind"], each["metadata"].get("namespace")) for each in bindings]
    roles = of_kind(made, "Role") + of_kind(made, "ClusterRole")
    assert given == rights == [(each["kind"], each["metadata"].get("namespace")) for each in roles]
    account = the(made, "ServiceAccount")["metadata"]
    assert all(
        each["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]
        for each in bindings
    )


def test_the_policies_of_assistants_find_the_operators_pods(render: Render) -> None:
    labels = the(render(), "Deployment")["spec"]["template"]["metadata"]["labels"]

    assert Installation().labels.items() <= labels.items()


def test_only_the_operators_pod_has_a_token(render: Render) -> None:
    made = render()

    assert the(made, "ServiceAccount")["automountServiceAccountToken"] is False
    assert the(made, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert the(made, "Job")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_an_operator_that_is_not_ready_can_be_asked_why(render: Render) -> None:
    assert the(render(), "Service")["spec"]["publishNotReadyAddresses"] is True


def test_two_operators_of_one_release_never_run_side_by_side(render: Render) -> None:
    spec = the(render(), "Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_no_container_can_write_to_its_root(render: Render) -> None:
    specs = pod_specs(render())

    assert len(specs) == 2
    assert all(spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] for spec in specs)


def test_the_operators_policy_lets_in_who_may_read_metrics(render: Render) -> None:
    home = {"kubernetes.io/metadata.name": "monitoring"}

    made = render({"monitoring": {"scrapeNamespaces": home}})

    policy = next(each for each in of_kind(made, "NetworkPolicy") if each["metadata"]["name"] == "parley-operator")
    assert policy["spec"]["ingress"][0] == {
        "from": [{"namespaceSelector": {"matchLabels": home}}],
        "ports": [{"protocol": "TCP", "port": 8081}],
    }
    assert yaml.safe_load(environment(made)["SCRAPE_NAMESPACES"]) == home


def test_the_definition_stays_and_can_be_left_out(render: Render) -> None:
    definition = the(render(), "CustomResourceDefinition")

    kept = {"helm.sh/resource-policy": "keep"}
    assert definition["metadata"] == {"name": "voiceassistants.parley.dev", "annotations": kept}
    assert not of_kind(render({"crds": {"enabled": False}}), "CustomResourceDefinition")


@pytest.mark.parametrize(
    "known, said, made",
    [
        ([], "auto", []),
        (["PodMonitor", "PrometheusRule"], "auto", ["PodMonitor", "PodMonitor", "PrometheusRule"]),
        (["PrometheusRule"], "auto", ["PrometheusRule"]),
        (["PodMonitor", "PrometheusRule"], False, []),
        ([], True, ["PodMonitor", "PodMonitor", "PrometheusRule"]),
    ],
)
def test_what_prometheus_reads_is_made_where_the_cluster_knows_it_or_when_asked_for(
    render: Render, known: list[str], said: object, made: list[str]
) -> None:
    words = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in known]

    found = render({"monitoring": {"podMonitor": {"enabled": said}, "alerts": {"enabled": said}}}, *words)

    kinds = sorted(each["kind"] for each in found if each["apiVersion"] == "monitoring.coreos.com/v1")
    assert kinds == made


def test_a_long_name_of_a_release_still_gives_names_that_kubernetes_takes(render: Render) -> None:
    made = render({"monitoring": {"dashboard": {"enabled": True}}}, release="a" * 53, namespace="n" * 63)

    # Roles may be longer; a Service's name is a DNS label.
    assert all(len(each["metadata"]["name"]) <= 63 for each in made if "Role" not in each["kind"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_an_operator_is_told_is_what_it_can_read(render: Render, path: Path) -> None:
    made = render(None, f"--values={path}")

    settings = load_settings({**environment(made), "POD_NAMESPACE": "parley"})

    installation = settings.installation()
    image = the(made, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert f"{installation.registry}/parley-operator:{installation.tag}" == image
    assert list(settings.namespaces) == [each["metadata"]["namespace"] for each in made if each["kind"] == "Role"]
    assert installation.scrape_namespaces is not None
