"""What the operator makes of every sample is the golden one, to the letter; and what no manifest may ever lack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley_testkit.first_plans import sample_plans

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "manifests"
SAMPLES = sorted((ROOT / "docs" / "samples").glob("*.yaml"))

samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def objects(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((GOLDEN / f"{path.stem}.yaml").read_text()) if each]


def templates(path: Path) -> Iterator[dict[str, Any]]:
    return (each["spec"]["template"] for each in objects(path) if "template" in each.get("spec", {}))


@samples
def test_the_manifests_of_every_sample_are_the_golden_ones(path: Path) -> None:
    golden = (GOLDEN / f"{path.stem}.yaml").read_text()

    assert sample_plans(path) == golden, "read it, then run tests/contract/golden/write_manifests.py"


def test_there_is_no_golden_of_a_sample_that_is_gone() -> None:
    assert {golden.stem for golden in GOLDEN.glob("*.yaml")} == {path.stem for path in SAMPLES}


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
