"""One control plane, two ordinary nodes and one operator for all tests of this folder, a namespace for each test.

It ends with the last test of the folder, before those of tests/chart begin theirs: two at once would take turns.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_testkit.control_plane.assistants import define
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.operators import OperatorProcess, install_account, running_operator
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane

ROOT = Path(__file__).parents[2]
RIGHTS = Path(__file__).with_name("operator-rights.yaml")


@pytest.fixture(scope="package")
def shared_plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane, plane.node(Node(name="plain-1")), plane.node(Node(name="plain-2")):
        yield plane


@pytest.fixture
def plane(shared_plane: ControlPlane) -> ControlPlane:
    """The control plane, of which no part has died."""
    shared_plane.check()
    return shared_plane


@pytest.fixture(scope="package")
def voice_assistants(shared_plane: ControlPlane) -> None:
    """The control plane knows VoiceAssistants, and NVIDIA's runtime as k3s does."""
    define(shared_plane, ROOT / "crds")


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Namespace]:
    with plane.namespace() as namespace:
        yield namespace


@pytest.fixture(scope="package")
def operator_account(shared_plane: ControlPlane, voice_assistants: None) -> None:
    """The operator's ServiceAccount is there, with its rights."""
    install_account(shared_plane, RIGHTS)


@pytest.fixture(scope="module")
def shared_operator(shared_plane: ControlPlane, operator_account: None) -> Iterator[OperatorProcess]:
    """An operator that looks after every namespace, for the tests of one file."""
    with running_operator(shared_plane) as operator:
        yield operator


@pytest.fixture
def operator(shared_operator: OperatorProcess) -> OperatorProcess:
    """The operator of this file, which has not died."""
    shared_operator.check()
    return shared_operator
