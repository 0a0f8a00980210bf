"""What `tools/setup` builds is what processes and tests look for: one range of versions, one place in the cache."""

import re
from pathlib import Path

import pytest

from parley_operator.resources.objects import Installation
from parley_runtime.tools import SUPPORTED, Tool, find_tool, is_supported
from parley_testkit.control_plane.programs import ASSETS, pinned_version
from parley_testkit.control_plane.programs import MODULES as PROGRAMS

ROOT = Path(__file__).parents[2]
MODULES = {"nats-server": "github.com/nats-io/nats-server/v2", "ollama": "github.com/ollama/ollama"}


def range_in_setup(tool: Tool) -> tuple[tuple[int, int], tuple[int, int]]:
    words = dict(re.findall(r"\b([A-Z]+_(?:FROM|BELOW))=([0-9.]+)", (ROOT / "tools/setup").read_text()))
    prefix = tool.removesuffix("-server").upper()
    first, beyond = ([*map(int, words[f"{prefix}_{edge}"].split(".")), 0] for edge in ("FROM", "BELOW"))
    return (first[0], first[1]), (beyond[0], beyond[1])


def pinned(tool: Tool) -> str:
    line = re.search(
        rf"^\s{re.escape(MODULES[tool])} v(\S+)", (ROOT / "tools" / tool / "go.mod").read_text(), re.MULTILINE
    )
    assert line
    return line[1]


@pytest.mark.parametrize("tool", SUPPORTED)
def test_setup_and_the_processes_accept_the_same_versions(tool: Tool) -> None:
    assert range_in_setup(tool) == SUPPORTED[tool]


@pytest.mark.parametrize("tool", SUPPORTED)
def test_the_pinned_version_is_a_supported_one(tool: Tool) -> None:
    assert is_supported(tool, tuple(map(int, pinned(tool).split("."))))


@pytest.mark.parametrize("tool, image", [("nats-server", "nats_image"), ("ollama", "ollama_image")])
def test_a_cluster_runs_the_pinned_versions_too(tool: Tool, image: str) -> None:
    reference: str = getattr(Installation(), image)

    assert reference.rpartition(":")[2].removesuffix("-alpine") == pinned(tool)


@pytest.mark.parametrize("tool", SUPPORTED)
def test_a_tool_that_setup_built_is_found(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tmp_path / "parley/bin" / f"{tool}-{pinned(tool)}" / "bin" / tool
    built.parent.mkdir(parents=True)
    built.touch(mode=0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")

    found = find_tool(tool)

    assert found == built


def words_of_setup(name: str) -> list[list[str]]:
    written = re.search(
        rf'^readonly {name}="(?:\\\n)?(.*?)"', (ROOT / "tools/setup").read_text(), re.MULTILINE | re.DOTALL
    )
    assert written
    return [line.split() for line in written[1].splitlines()]


def test_setup_builds_the_programs_of_which_the_control_plane_is_made() -> None:
    built = {program: (folder, module) for program, folder, module, _ in words_of_setup("CLUSTER")}

    assert built == PROGRAMS


def test_setup_and_the_control_plane_take_the_same_programs_from_the_assets() -> None:
    assert set(words_of_setup("ASSETS")[0]) == ASSETS


def test_kubernetes_is_one_release_with_its_parts() -> None:
    page = (ROOT / "tools/kubernetes/go.mod").read_text()
    minor_and_patch = pinned_version("kubectl").removeprefix("1.")

    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) v(\S+)$", page, re.MULTILINE)

    assert len(replaced) == 31
    assert all(name == by and version == f"0.{minor_and_patch}" for name, by, version in replaced)
