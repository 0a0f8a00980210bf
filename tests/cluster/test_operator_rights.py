"""The operator has exactly the rights that it uses: a missing one fails here, and so does one that nobody saw used."""

import base64
from pathlib import Path

import yaml

from parley_contract.services import SERVICES
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, until_quiet, until_ready, until_says
from parley_testkit.control_plane.audit import AuditEvent
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.operators import USER, install_account, running_operator
from parley_testkit.control_plane.plane import ControlPlane

RIGHTS = Path(__file__).with_name("operator-rights.yaml")
NAME = "operator-of-one-namespace"


def test_every_right_is_used_and_none_is_missing(
    plane: ControlPlane, namespace: Namespace, voice_assistants: None
) -> None:
    install_account(plane, RIGHTS, namespace.name, name=NAME)
    begin = plane.audit.position()
    with (
        plane.namespace() as elsewhere,
        running_operator(plane, name=NAME, namespaces=namespace.name) as operator,
    ):
        elsewhere.apply(assistant())
        namespace.apply(assistant(asr={"replicas": 2}, doors={"web": {"ingress": {"host": "libra.example"}}}))
        until_ready(namespace)
        # Something that becomes so again is the same event once more.
        namespace.doom("tts", "crash-loop", "no voice")
        namespace.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=tts")
        until_says(namespace, "TTSReady", "CrashLooping")
        namespace.spare("tts")
        namespace.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=tts")
        until_ready(namespace)
        # What is not needed any more is removed.
        namespace.apply(credentials(), assistant(llm={"externalUrl": "http://ollama.test:11434"}, nats=external_nats()))
        until_ready(namespace)
        # The record of the spec before goes after the assistant is ready.
        until_quiet(namespace)
        operator.check()
        assert "status" not in elsewhere.get(ASSISTANTS, "libra")

    events = [event for event in plane.audit.events(begin, user=USER.format(NAME)) if event.object_ref.resource]
    assert [f"{event.verb} {event.resource}" for event in events if not event.was_allowed] == []
    assert used(events) == granted()


def granted() -> set[tuple[str, str]]:
    return {
        (verb, f"{resource.partition('/')[0]}{f'.{group}' if group else ''}{slash}{subresource}")
        for rule in yaml.safe_load(RIGHTS.read_text())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for _, slash, subresource in [resource.partition("/")]
    }


def used(events: list[AuditEvent]) -> set[tuple[str, str]]:
    """Return verbs and resources; an apply that makes an object needs the right to create it too."""
    made = {("create", event.resource) for event in events if event.verb == "patch" and event.code == 201}
    return made | {(event.verb, event.resource) for event in events}


def credentials() -> Object:
    data = {f"{service}.creds": base64.b64encode(b"creds").decode() for service in SERVICES}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nats-creds"}, "data": data}


def external_nats() -> Object:
    return {"url": "nats://nats.test:4222", "credentialsSecretRef": {"name": "nats-creds"}}
