"""The support page names the versions that are pinned, and those that the code asks for."""

import re
from pathlib import Path

import pytest
import yaml

from parley_runtime.tools import SUPPORTED, Tool
from parley_testkit.control_plane.programs import Program, pinned_version

ROOT = Path(__file__).parents[2]
ROWS = {
    cells[0]: cells
    for line in (ROOT / "docs/reference/support.md").read_text().splitlines()
    if line.startswith("| ")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


@pytest.mark.parametrize(
    "row, program",
    [("Kubernetes", "kube-apiserver"), ("Helm", "helm"), ("Prometheus' rules and queries", "promtool")],
)
def test_what_is_called_tried_is_what_the_tests_are_pinned_to(row: str, program: Program) -> None:
    assert re.match(r"\d+\.\d+\.\d+", ROWS[row][1])
    assert ROWS[row][1].split()[0] == pinned_version(program)


@pytest.mark.parametrize(
    "row, folder, module",
    [
        ("NATS, the assistant's own or yours", "nats-server", "github.com/nats-io/nats-server/v2"),
        ("Ollama", "ollama", "github.com/ollama/ollama"),
    ],
)
def test_so_are_the_servers_that_services_speak_to(row: str, folder: str, module: str) -> None:
    page = (ROOT / "tools" / folder / "go.mod").read_text()

    assert f"\t{module} v{ROWS[row][1]}" in page


@pytest.mark.parametrize("row, tool", [("NATS, the assistant's own or yours", "nats-server"), ("Ollama", "ollama")])
def test_ranges_are_those_that_are_checked(row: str, tool: Tool) -> None:
    first, beyond = SUPPORTED[tool]

    assert ROWS[row][2] == f"{'.'.join(map(str, first))} up to {beyond[0]}"


def test_the_chart_refuses_what_the_page_refuses() -> None:
    chart = yaml.safe_load((ROOT / "charts/parley/Chart.yaml").read_text())

    assert ROWS["Kubernetes"][2].startswith(f"{chart['kubeVersion'].removeprefix('>=').removesuffix('.0-0')} and newer")
