"""The page about the operator names every setting and every metric that there is."""

from pathlib import Path

import msgspec
import pytest

from parley_operator.metrics import Metrics
from parley_operator.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/reference/operator.md").read_text()


@pytest.mark.parametrize("variable", [field.encode_name for field in msgspec.structs.fields(Settings)])
def test_every_setting_is_explained(variable: str) -> None:
    assert f"`{variable}`" in PAGE


@pytest.mark.parametrize("metric", sorted(family.name for family in Metrics().registry.collect()))
def test_every_metric_is_explained(metric: str) -> None:
    assert f"`{metric}" in PAGE
