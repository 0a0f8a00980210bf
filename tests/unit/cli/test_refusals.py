"""What one machine cannot do, said before anything is started."""

import pytest

from parley_cli import refusals
from parley_cli.refusals import RefusedError
from parley_contract.resource import VoiceAssistant, resolve


def assistant(**spec: object) -> VoiceAssistant:
    document = {
        "apiVersion": "parley.dev/v1alpha1",
        "kind": "VoiceAssistant",
        "metadata": {"name": "libra"},
        "spec": {"profile": "laptop", **spec},
    }
    return resolve(document)


def test_the_laptop_profile_is_not_refused() -> None:
    assert refusals.of_spec(assistant()) == []


@pytest.mark.parametrize(
    "spec,field",
    [
        ({"suspend": True}, "spec.suspend"),
        ({"nats": {"url": "nats://broker:4222", "credentialsSecretRef": {"name": "a"}}}, "spec.nats.url"),
        ({"asr": {"replicas": 2}}, "spec.asr.replicas"),
        ({"agent": {"replicas": 2}}, "spec.agent.replicas"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_field(spec: dict[str, object], field: str) -> None:
    (problem,) = refusals.of_spec(assistant(**spec))

    assert problem.startswith(f"{field}: ")


def test_all_problems_are_told_at_once() -> None:
    problems = refusals.of_spec(assistant(suspend=True, asr={"replicas": 2}))

    assert len(problems) == 2


def test_one_problem_is_one_sentence_and_several_are_a_list() -> None:
    assert str(RefusedError("libra", ["a"])) == "libra cannot be started here: a"
    assert str(RefusedError("libra", ["a", "b"])) == "libra cannot be started here:\n  a\n  b"


def test_a_taken_port_is_named_with_two_ways_out() -> None:
    (problem,) = refusals.of_ports({"gateway": 8001})

    assert "8001 (gateway)" in problem
    assert "--any-port" in problem


@pytest.mark.parametrize("host", ["localhost", "300.1.1.1", ""])
def test_a_host_that_is_no_address_is_refused(host: str) -> None:
    assert len(refusals.of_host(host)) == 1


@pytest.mark.parametrize("host,is_loopback", [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False)])  # noqa: S104
def test_only_loopback_is_loopback(host: str, is_loopback: bool) -> None:  # noqa: FBT001
    assert refusals.of_host(host) == []
    assert refusals.is_loopback(host) is is_loopback


DISCORD = {"discord": {"tokenSecretRef": {"name": "a", "key": "b"}}}
WITH_CA = {"discord": {**DISCORD["discord"], "endpoint": {"caSecretRef": {"name": "a", "key": "b"}}}}


@pytest.mark.parametrize(
    "doors, environment, fields",
    [
        ({}, {}, []),
        (DISCORD, {}, ["spec.doors.discord.tokenSecretRef"]),
        (DISCORD, {"DISCORD_TOKEN": "x"}, []),
        (DISCORD, {"DISCORD_TOKEN_FILE": "/x"}, []),
        (WITH_CA, {"DISCORD_TOKEN": "x"}, ["spec.doors.discord.endpoint.caSecretRef"]),
        (WITH_CA, {"DISCORD_TOKEN": "x", "DISCORD_CA_FILE": "/x"}, []),
    ],
)
def test_who_the_bot_is_comes_from_the_environment(
    doors: dict[str, object], environment: dict[str, str], fields: list[str]
) -> None:
    problems = refusals.of_bot(assistant(doors=doors), environment)

    assert [problem.partition(": ")[0] for problem in problems] == fields
