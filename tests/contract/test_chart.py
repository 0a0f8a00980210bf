"""The chart says what the code says: its made pages, its images, its version and what the operator reads from it."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from parley_operator.resources.objects import Installation
from parley_operator.resources.pods import USER
from parley_operator.settings import Settings
from parley_testkit.chart import CHART, ROOT, definition, leaves, pages, with_table
from parley_testkit.control_plane.programs import pinned_version

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
PAGES = list(pages())


def objects(schema: dict[str, Any], path: str = "values") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value and group of values, with its path."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}.{name}", part
        yield from objects(part, f"{path}.{name}")


@pytest.mark.parametrize("page, text", PAGES, ids=[page.name for page, _ in PAGES])
def test_a_page_that_is_made_is_what_makes_it(page: Path, text: str) -> None:
    assert page.read_text() == text, "run `make chart`"


def test_every_value_has_a_sentence_and_a_default_and_no_group_takes_another() -> None:
    for path, part in objects(SCHEMA):
        assert part["description"].endswith("."), path
        if part.get("type") == "object" and "properties" in part:
            assert part["additionalProperties"] is False, path
    assert SCHEMA["additionalProperties"] is False
    leaf = {path for path, _, _ in leaves(SCHEMA)}
    assert len(leaf) > 20
    assert all(
        "default" in part or "properties" in part or path == "values.global"
        for path, part in objects(SCHEMA)
        if not path.startswith("values.operator.resources.")
    )


def test_assistants_get_the_images_that_the_operator_knows_by_itself() -> None:
    default = {path: value for path, value, _ in leaves(SCHEMA)}

    assert default["images.nats"] == Installation().nats_image
    assert default["images.ollama"] == Installation().ollama_image
    assert ABOUT["appVersion"] == Installation().tag


def test_the_chart_is_of_the_operators_version() -> None:
    operator = tomllib.loads((ROOT / "operator/pyproject.toml").read_text())["project"]

    assert ABOUT["version"] == ABOUT["appVersion"] == operator["version"]


def test_the_operator_runs_as_the_user_of_all_our_pods() -> None:
    assert f"runAsUser: {USER}\n" in (CHART / "templates/_helpers.tpl").read_text()


def test_the_readme_says_what_is_tried() -> None:
    kubernetes = pinned_version("kubectl").rpartition(".")[0]

    page = " ".join((CHART / "README.md").read_text().split())

    assert f"**Tried** on Kubernetes {kubernetes} with Helm {pinned_version('helm')}:" in page


def test_a_readme_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"README.md: put the lines '<!-- values"):
        with_table("# The chart", SCHEMA)


def test_a_definition_that_helm_would_read_as_a_template_is_an_error() -> None:
    with pytest.raises(ValueError, match="which Helm would read as a template"):
        definition("metadata:\n  name: a\nspec: {description: 'a {{ b'}\n")


def test_the_operator_reads_every_variable_that_the_chart_sets() -> None:
    page = (CHART / "templates/deployment.yaml").read_text()

    told = set(re.findall(r"^            - name: ([A-Z_]+)$", page, re.MULTILINE)) - {"HOME"}

    assert told <= {field.encode_name for field in msgspec.structs.fields(Settings)}
    assert {"WATCH_NAMESPACES", "POD_NAMESPACE", "SCRAPE_NAMESPACES"} < told
