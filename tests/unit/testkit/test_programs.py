"""Which program of a control plane is taken: the pinned one, or that of KUBEBUILDER_ASSETS if it goes with it."""

from pathlib import Path

import pytest

from parley_runtime.tools import ToolMissingError, cache_dir
from parley_testkit.control_plane.programs import ASSETS, find_program, pinned_version


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return cache_dir() / "bin"


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "assets"
    for program in ASSETS:
        install(folder / program, pinned_version(program))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    return folder


def install(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho Kubernetes v{version}\n")
    path.chmod(0o755)
    return path


def test_the_pinned_version_is_taken_and_no_other(cache: Path) -> None:
    install(cache / "etcd-99.0.0/bin/etcd", "99.0.0")
    pinned = install(cache / f"etcd-{pinned_version('etcd')}/bin/etcd", pinned_version("etcd"))

    assert find_program("etcd") == pinned


def test_a_missing_program_is_an_error_that_says_how_to_get_it(cache: Path) -> None:
    with pytest.raises(ToolMissingError) as caught:
        find_program("kwok")

    assert str(caught.value) == f"kwok-{pinned_version('kwok')} was not found in {cache}: run tools/setup cluster"


def test_what_the_assets_have_is_taken_from_there(assets: Path) -> None:
    assert {program: find_program(program) for program in ASSETS} == {program: assets / program for program in ASSETS}


def test_assets_without_a_program_that_belongs_there_are_an_error(assets: Path) -> None:
    (assets / "etcd").unlink()

    with pytest.raises(ToolMissingError, match=f"KUBEBUILDER_ASSETS is {assets}, where no etcd is"):
        find_program("etcd")


def test_controllers_may_be_one_minor_version_older_than_the_api_server_of_the_assets(assets: Path) -> None:
    major, minor, _ = pinned_version("kube-controller-manager").split(".")
    path = install(assets / "kube-apiserver", f"{major}.{int(minor) + 1}.0")

    assert find_program("kube-apiserver") == path


@pytest.mark.parametrize("newer", [-1, 2])
def test_an_api_server_that_does_not_go_with_the_controllers_is_refused(assets: Path, newer: int) -> None:
    major, minor, _ = pinned_version("kube-controller-manager").split(".")
    version = f"{major}.{int(minor) + newer}.0"
    install(assets / "kube-apiserver", version)

    with pytest.raises(ToolMissingError, match=rf"kube-apiserver is version {version}, and our controllers are"):
        find_program("kube-apiserver")
