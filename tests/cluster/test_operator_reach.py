"""Of the namespaces that it is told to watch the operator watches what it can, and no other one holds that up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, until_ready
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.operators import SYSTEM, OperatorProcess, install_account, running_operator
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import until

RIGHTS = Path(__file__).with_name("operator-rights.yaml")
NAME = "operator-of-two-namespaces"
WITHOUT_RIGHTS = "operator-without-rights"

pytestmark = pytest.mark.usefixtures("voice_assistants")


def readiness(operator: OperatorProcess) -> str:
    """Return what `/readyz` says; nothing where it begins anew at this moment."""
    try:
        said = operator.get("health", "/readyz")
    except httpx.TransportError:
        return ""
    return f"{said.status_code} {said.text}"


def test_a_namespace_that_it_has_no_rights_in_yet_or_that_is_deleted_holds_up_no_other(
    plane: ControlPlane, namespace: Namespace
) -> None:
    install_account(plane, RIGHTS, namespace.name, name=NAME)
    with (
        plane.namespace() as other,
        running_operator(plane, name=NAME, namespaces=f"{other.name},{namespace.name}") as operator,
    ):
        for each in (namespace, other):
            each.apply(assistant())
        until_ready(namespace)
        said = readiness(operator)
        assert said.startswith(f"200 ok\ncannot watch {other.name}: voiceassistants.parley.dev is forbidden: ")
        assert "if the namespace is there, helm upgrade gives the operator its rights in it" in said
        assert "status" not in other.get(ASSISTANTS, "libra")

        install_account(plane, RIGHTS, other.name, name=NAME)
        until_ready(other)
        assert readiness(operator) == "200 ok\n"

        other.kubectl("delete", "namespace", other.name, "--wait=false")
        until(lambda: readiness(operator), lambda said: said.startswith(f"200 ok\ncannot watch {other.name}: "))
        namespace.apply(assistant(tts={"speed": 1.2}))
        namespace.until("apps/v1/deployments", "libra-tts", speaks_faster)
        operator.check()


def speaks_faster(seen: Object) -> bool:
    return {"name": "TTS_SPEED", "value": "1.2"} in seen["spec"]["template"]["spec"]["containers"][0]["env"]


def test_an_operator_that_can_watch_nothing_says_why_and_ends_when_it_is_told_to(plane: ControlPlane) -> None:
    where = {"name": WITHOUT_RIGHTS, "namespace": SYSTEM}
    plane.admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
    )
    user = plane.service_account(SYSTEM, WITHOUT_RIGHTS)
    own = {"KUBECONFIG": str(user.kubeconfig), "HEALTH_PORT": "0", "METRICS_PORT": "0", "HOST": "127.0.0.1"}
    command = [sys.executable, "-m", "parley_operator", "run"]
    with subprocess.Popen(command, env={**os.environ, **own}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        log = ""
        while '"cannot watch"' not in log:
            line = process.stderr.readline()
            assert line, log
            log += line

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 0
    assert "cannot list resource" in log
