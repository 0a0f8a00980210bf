"""The chart rendered by the real helm, and one control plane with a node for what is installed on it.

It is not the control plane of tests/cluster: here the definition of a VoiceAssistant comes and goes with the chart.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.observing import has, is_gone
from parley_testkit.control_plane.plane import ControlPlane, running_control_plane
from parley_testkit.control_plane.programs import find_program
from parley_testkit.control_plane.waiting import until

ROOT = Path(__file__).parents[2]
DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"

Render = Callable[..., list[Object]]
"""From values, what else helm is told, release and namespace: objects. `CalledProcessError` has what helm said."""


@pytest.fixture(scope="session")
def render() -> Render:
    made: dict[str, str] = {}

    def rendered(
        values: Object | None = None, *words: str, release: str = "parley", namespace: str = "parley"
    ) -> list[Object]:
        command = [release, str(ROOT / "charts/parley"), f"--namespace={namespace}", "--values=-", *words]
        asked = json.dumps([command, values])
        if asked not in made:
            made[asked] = subprocess.run(
                [find_program("helm"), "template", *command],
                input=json.dumps(values or {}),
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            ).stdout
        return [each for each in yaml.load_all(made[asked], Loader=yaml.CSafeLoader) if each]

    return rendered


@pytest.fixture(scope="package")
def shared_plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane, plane.node(Node(name="node-1")):
        yield plane


@pytest.fixture
def plane(shared_plane: ControlPlane) -> ControlPlane:
    """The control plane, of which no part has died."""
    shared_plane.check()
    return shared_plane


@pytest.fixture
def definition(plane: ControlPlane) -> None:
    """The control plane knows VoiceAssistants, and no release brought them."""
    plane.admin.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(ROOT / "crds"))
    # `kubectl wait` takes a definition that nobody has judged yet for an error.
    until(lambda: plane.admin.get(DEFINITIONS, "voiceassistants.parley.dev"), has("Established"))


@pytest.fixture
def no_definition(plane: ControlPlane) -> None:
    """The control plane knows no VoiceAssistants, and so has none."""
    plane.admin.remove(DEFINITIONS, "voiceassistants.parley.dev")
    until(lambda: plane.admin.get(DEFINITIONS, "voiceassistants.parley.dev"), is_gone, within_s=60)


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Namespace]:
    with plane.namespace() as namespace:
        yield namespace
