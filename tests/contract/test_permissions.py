"""Every subject through the permissions: who may say and hear it, read from the configuration that the broker gets."""

import inspect

import msgspec
import pytest

from parley_contract.permissions import broker_config, inbox_prefix, permissions
from parley_contract.services import SERVICES, Service
from parley_contract.streams import layout
from parley_contract.subjects import Subjects
from parley_testkit.memory_streams import matches
from parley_testkit.rights import CALLS, FORBIDDEN_TO_ALL, Right, rights

ASSISTANT = "test_libra"
RIGHTS = rights(ASSISTANT)
STREAMS = {name: getattr(layout(ASSISTANT), name).name for name in layout(ASSISTANT).__struct_fields__}

services = pytest.mark.parametrize("service", SERVICES)
subjects = pytest.mark.parametrize("name", RIGHTS)


def may_publish(service: Service, subject: str) -> bool:
    return any(matches(right, subject) for right in permissions(ASSISTANT, service).publish)


def may_subscribe(service: Service, subject: str) -> bool:
    return any(matches(right, subject) for right in permissions(ASSISTANT, service).subscribe)


def test_the_table_has_every_subject_there_is() -> None:
    spelled = {name for name, _ in inspect.getmembers(Subjects, inspect.isfunction) if not name.startswith("_")}

    assert {name.partition(".")[0] for name in RIGHTS} == spelled


@services
@subjects
def test_a_service_may_say_what_it_must_and_nothing_else(service: Service, name: str) -> None:
    right: Right = RIGHTS[name]

    assert may_publish(service, right.subject) == (service in right.speakers)


@services
@subjects
def test_a_service_may_hear_what_it_must_and_nothing_else(service: Service, name: str) -> None:
    right: Right = RIGHTS[name]

    assert may_subscribe(service, right.subject) == (service in right.listeners)
    assert may_subscribe(service, right.pattern) == (service in right.listeners)


@services
def test_a_service_hears_its_own_inbox_and_no_other(service: Service) -> None:
    heard = {other for other in SERVICES if may_subscribe(service, f"{inbox_prefix(other)}.x.y")}

    assert heard == {service}


@services
def test_only_the_agent_answers(service: Service) -> None:
    assert permissions(ASSISTANT, service).may_respond == (service == "agent")


@services
@pytest.mark.parametrize("call", FORBIDDEN_TO_ALL)
def test_some_calls_are_nobodys(service: Service, call: str) -> None:
    assert not may_publish(service, call.format_map(STREAMS))


@services
@pytest.mark.parametrize("call", CALLS)
def test_each_makes_its_own_calls(service: Service, call: str) -> None:
    assert may_publish(service, call.format_map(STREAMS)) == (service in CALLS[call])


@services
def test_every_right_to_call_the_broker_itself_is_in_the_table(service: Service) -> None:
    calls = [call.format_map(STREAMS) for call in CALLS]
    given = [right for right in permissions(ASSISTANT, service).publish if right.startswith("$")]

    assert [right for right in given if not any(matches(right, call) for call in calls)] == []


@services
def test_nobody_reaches_another_assistant(service: Service) -> None:
    others = rights("test_other")

    assert not any(may_publish(service, right.subject) for right in others.values())
    assert not any(may_subscribe(service, right.pattern) for right in others.values())


@services
def test_nobody_hears_everything(service: Service) -> None:
    assert not any(may_subscribe(service, pattern) for pattern in (">", "parley.>", f"parley.{ASSISTANT}.>", "$JS.>"))


def test_the_configuration_gives_each_key_its_services_permissions() -> None:
    config = msgspec.json.decode(
        broker_config(
            ASSISTANT,
            public_keys={service: f"U{service.upper()}" for service in SERVICES},
            listen="127.0.0.1:4222",
            store_dir="/somewhere",
        )
    )

    users = {user["nkey"]: user["permissions"] for user in config["authorization"]["users"]}
    assert users == {
        f"U{service.upper()}": {
            "publish": {"allow": list(permissions(ASSISTANT, service).publish)},
            "subscribe": {"allow": list(permissions(ASSISTANT, service).subscribe)},
            **({"allow_responses": True} if service == "agent" else {}),
        }
        for service in SERVICES
    }
    assert (config["listen"], config["jetstream"]["store_dir"]) == ("127.0.0.1:4222", "/somewhere")


def test_a_service_without_a_key_is_an_error() -> None:
    with pytest.raises(KeyError, match="tts"):
        broker_config(
            ASSISTANT,
            public_keys={"asr": "U1", "agent": "U2", "gateway": "U3"},
            listen="127.0.0.1:4222",
            store_dir="/somewhere",
        )
