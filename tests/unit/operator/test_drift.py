"""An object is written again if what we own of it changed, and for nothing else."""

from typing import Any

import pytest

from parley_operator.drift import covers, differs, marked

WANTED: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "libra-asr"},
    "spec": {"paused": False, "template": {"containers": [{"name": "asr", "env": [{"name": "A", "value": ""}]}]}},
}


def test_what_was_just_applied_does_not_differ() -> None:
    assert not differs(WANTED, marked(WANTED))


def test_what_was_applied_differently_differs_also_if_all_that_is_wanted_is_there() -> None:
    more = {**WANTED, "spec": {**WANTED["spec"], "replicas": 2}}

    assert covers(marked(more), WANTED)
    assert differs(WANTED, marked(more))


def test_what_nobody_marked_differs() -> None:
    assert differs(WANTED, WANTED)


@pytest.mark.parametrize(
    "there, wanted",
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({}, {"paused": False}),
        ({}, {"egress": []}),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}),
        ({"cpu": "2"}, {"cpu": "2000m"}),
        ({"memory": "1073741824"}, {"memory": "1Gi"}),
        ({"containers": [{"name": "theirs"}, {"name": "ours"}]}, {"containers": [{"name": "ours"}]}),
        ({"ports": [{"port": 53, "p": "UDP"}, {"port": 53, "p": "TCP"}]},) * 2,
    ],
)
def test_what_the_api_server_or_somebody_else_added_is_no_drift(there: Any, wanted: Any) -> None:  # noqa: ANN401
    assert covers(there, wanted)


@pytest.mark.parametrize(
    "there, wanted",
    [
        ({"a": 2}, {"a": 1}),
        ({}, {"a": 1}),
        ({"paused": True}, {"paused": False}),
        ({"cpu": "1"}, {"cpu": "2000m"}),
        ({"containers": [{"name": "theirs"}]}, {"containers": [{"name": "ours"}]}),
        ({"command": ["a", "b"]}, {"command": ["b", "a"]}),
        ({"egress": [{}]}, {"egress": []}),
        ({"ports": [{"port": 53, "p": "TCP"}]}, {"ports": [{"port": 53, "p": "UDP"}, {"port": 53, "p": "TCP"}]}),
        ({"to": None}, {"to": {"a": "b"}}),
    ],
)
def test_what_is_missing_or_other_is_drift(there: Any, wanted: Any) -> None:  # noqa: ANN401
    assert not covers(there, wanted)
