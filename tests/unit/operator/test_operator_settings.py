"""The operator reads its environment once, and says everything that is wrong in it."""

import pytest

from parley_contract.errors import InvalidDocumentError
from parley_operator.settings import load_settings


def test_an_empty_environment_is_an_operator_of_all_namespaces() -> None:
    settings = load_settings({"WATCH_NAMESPACES": "", "HOME": "/nowhere"})

    assert settings.namespaces == ()
    assert (settings.health_port, settings.metrics_port) == (8080, 8081)
    assert settings.installation().scrape_namespaces == {}


def test_what_is_written_holds() -> None:
    settings = load_settings(
        {
            "WATCH_NAMESPACES": "voices, more",
            "POD_NAMESPACE": "system",
            "IMAGE_REGISTRY": "registry.test/parley",
            "SCRAPE_NAMESPACES": "none",
            "POD_LABELS": '{"app": "mine"}',
        }
    )

    assert settings.namespaces == ("voices", "more")
    made = settings.installation()
    assert (made.namespace, made.registry, made.labels) == ("system", "registry.test/parley", {"app": "mine"})
    assert made.scrape_namespaces is None


def test_all_that_is_wrong_is_said_by_variable() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load_settings({"HEALTH_PORT": "many", "LOG_LEVEL": "loud"})

    assert {problem.partition(":")[0] for problem in caught.value.problems} == {"HEALTH_PORT", "LOG_LEVEL"}


def test_labels_that_are_no_labels_are_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="POD_LABELS: write labels as a JSON object"):
        load_settings({"POD_LABELS": "app=mine"}).installation()
