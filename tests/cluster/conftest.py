"""One control plane and two ordinary nodes for all tests of this folder, a namespace for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane, plane.node(Node(name="plain-1")), plane.node(Node(name="plain-2")):
        yield plane


@pytest.fixture
def plane(shared_plane: ControlPlane) -> ControlPlane:
    """The control plane, of which no part has died."""
    shared_plane.check()
    return shared_plane


@pytest.fixture(scope="session")
def voice_assistants(shared_plane: ControlPlane) -> None:
    """The control plane knows VoiceAssistants."""
    shared_plane.admin.kubectl("apply", "--server-side", "--filename", str(ROOT / "crds"))
    shared_plane.admin.kubectl("wait", "--for=condition=Established", "crd/voiceassistants.parley.dev")


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Namespace]:
    with plane.namespace() as namespace:
        yield namespace
