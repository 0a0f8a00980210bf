"""A member of the workspace declares what it imports: it is installed without its neighbours in an image."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    page.parent
    for place in ("libs/*", "services/*", "cli", "operator")
    for page in ROOT.glob(f"{place}/pyproject.toml")
)


def imported(folder: Path) -> Iterator[str]:
    for page in folder.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(page.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module


@pytest.mark.parametrize("folder", MEMBERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_member_declares_what_it_imports(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in [project["name"], *project["dependencies"]]}
    homes = packages_distributions()

    undeclared = {
        module
        for module in (name.split(".")[0] for name in imported(folder))
        if module not in sys.stdlib_module_names
        and declared.isdisjoint(canonicalize_name(home) for home in homes.get(module, [module]))
    }

    assert not undeclared, f"add to {folder.name}/pyproject.toml, then `make pins sync`"
