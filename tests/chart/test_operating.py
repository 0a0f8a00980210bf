"""The operator as the chart starts it: with the variables of its Deployment, as its ServiceAccount, with its rights.

Only where it listens differs, for it runs as a process of this test: kubelets are played, and no image runs.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from parley_cli.launches import LOOPBACK
from parley_contract.resource import API_VERSION, KIND
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import is_all_ready, until_quiet, until_ready
from parley_testkit.control_plane.children import children
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.observing import condition
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until

CHART = str(Path(__file__).parents[2] / "charts/parley")
ASSISTANTS = f"{API_VERSION}/voiceassistants"
DEPLOYMENTS = "apps/v1/deployments"
OPERATOR = "parley-operator"
NAMES = ("libra", "lyra")
KINDS = (
    ASSISTANTS,
    DEPLOYMENTS,
    "apps/v1/statefulsets",
    "apps/v1/controllerrevisions",
    "batch/v1/jobs",
    "networking.k8s.io/v1/ingresses",
    "networking.k8s.io/v1/networkpolicies",
    "v1/configmaps",
    "v1/persistentvolumeclaims",
    "v1/secrets",
    "v1/serviceaccounts",
    "v1/services",
)
"""All that an assistant is made of."""

Render = Callable[..., list[Object]]


@contextlib.contextmanager
def started(plane: ControlPlane, namespace: Namespace) -> Iterator[dict[str, str]]:
    """Run the operator of the release in this namespace while the block lasts; what comes is where it listens."""
    [container] = namespace.get(DEPLOYMENTS, OPERATOR)["spec"]["template"]["spec"]["containers"]
    assert container["command"][0] == "python"
    told = {each["name"]: each.get("value", namespace.name) for each in container["env"]}
    account = plane.service_account(namespace.name, OPERATOR)
    here = {"KUBECONFIG": str(account.kubeconfig), "HOST": LOOPBACK, "HEALTH_PORT": "0", "METRICS_PORT": "0"}
    with children() as running:
        words = [f"{name}={value}" for name, value in {**told, **here}.items()]
        running.start(OPERATOR, "/usr/bin/env", *words, sys.executable, *container["command"][1:])
        log = until(lambda: running.log(OPERATOR), lambda log: '"watching"' in log, within_s=60)
        yield {
            what: f"http://{LOOPBACK}:{port}" for what, port in re.findall(r'"what":\s*"(\w+)",\s*"port":\s*(\d+)', log)
        }
        running.check()


def looks(address: str, result: str) -> int:
    """How many looks at an assistant ended so."""
    page = httpx.get(f"{address}/metrics", trust_env=False).text
    return sum(
        map(int, re.findall(rf'^parley_operator_reconciles_total{{result="{result}"}} (\d+)', page, re.MULTILINE))
    )


def versions(namespace: Namespace) -> dict[str, str]:
    """The resource version of everything of the assistants."""
    found = {kind: namespace.find(kind) for kind in KINDS}
    return {
        f"{kind.rpartition('/')[2]} {each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for kind, objects in found.items()
        for each in objects
        if each["metadata"]["name"].startswith(NAMES)
    }


def image(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.usefixtures("definition")
def test_an_upgrade_of_values_touches_what_they_are_about_and_of_new_images_one_assistant_after_the_other(
    plane: ControlPlane, namespace: Namespace
) -> None:
    registry = "--set=images.registry=registry.test/parley"
    namespace.helm("install", "parley", CHART, "--set=crds.enabled=false", registry)
    with started(plane, namespace):
        spec = {"profile": "laptop"}
        for name in NAMES:
            namespace.apply({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec})
        for name in NAMES:
            until_ready(namespace, name)
            until_quiet(namespace, name)
    assert image(namespace.get(DEPLOYMENTS, "libra-asr")) == "registry.test/parley/parley-asr:0.1.0"
    before = versions(namespace)
    assert len(before) > 30

    namespace.helm("upgrade", "parley", CHART, "--reuse-values", "--set=operator.logLevel=debug")
    with started(plane, namespace) as addresses:
        until(lambda: looks(addresses["metrics"], "unchanged"), lambda count: count >= len(NAMES))
        assert looks(addresses["metrics"], "changed") == 0
    assert versions(namespace) == before

    namespace.doom("ollama", "image-pull")
    ollama = "registry.test/ollama:9"
    namespace.helm("upgrade", "parley", CHART, "--reuse-values", f"--set=images.ollama={ollama}")
    with started(plane, namespace):
        waiting = until(
            lambda: {name: progress(namespace, name) for name in NAMES},
            lambda told: sorted(map(bool, told.values())) == [False, True],
        )
        [first] = [name for name, said in waiting.items() if not said]
        [second] = set(NAMES) - {first}
        namespace.until(DEPLOYMENTS, f"{first}-ollama", lambda seen: image(seen) == ollama)
        assert waiting[second] == f"new images wait until {namespace.name}/{first} is ready with them"
        assert image(namespace.get(DEPLOYMENTS, f"{second}-ollama")) != ollama

        namespace.spare("ollama")
        namespace.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=ollama")

        for name in NAMES:
            namespace.until(DEPLOYMENTS, f"{name}-ollama", lambda seen: image(seen) == ollama, within_s=30)
            namespace.until(ASSISTANTS, name, is_all_ready, within_s=30)
    changed = {name for name, version in versions(namespace).items() if before.get(name) != version}
    assert changed == {
        f"{kind}" for name in NAMES for kind in (f"deployments {name}-ollama", f"voiceassistants {name}")
    }


def progress(namespace: Namespace, name: str) -> str:
    """What an assistant waits for before it gets new images; empty for nothing."""
    said = condition(namespace.get(ASSISTANTS, name), "Progressing")
    return str(said["message"]) if said["reason"] == "UpgradeWaiting" else ""


@pytest.mark.usefixtures("definition")
def test_what_helm_test_runs_in_its_pod_tells_an_operator_that_watches_from_one_that_is_away(
    plane: ControlPlane, namespace: Namespace, render: Render
) -> None:
    namespace.helm("install", "parley", CHART, "--set=crds.enabled=false")
    [job] = [each for each in render() if each["kind"] == "Job"]
    [python, flag, script] = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert (python, flag) == ("python", "-c")

    def ask(address: str) -> subprocess.CompletedProcess[str]:
        here = script.replace("http://parley-operator:8080", address)
        return subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, check=False, timeout=30)

    with started(plane, namespace) as addresses:
        there = ask(addresses["health"])
    away = ask(addresses["health"])

    assert (there.returncode, there.stdout) == (0, f"{addresses['health']}/readyz says ok\n\n")
    assert away.returncode == 1
    assert f"{addresses['health']}/readyz does not answer: " in away.stderr
