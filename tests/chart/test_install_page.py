"""docs/how-to/install.md: each command after a `$` is run, in order, and prints what stands below it.

The operator is a process of this test with the rights that the chart gives it, since no pod runs here. Ages, and what
Kubernetes makes up, differ from run to run; a line `…` on the page stands for any lines.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from parley_testkit.control_plane.operators import running_operator
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.programs import find_program

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/install.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """One command of the page, and what it shows below."""

    command: str
    shown: str


def steps() -> Iterator[Step]:
    for kind, block in BLOCKS:
        if kind == "console":
            for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command = re.match(r".*\n(?:> ?.*\n)*", step)
                assert command
                yield Step(re.sub(r"^> ?", "", command[0], flags=re.MULTILINE), step[command.end() :])


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    text = re.sub(r"\b\d+[smh](\d+s)?\b", "AGE", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "UID", text)
    text = re.sub(r"\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", ".ADDRESS", text)
    # Where its first pod runs a status says a moment before the rest, or after.
    text = re.sub(r"\bnode-\d\b", "", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def shows(printed: str, shown: str) -> bool:
    """Whether what was printed is what the page shows; between lines `…` anything may stand."""
    rest, parts = plain(printed), re.split(r"^…$", shown, flags=re.MULTILINE)
    for number, part in enumerate(parts):
        lines = plain(part)
        places = [at for at in range(len(rest) - len(lines) + 1) if rest[at : at + len(lines)] == lines]
        if number == 0:
            places = [at for at in places if at == 0]
        if number == len(parts) - 1 and lines:
            places = [at for at in places if at + len(lines) == len(rest)]
        if not places:
            return False
        rest = rest[places[0] + len(lines) :]
    return True


@pytest.mark.parametrize(
    "printed, shown, same",
    [
        ("a   1s\nb\n", "a 20m3s\nb\n", True),
        ("a\nb\nc\n", "a\n…\nc\n", True),
        ("a\nb\nc\n", "…\nb\n…\n", True),
        ("a\nb\nc\n", "a\nc\n", False),
        ("a\nb\n", "a\n", False),
        ("a\nb\n", "b\n…\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(printed: str, shown: str, same: bool) -> None:  # noqa: FBT001
    assert shows(printed, shown) is same


def test_every_block_is_run_or_said_not_to_be_tried() -> None:
    sections = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)[1:]

    for section in sections:
        if "\n```\n" in re.sub(r"```console\n.*?```\n", "", section, flags=re.DOTALL):
            assert "**Not tried**" in section, section.partition("\n")[0]
    assert {kind for kind, _ in BLOCKS} == {"console", ""}
    assert len(list(steps())) > 15


@pytest.mark.usefixtures("no_definition")
def test_every_command_of_the_page_does_what_the_page_says(plane: ControlPlane, tmp_path: Path) -> None:
    for program in ("kubectl", "helm"):
        (tmp_path / program).symlink_to(find_program(program))
    own = {key: text for key, text in os.environ.items() if not key.startswith(("HELM_", "KUBE", "XDG_"))}
    environment = {
        **own,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(plane.admin.kubeconfig),
        "HOME": str(tmp_path),
    }
    failures = []
    with contextlib.ExitStack() as stack:
        for step in steps():
            done = subprocess.run(
                ["bash", "-c", step.command],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60,
            )
            if step.shown and not shows(done.stdout, step.shown):
                failures.append(f"$ {step.command}{done.stdout}")
            is_refused = "/bad/" in step.command
            assert (done.returncode != 0) is is_refused, f"$ {step.command}{done.stdout}"
            if step.command.startswith("helm install"):
                stack.enter_context(running_operator(plane, namespaces="voice"))
        plane.admin.kubectl("delete", "namespace", "voice", "parley-system", "--wait=false")

    assert not failures, "what the page should show:\n" + "\n".join(failures)
