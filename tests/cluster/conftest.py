"""One control plane and two ordinary nodes for all tests of this folder, a namespace for each."""

from collections.abc import Iterator

import pytest

from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane


@pytest.fixture(scope="session")
def shared_plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane, plane.node(Node(name="plain-1")), plane.node(Node(name="plain-2")):
        yield plane


@pytest.fixture
def plane(shared_plane: ControlPlane) -> ControlPlane:
    """The control plane, of which no part has died."""
    shared_plane.check()
    return shared_plane


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Namespace]:
    with plane.namespace() as namespace:
        yield namespace
