"""`parley report`, on a real API server, as a user who may view one namespace and nothing else."""

import base64
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from parley_testkit.control_plane.access import Access
from parley_testkit.control_plane.assistants import assistant, until_ready
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.programs import find_program

pytestmark = pytest.mark.usefixtures("operator")

PROMPT = "You are a pirate, and nobody may know"
ROOT = Path(__file__).parents[2]


def report(user: Access, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kubectl = folder / "bin/kubectl"
    if not kubectl.exists():
        kubectl.parent.mkdir()
        kubectl.symlink_to(find_program("kubectl"))
    environment = {
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(user.kubeconfig),
        "HOME": str(folder),
    }
    return subprocess.run(
        [ROOT / ".venv/bin/parley", "report", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def viewer(plane: ControlPlane, namespace: Namespace) -> Access:
    """Somebody who may see assistants and pods in one namespace, as Kubernetes' role `view` lets them."""
    namespace.kubectl("create", "serviceaccount", "viewer")
    who = f"--serviceaccount={namespace.name}:viewer"
    namespace.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", who)
    seen = "--resource=voiceassistants.parley.dev,controllerrevisions.apps"
    namespace.kubectl("create", "role", "sees-assistants", "--verb=get,list", seen)
    namespace.kubectl("create", "rolebinding", "sees-assistants", "--role=sees-assistants", who)
    return plane.service_account(namespace.name, "viewer")


def test_a_report_holds_what_can_be_seen_and_no_secret_or_prompt(
    plane: ControlPlane, namespace: Namespace, viewer: Access, tmp_path: Path
) -> None:
    namespace.apply(assistant(persona={"systemPrompt": PROMPT}))
    until_ready(namespace)
    begin = plane.audit.position()

    done = report(viewer, tmp_path, "libra", "--namespace", namespace.name)

    assert (done.returncode, done.stderr) == (0, ""), done
    with zipfile.ZipFile(tmp_path / "libra-report.zip") as bundle:
        files = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert '"phase": "Ready"' in files["assistant.json"]
    assert "libra-asr" in files["deployments.json"]
    assert '"reason": "ModelsCached"' in files["events.json"]
    assert "nodes.json: " in files["problems.txt"]
    assert "nodes.json is not whole" in done.stdout
    whole = "".join(files.values())
    assert PROMPT not in whole
    assert f"({len(PROMPT)} characters left out)" in files["controllerrevisions.json"]
    for secret in namespace.find("v1/secrets"):
        for value in secret["data"].values():
            assert value not in whole
            assert base64.b64decode(value).decode() not in whole
    user = f"system:serviceaccount:{namespace.name}:viewer"
    asked = {event.resource for event in plane.audit.events(begin, user=user)}
    assert "pods" in asked
    assert "secrets" not in asked


def test_without_the_assistant_one_sentence_says_so(namespace: Namespace, viewer: Access, tmp_path: Path) -> None:
    done = report(viewer, tmp_path, "nobody", "--namespace", namespace.name)

    assert done.returncode == 1
    assert f"no VoiceAssistant nobody in the namespace {namespace.name}" in done.stderr
    assert not (tmp_path / "nobody-report.zip").exists()
