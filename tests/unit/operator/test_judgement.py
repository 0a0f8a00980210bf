"""What was written is accepted or refused by path and with advice; a refusal leaves the last accepted one running."""

from typing import Any

import pytest

from parley_operator.judgement import Facts, judge, values_to_read
from parley_operator.resources.objects import Object
from parley_testkit.first_plans import resource

EVERYTHING = Facts(
    values=frozenset({("vault", "token")}),
    secrets=frozenset({"vault"}),
)
DISCORD = {"doors": {"discord": {"tokenSecretRef": {"name": "vault", "key": "token"}}}}


def written(generation: int = 1, /, **spec: object) -> Object:
    document: dict[str, Any] = {"metadata": {"name": "libra"}, "spec": {"profile": "laptop", **spec}}
    return resource(document, generation=generation)


def revision(number: int, /, **spec: object) -> Object:
    return {
        "kind": "ControllerRevision",
        "metadata": {"name": f"libra-spec-{number}-abc", "labels": {"app.kubernetes.io/component": "spec"}},
        "data": {"spec": {"profile": "laptop", **spec}},
        "revision": number,
    }


def test_what_fits_is_accepted_as_it_was_written() -> None:
    judgement = judge(written(3, maxSessions=2), (), EVERYTHING)

    assert judgement.refusals == ()
    assert (judgement.generation, judgement.observed_generation) == (3, 3)
    assert judgement.written == {"profile": "laptop", "maxSessions": 2}
    assert judgement.assistant is not None
    assert judgement.assistant.spec.asr.model == "tiny.en"


@pytest.mark.parametrize(
    "spec, facts, reason, message",
    [
        (
            {"maxSessions": 0},
            EVERYTHING,
            "InvalidSpec",
            "spec.maxSessions: expected `int` >= 1",
        ),
        (
            {"tts": {"voice": "en_US-jo-medium"}},
            EVERYTHING,
            "UnknownModel",
            "spec.tts.voice: no voice 'en_US-jo-medium' is in the catalogue; did you mean en_US-joe-medium?",
        ),
        (
            {"asr": {"model": "smal"}},
            EVERYTHING,
            "UnknownModel",
            "spec.asr.model: no asr 'smal' is in the catalogue; did you mean small?",
        ),
        (
            {"asr": {"authSecretRef": {"name": "safe", "key": "token"}}},
            EVERYTHING,
            "SecretMissing",
            ("spec.asr.authSecretRef: there is no Secret safe in the namespace default: create it with the key token"),
        ),
        (
            {"doors": {"web": {"authSecretRef": {"name": "vault", "key": "door"}}}},
            EVERYTHING,
            "KeyMissing",
            "spec.doors.web.authSecretRef: the Secret vault has no key door: add it, or name another key",
        ),
        (
            {"doors": {"web": {"authSecretRef": {"name": "vault", "key": "door"}}}},
            Facts(secrets=EVERYTHING.secrets, empty=frozenset({("vault", "door")})),
            "KeyMissing",
            "spec.doors.web.authSecretRef: the key door of the Secret vault is empty: put a value there",
        ),
        (
            DISCORD,
            Facts(values=EVERYTHING.values, secrets=EVERYTHING.secrets, token_owner="home/scorpio"),
            "TokenInUse",
            (
                "spec.doors.discord.tokenSecretRef: home/scorpio uses the same token, and both would answer: "
                "make another bot, or delete that one"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_path_and_with_advice(
    spec: dict[str, object], facts: Facts, reason: str, message: str
) -> None:
    judgement = judge(written(**spec), (), facts)

    [refusal] = judgement.refusals
    assert (refusal.reason, refusal.message) == (reason, message)
    assert judgement.assistant is None


def test_every_credential_that_is_missing_is_named() -> None:
    nats = {"url": "nats://there:4222", "credentialsSecretRef": {"name": "keys"}}
    facts = Facts(secrets=frozenset({"keys"}), values=frozenset({("keys", "asr.creds"), ("keys", "tts.creds")}))

    judgement = judge(written(nats=nats), (), facts)

    assert [refusal.message.split("no key ")[1].split(":")[0] for refusal in judgement.refusals] == [
        "agent.creds",
        "gateway.creds",
    ]


def test_a_secret_that_is_missing_with_all_its_keys_is_asked_for_once() -> None:
    nats = {"url": "nats://there:4222", "credentialsSecretRef": {"name": "keys"}}

    [refusal] = judge(written(nats=nats), (), Facts()).refusals

    assert refusal.message.endswith("create it with the keys asr.creds, agent.creds, tts.creds, gateway.creds")


def test_a_model_of_the_owners_own_folder_is_nobody_elses_business() -> None:
    assert judge(written(asr={"model": "/models/mine"}), (), EVERYTHING).refusals == ()


def test_the_last_accepted_one_runs_when_what_is_written_is_refused() -> None:
    judgement = judge(written(4, maxSessions=0), (revision(2, maxSessions=2), revision(3, maxSessions=3)), EVERYTHING)

    assert judgement.assistant is not None
    assert judgement.assistant.spec.max_sessions == 3
    assert (judgement.generation, judgement.observed_generation) == (3, 4)
    assert judgement.refusals


def test_a_record_that_a_statefulset_made_of_itself_is_none_of_ours() -> None:
    of_broker = {
        "kind": "ControllerRevision",
        "metadata": {"name": "libra-nats-6fb4f656dc", "labels": {"app.kubernetes.io/component": "nats"}},
        "data": {"spec": {"template": {}}},
        "revision": 9,
    }

    judgement = judge(written(4, maxSessions=0), (revision(3, maxSessions=3), of_broker), EVERYTHING)

    assert judgement.generation == 3


def test_what_was_accepted_runs_on_without_the_secret_that_it_had() -> None:
    spec = {"asr": {"authSecretRef": {"name": "gone", "key": "token"}}}

    judgement = judge(written(2, **spec), (revision(2, **spec),), EVERYTHING)

    assert judgement.assistant is not None
    assert [refusal.reason for refusal in judgement.refusals] == ["SecretMissing"]


def test_a_record_that_this_version_cannot_read_runs_nothing_new() -> None:
    judgement = judge(written(4, maxSessions=0), (revision(3, gone="field"),), EVERYTHING)

    assert judgement.assistant is None


def test_what_is_not_there_yet_is_accepted_and_noted() -> None:
    judgement = judge(written(persona={"addressing": "name"}), (), EVERYTHING)

    assert judgement.refusals == ()
    assert [note.partition(":")[0] for note in judgement.notes] == ["spec.persona.addressing"]


def test_the_values_to_read_are_those_of_what_is_written_and_of_what_runs() -> None:
    new = {"asr": {"authSecretRef": {"name": "new", "key": "a"}}}
    old = {"asr": {"authSecretRef": {"name": "old", "key": "b"}}}

    assert values_to_read(written(**new), (revision(1, **old),)) == {("new", "a"), ("old", "b")}
    assert values_to_read(written(maxSessions=0, **new), (revision(1, **old),)) == {("old", "b")}
