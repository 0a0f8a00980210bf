"""The CRD is what the typed model says, and writes nothing that would come before a profile or a language."""

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley_contract.profiles import LANGUAGES, Profile
from parley_contract.resource import resolve
from parley_operator import crd

ROOT = Path(__file__).parents[2]
PROFILES = typing.get_args(Profile)


def whole() -> dict[str, Any]:
    schema: dict[str, Any] = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def spec_schema() -> dict[str, Any]:
    schema: dict[str, Any] = whole()["properties"]["spec"]
    return schema


def nodes(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in a schema, by path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}".lstrip("."))
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from nodes(schema[keyword], f"{path}[]")


def defaulted(value: object, schema: Mapping[str, Any]) -> object:
    """Do what the API server does: write the defaults of missing fields, deeper only where something is there."""
    if not isinstance(value, dict):
        return value
    for name, inner in schema.get("properties", {}).items():
        if name not in value and "default" in inner:
            value[name] = inner["default"]
        if name in value:
            value[name] = defaulted(value[name], inner)
    return value


def document(spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": "parley.dev/v1alpha1", "kind": "VoiceAssistant", "metadata": {"name": "libra"}, "spec": spec}


def test_the_file_is_what_the_model_says() -> None:
    assert (ROOT / "crds/voiceassistants.parley.dev.yaml").read_text() == crd.text(), "run `make crds`"


def test_the_file_is_one_document_of_plain_yaml() -> None:
    text = (ROOT / "crds/voiceassistants.parley.dev.yaml").read_text()

    assert yaml.safe_load(text) == crd.definition()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_the_api_server_writes_changes_nothing_of_what_a_profile_alone_gives(profile: str, language: str) -> None:
    written: dict[str, object] = {"profile": profile, "language": language}
    if (profile, language) == ("laptop", "ko"):
        written["asr"] = {"model": "tiny"}
    # Parts that are there but empty get the defaults of all their fields.
    empty: dict[str, object] = {
        part: {} for part in spec_schema()["properties"] if spec_schema()["properties"][part]["type"] == "object"
    }

    stored = defaulted({**empty, **written}, spec_schema())

    assert isinstance(stored, dict)
    assert resolve(document(stored)).spec == resolve(document(written)).spec


def test_an_assistant_without_a_spec_is_balanced_and_english() -> None:
    stored = defaulted({}, whole())

    assert isinstance(stored, dict)
    assert (stored["spec"]["profile"], stored["spec"]["language"]) == ("balanced", "en")


@pytest.mark.parametrize("path", sorted(crd.governed()))
def test_no_field_that_a_profile_or_a_language_governs_has_a_default_or_is_required(path: str) -> None:
    by_path = dict(nodes(spec_schema()))
    above, _, name = path.rpartition(".")

    assert "default" not in by_path[path]
    assert name not in by_path[above].get("required", [])


def test_there_is_a_governed_field_for_each_language_and_profile() -> None:
    assert {"asr.model", "llm.model", "gpu.sharing", "tts.voice", "asr.encoderWindowS"} <= crd.governed()
    assert set(LANGUAGES) == {"en", "other"}


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_says_what_it_is_and_how_large_it_gets(part: str) -> None:
    for path, schema in nodes(whole()["properties"][part]):
        if not path.endswith("[]"):
            assert schema.get("description"), path
        kind = schema.get("type")
        bound = {"string": "maxLength", "array": "maxItems", "integer": "maximum", "number": "maximum"}.get(str(kind))
        assert bound is None or bound in schema or "enum" in schema, path
        assert "additionalProperties" not in schema or "maxProperties" in schema, path


def test_a_null_that_overrides_a_profile_is_kept() -> None:
    assert [path for path, schema in nodes(spec_schema()) if schema.get("nullable")] == ["llm.numThread"]


def test_the_columns_are_what_the_readme_promises() -> None:
    columns = crd.definition()["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [column["name"] for column in columns if not column.get("priority")] == [
        "Ready",
        "Phase",
        "Language",
        "E2FT",
        "VRAM",
        "Age",
    ]
    assert [column["name"] for column in columns if column.get("priority")] == ["Models", "Nodes", "Reason"]


def test_what_a_column_shows_is_in_the_schema() -> None:
    by_path = dict(nodes(whole()))
    for column in crd.definition()["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"].lstrip(".").partition("[")[0]

        assert path in by_path or path.startswith("metadata."), path
