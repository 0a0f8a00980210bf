"""What the operator makes of three samples is the golden one, to the letter; and what no manifest may ever lack.

Minimal, one with Discord, one with a card: what the other samples change is in their golden components.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley_operator.actions import Delete
from parley_testkit.first_plans import first_plan, sample_plans

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((Path(__file__).parent / "golden" / "manifests").glob("*.yaml"))
SAMPLES = sorted((ROOT / "docs" / "samples").glob("*.yaml"))

samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def objects(path: Path) -> list[dict[str, Any]]:
    plans = map(first_plan, yaml.safe_load_all(path.read_text()))
    return [action.object for made in plans for action in made.actions if not isinstance(action, Delete)]


def templates(path: Path) -> Iterator[dict[str, Any]]:
    return (each["spec"]["template"] for each in objects(path) if "template" in each.get("spec", {}))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_the_manifests_of_a_sample_are_the_golden_ones(golden: Path) -> None:
    made = sample_plans(ROOT / "docs" / "samples" / golden.name)

    assert made == golden.read_text(), "read it, then run tests/contract/golden/write_manifests.py"


def test_there_are_golden_manifests_without_a_card_and_with_one_and_with_discord() -> None:
    assert {golden.stem for golden in GOLDEN} == {"discord-ko", "gpu-8gb", "minimal"}


@samples
def test_every_pod_fits_the_restricted_pod_security_standard(path: Path) -> None:
    for template in templates(path):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # No hostPath, and nothing else that the standard does not know.
        assert {key for volume in spec["volumes"] for key in volume} - {"name"} <= {
            "configMap",
            "emptyDir",
            "persistentVolumeClaim",
            "secret",
        }
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@samples
def test_only_pods_with_a_card_see_one(path: Path) -> None:
    for template in templates(path):
        [container] = template["spec"]["containers"]
        variables = {each["name"]: each.get("value") for each in container["env"]}
        computes = "runtimeClassName" in template["spec"]
        has_share = "nvidia.com/gpu" in container["resources"].get("limits", {})

        assert (variables.get("NVIDIA_VISIBLE_DEVICES") == "void") is not computes
        assert has_share or not computes


@samples
def test_every_child_goes_with_its_assistant_and_never_holds_it(path: Path) -> None:
    for each in objects(path):
        [owner] = each["metadata"]["ownerReferences"]

        assert owner["kind"] == "VoiceAssistant"
        assert owner["blockOwnerDeletion"] is False
        assert "finalizers" not in each["metadata"]


@samples
def test_whatever_mounts_the_models_can_run_where_they_are(path: Path) -> None:
    places = {
        (str(template["spec"].get("nodeSelector")), str(template["spec"].get("tolerations")))
        for template in templates(path)
        for volume in template["spec"]["volumes"]
        if volume["name"] == "models"
    }

    assert len(places) == 1
