"""The VoiceAssistant on a real API server: what is admitted, what is refused and how, and how it reads in kubectl."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from parley_testkit.control_plane.access import CommandFailedError, Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.plane import ControlPlane

ROOT = Path(__file__).parents[2]
BAD = sorted((ROOT / "docs/samples/bad").glob("*.yaml"))
KIND = "parley.dev/v1alpha1/voiceassistants"

pytestmark = pytest.mark.usefixtures("voice_assistants")


@pytest.fixture(scope="module")
def shared_namespace(shared_plane: ControlPlane) -> Iterator[Namespace]:
    """One namespace for tests that leave nothing in it."""
    with shared_plane.namespace() as namespace:
        yield namespace


def assistant(spec: Object, name: str = "libra") -> Object:
    return {"apiVersion": "parley.dev/v1alpha1", "kind": "VoiceAssistant", "metadata": {"name": name}, "spec": spec}


def refusal(namespace: Namespace, manifest: Object) -> str:
    with pytest.raises(CommandFailedError) as caught:
        namespace.apply(manifest)
    return str(caught.value)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_bad_sample_is_refused_with_the_sentence_that_it_names(shared_namespace: Namespace, path: Path) -> None:
    sentence = path.read_text().partition("\n")[0].removeprefix("# Refused: ")

    with pytest.raises(CommandFailedError) as caught:
        shared_namespace.kubectl("apply", "--filename", str(path))

    assert sentence in str(caught.value)


def test_an_assistant_without_a_word_gets_the_defaults_that_no_profile_governs(namespace: Namespace) -> None:
    namespace.apply({key: value for key, value in assistant({}).items() if key != "spec"})

    assert namespace.get(KIND, "libra")["spec"] == {
        "profile": "balanced",
        "language": "en",
        "maxSessions": 4,
        "suspend": False,
    }


def test_a_volume_keeps_its_class_and_only_grows(namespace: Namespace) -> None:
    cases: list[tuple[Object, str]] = [
        (cache(size="10Gi", storageClassName="fast"), "spec.storage.modelCache.size: Invalid value"),
        (cache(size="30Gi", storageClassName="slow"), "the storage class of volumes that exist cannot be changed"),
        (cache(size="30Gi"), "the storage class of volumes that exist cannot be changed"),
        ({}, "volumes can only grow"),
    ]
    namespace.apply(assistant(cache(size="20000Mi", storageClassName="fast")))
    namespace.apply(assistant(cache(size="30Gi", storageClassName="fast")))

    for change, sentence in cases:
        assert sentence in refusal(namespace, assistant(change))


def cache(**fields: str) -> Object:
    return {"storage": {"modelCache": fields}}


def test_a_null_that_overrides_a_profile_is_kept_where_the_server_applies(namespace: Namespace) -> None:
    manifest = yaml.safe_dump(assistant({"profile": "laptop", "llm": {"numThread": None}}))

    namespace.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)

    assert namespace.get(KIND, "libra")["spec"]["llm"] == {"keepAlive": "-1", "numThread": None}


def test_resources_may_be_written_as_numbers_or_as_text(namespace: Namespace) -> None:
    namespace.apply(assistant({"asr": {"resources": {"limits": {"cpu": 2, "memory": "4Gi"}}}}))

    said = refusal(namespace, assistant({"asr": {"resources": {"limits": {"cpu": "2 cores"}}}}))

    assert "spec.asr.resources.limits.cpu" in said


def test_it_is_found_by_its_short_name_and_its_category(namespace: Namespace) -> None:
    namespace.apply(assistant({"language": "ko"}))

    by_name, by_category = namespace.kubectl("get", "va"), namespace.kubectl("get", "parley")

    assert by_name.splitlines()[0].split() == ["NAME", "READY", "PHASE", "LANGUAGE", "E2FT", "VRAM", "AGE"]
    assert by_category.splitlines()[1].split()[:2] == ["libra", "ko"]


@pytest.mark.parametrize("field", ["", ".asr", ".gpu.sharing", ".storage.modelCache.deletionPolicy"])
def test_explain_has_a_sentence_for_every_field(shared_namespace: Namespace, field: str) -> None:
    explained = shared_namespace.kubectl("explain", f"va.spec{field}")

    description = explained.partition("DESCRIPTION:")[2].partition("FIELDS:")[0].strip()
    assert description
    assert "<empty>" not in explained


def test_a_status_is_written_apart_from_the_spec(namespace: Namespace) -> None:
    namespace.apply(assistant({}))
    before = namespace.get(KIND, "libra")["metadata"]["generation"]

    namespace.kubectl(
        "patch", "va", "libra", "--subresource=status", "--type=merge", '--patch={"status":{"phase":"Ready"}}'
    )
    namespace.kubectl("patch", "va", "libra", "--type=merge", '--patch={"status":{"phase":"Failing"}}')

    after = namespace.get(KIND, "libra")
    assert (after["status"]["phase"], after["metadata"]["generation"]) == ("Ready", before)
