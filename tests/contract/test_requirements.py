"""What is pinned is what the members ask for, all of it with hashes, and it is what is installed.

A fresh compile is compared by names and versions, never by bytes: hashes of later uploads and the order of lines are
no news. It asks the package index, as `make pins` does, and takes about two seconds.
"""

import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    page.parent
    for pattern in ("libs/*", "services/*", "cli", "operator")
    for page in ROOT.glob(f"{pattern}/pyproject.toml")
)
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?P<rest>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)


def pins(page: Path) -> dict[NormalizedName, Version]:
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in PIN.finditer(page.read_text())}


def member_names() -> set[NormalizedName]:
    return {canonicalize_name(project(member)["name"]) for member in MEMBERS}


def project(folder: Path) -> dict[str, str]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text())["project"])


def asked_for(folder: Path) -> list[Requirement]:
    page = tomllib.loads((folder / "pyproject.toml").read_text())
    lines = [*page["project"]["dependencies"], *page.get("dependency-groups", {}).get("dev", [])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("folder", [ROOT, *MEMBERS], ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_pin_satisfies_each_direct_dependency(folder: Path) -> None:
    pinned = pins(ROOT / "requirements/dev.txt")
    ours = member_names()

    unmet = [
        str(wanted)
        for wanted in asked_for(folder)
        if (name := canonicalize_name(wanted.name)) not in ours
        and (name not in pinned or pinned[name] not in wanted.specifier)
    ]

    assert not unmet, "run `make pins sync`"


def test_a_fresh_compile_gives_the_same_names_and_versions(tmp_path: Path) -> None:
    committed = ROOT / "requirements/dev.txt"
    fresh = tmp_path / "dev.txt"
    fresh.write_bytes(committed.read_bytes())  # what is pinned is preferred, so newer uploads change nothing

    subprocess.run(["make", "--silent", "-C", ROOT, "pins", f"PINS={fresh}", "ARGS="], check=True)

    assert pins(fresh) == pins(committed), "run `make pins sync`"


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_every_line_is_an_exact_pin_with_hashes(page: Path) -> None:
    text = "".join(line for line in page.read_text().splitlines(keepends=True) if not line.startswith("#"))

    leftovers = PIN.sub("", text).split()

    assert pins(page)
    assert not leftovers


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_a_requirements_file_names_no_host_and_no_path(page: Path) -> None:
    suspicious = re.findall(r"\S*(?:://|file:|(?<!\S)/|@ )\S*", page.read_text())

    assert not suspicious


def test_neither_torch_nor_a_member_is_pinned() -> None:
    unwanted = member_names() | {canonicalize_name(name) for name in ("torch", "torchaudio", "triton")}

    assert not unwanted & pins(ROOT / "requirements/dev.txt").keys()


def test_what_is_installed_is_what_is_pinned() -> None:
    installed = {canonicalize_name(found.name): Version(found.version) for found in distributions()}

    third_parties = {name: version for name, version in installed.items() if name not in member_names()}

    assert third_parties == pins(ROOT / "requirements/dev.txt"), "run `make sync`"
