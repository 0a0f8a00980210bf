"""What pages and samples say to type can be typed, on a real API server, and `parley report` tells all but secrets.

The page about installing has a test of its own, in tests/chart.
"""

import base64
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_contract.services import SERVICES
from parley_testkit.control_plane.access import Access
from parley_testkit.control_plane.assistants import assistant, until_ready
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.operators import OperatorProcess
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.programs import find_program

PROMPT = "You are a pirate, and nobody may know"
ROOT = Path(__file__).parents[2]
CONDITIONS = (ROOT / "docs/reference/conditions.md").read_text()
ASKED = sorted(set(re.findall(r"`kubectl ([^`]+)`", CONDITIONS)))
NEVER_TRIED = "logs"
"""What the page says of itself: no container runs here."""


def made_in(sample: Path) -> list[str]:
    """Return the commands in the comments of a sample, of which each may go over several lines."""
    comments = "\n".join(line.removeprefix("#") for line in sample.read_text().splitlines() if line.startswith("#"))
    return re.findall(r"^ +kubectl ((?:.*\\\n)*.*)$", comments, re.MULTILINE)


SAMPLES = [(path.name, command) for path in sorted((ROOT / "docs/samples").glob("*.yaml")) for command in made_in(path)]


@pytest.fixture(scope="module")
def settled(shared_plane: ControlPlane, shared_operator: OperatorProcess) -> Iterator[Namespace]:
    """A namespace with an assistant that is ready, for everybody who only looks."""
    with shared_plane.namespace() as namespace:
        namespace.apply(assistant(persona={"systemPrompt": PROMPT}))
        until_ready(namespace)
        yield namespace


def test_what_the_page_of_conditions_says_to_type_can_be_typed(settled: Namespace) -> None:
    for command in ASKED:
        if command.partition(" ")[0] != NEVER_TRIED:
            assert settled.kubectl(*command.replace("NAME", "libra").split())

    assert len(ASKED) > 6


@pytest.mark.usefixtures("voice_assistants")
@pytest.mark.parametrize("name, command", SAMPLES)
def test_the_secrets_that_samples_say_to_make_are_those_that_they_name(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str
) -> None:
    for service in SERVICES:
        (tmp_path / f"{service}.creds").write_text("creds")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))

    namespace.kubectl(*words)

    assert words[:3] == ["create", "secret", "generic"]
    sample = (ROOT / "docs/samples" / name).read_text()
    made = namespace.get("v1/secrets", words[3])["data"]
    assert f"name: {words[3]}" in sample
    assert all(f"key: {key}" in sample or key.removesuffix(".creds") in SERVICES for key in made)


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
        [sys.executable, "-m", "parley_cli", "report", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def viewer(shared_plane: ControlPlane, settled: Namespace) -> Access:
    """Somebody who may see assistants and pods in one namespace, as Kubernetes' role `view` lets them."""
    settled.kubectl("create", "serviceaccount", "viewer")
    who = f"--serviceaccount={settled.name}:viewer"
    settled.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", who)
    seen = "--resource=voiceassistants.parley.dev,controllerrevisions.apps"
    settled.kubectl("create", "role", "sees-assistants", "--verb=get,list", seen)
    settled.kubectl("create", "rolebinding", "sees-assistants", "--role=sees-assistants", who)
    return shared_plane.service_account(settled.name, "viewer")


def test_a_report_holds_what_can_be_seen_and_no_secret_or_prompt(
    plane: ControlPlane, settled: Namespace, viewer: Access, tmp_path: Path
) -> None:
    begin = plane.audit.position()

    done = report(viewer, tmp_path, "libra", "--namespace", settled.name)

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
    for secret in settled.find("v1/secrets"):
        for value in secret["data"].values():
            assert value not in whole
            assert base64.b64decode(value).decode() not in whole
    user = f"system:serviceaccount:{settled.name}:viewer"
    asked = {event.resource for event in plane.audit.events(begin, user=user)}
    assert "pods" in asked
    assert "secrets" not in asked


def test_without_the_assistant_one_sentence_says_so(settled: Namespace, viewer: Access, tmp_path: Path) -> None:
    done = report(viewer, tmp_path, "nobody", "--namespace", settled.name)

    assert done.returncode == 1
    assert f"no VoiceAssistant nobody in the namespace {settled.name}" in done.stderr
    assert not (tmp_path / "nobody-report.zip").exists()
