"""The operator reads its environment once, and says everything that is wrong in it."""

from pathlib import Path

import pytest

from parley_contract.errors import InvalidDocumentError
from parley_operator.pod_access import pod_access
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


def test_a_pod_reaches_the_api_server_where_kubernetes_says_with_the_token_of_the_moment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    pod = pod_access(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    assert pod is not None
    assert (pod.server, pod.token()) == ("https://[fd00::1]:443", "first")

    (tmp_path / "token").write_text("second\n")

    assert pod.token() == "second"


def test_outside_of_a_pod_there_is_no_token_and_a_token_alone_is_not_enough(tmp_path: Path) -> None:
    assert pod_access(tmp_path, {}) is None
    (tmp_path / "token").write_text("first")

    with pytest.raises(InvalidDocumentError, match="KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: both are needed"):
        pod_access(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_all_that_is_wrong_is_said_by_variable() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        load_settings({"HEALTH_PORT": "many", "LOG_LEVEL": "loud"})

    assert {problem.partition(":")[0] for problem in caught.value.problems} == {"HEALTH_PORT", "LOG_LEVEL"}


def test_labels_that_are_no_labels_are_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="POD_LABELS: write labels as a JSON object"):
        load_settings({"POD_LABELS": "app=mine"}).installation()
