"""A look finds out what Secrets hold, whose a token is, and which seeds are missing."""

import base64
from typing import Any

import pytest

from parley_contract.errors import PermanentError
from parley_operator.cluster import Cluster, ConflictError
from parley_operator.observing import Look, look
from parley_operator.resources.objects import Object
from parley_operator.secret_values import BELIEVED_S, Secrets, new_pair, public_key
from parley_operator.world import World

TOKEN = {"doors": {"discord": {"tokenSecretRef": {"name": "bot", "key": "token"}}}}


class Vault(Cluster):
    """Knows Secrets alone, and counts who asks."""

    def __init__(self, **secrets: dict[str, str]) -> None:
        self.secrets = {name.replace("_", "-"): values for name, values in secrets.items()}
        self.owner = ""
        self.asked: list[str] = []

    async def secret(self, namespace: str, name: str) -> Object | None:
        self.asked.append(name)
        if name not in self.secrets:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.secrets[name].items()}
        owners = [{"uid": self.owner}] if self.owner else []
        return {"metadata": {"namespace": namespace, "name": name, "ownerReferences": owners}, "data": data}


def resource(name: str = "libra", created: str = "2026-01-01", /, **spec: Any) -> Object:  # noqa: ANN401
    metadata = {"namespace": "voices", "name": name, "uid": f"uid-{name}", "generation": 1, "resourceVersion": "1"}
    return {
        "apiVersion": "parley.dev/v1alpha1",
        "kind": "VoiceAssistant",
        "metadata": {**metadata, "creationTimestamp": created},
        "spec": {"profile": "laptop", **spec},
    }


def record(name: str, /, **spec: object) -> Object:
    labels = {"app.kubernetes.io/instance": name, "app.kubernetes.io/component": "spec"}
    metadata = {"namespace": "voices", "name": f"{name}-spec-1", "uid": f"record-{name}", "labels": labels}
    return {
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": {"spec": {"profile": "laptop", **spec}},
        "revision": 1,
    }


async def seen_by(name: str, vault: Vault, *objects: Object, now: float = 0.0) -> Look:
    world = World()
    for each in objects:
        world.put(each)
    assistant = world.assistant(("voices", name))
    assert assistant is not None
    return await look(world, Secrets(vault, lambda: now), ("voices", name), assistant)


async def reasons(name: str, vault: Vault, *objects: Object) -> list[str]:
    return [refusal.reason for refusal in (await seen_by(name, vault, *objects)).judgement.refusals]


async def test_of_two_that_ask_for_one_token_the_older_one_gets_it() -> None:
    vault = Vault(bot={"token": "one"})
    both = resource("first", "2026-01-01", **TOKEN), resource("second", "2026-01-02", **TOKEN)

    assert await reasons("first", vault, *both) == []
    assert await reasons("second", vault, *both) == ["TokenInUse"]


async def test_who_runs_with_a_token_keeps_it_also_from_somebody_older() -> None:
    vault = Vault(bot={"token": "one"})
    both = resource("older", "2026-01-01", **TOKEN), resource("running", "2026-01-02", **TOKEN)

    assert await reasons("running", vault, *both, record("running", **TOKEN)) == []
    assert await reasons("older", vault, *both, record("running", **TOKEN)) == ["TokenInUse"]


async def test_a_token_that_was_given_up_but_still_runs_is_in_use() -> None:
    vault = Vault(bot={"token": "one"})
    refused = resource("first", asr={"model": "smal"})

    found = await reasons("second", vault, refused, record("first", **TOKEN), resource("second", **TOKEN))

    assert found == ["TokenInUse"]


async def test_a_token_is_the_same_with_the_end_of_its_line() -> None:
    other = {"doors": {"discord": {"tokenSecretRef": {"name": "other", "key": "token"}}}}
    vault = Vault(bot={"token": "one"}, other={"token": "one\n"})

    found = await reasons("second", vault, resource("first", **TOKEN), resource("second", "2026-01-02", **other))

    assert found == ["TokenInUse"]


async def test_a_key_that_holds_nothing_is_as_good_as_none() -> None:
    door = {"doors": {"web": {"authSecretRef": {"name": "door", "key": "token"}}}}

    assert await reasons("libra", Vault(door={"token": "\n"}), resource(**door)) == ["KeyMissing"]


async def test_different_tokens_do_not_meet() -> None:
    other = {"doors": {"discord": {"tokenSecretRef": {"name": "other", "key": "token"}}}}
    vault = Vault(bot={"token": "one"}, other={"token": "two"})

    assert await reasons("second", vault, resource("first", **TOKEN), resource("second", **other)) == []


async def test_seeds_that_are_missing_get_new_pairs_and_those_that_are_there_are_known_by_their_keys() -> None:
    pair = new_pair()
    vault = Vault(libra_nats_asr={"seed.nk": pair.seed})
    vault.owner = "uid-libra"

    observed = (await seen_by("libra", vault, resource())).observed

    assert observed.broker_keys == {"asr": pair.public_key}
    assert set(observed.new_keys) == {"agent", "tts", "gateway"}
    assert all(public_key(new.seed.encode()) == new.public_key for new in observed.new_keys.values())


async def test_a_seed_of_an_earlier_assistant_of_the_name_is_not_ours() -> None:
    vault = Vault(libra_nats_asr={"seed.nk": new_pair().seed})
    vault.owner = "somebody-earlier"

    assert "asr" in (await seen_by("libra", vault, resource())).observed.new_keys


async def test_a_seed_that_is_none_is_an_error_that_says_what_to_do() -> None:
    vault = Vault(libra_nats_asr={"seed.nk": "nothing"})
    vault.owner = "uid-libra"

    with pytest.raises(
        PermanentError, match=r"the Secret libra-nats-asr holds no seed .* delete the Secret, and it is"
    ):
        await seen_by("libra", vault, resource())


async def test_a_secret_of_somebody_elses_that_has_the_name_of_a_seed_is_not_taken() -> None:
    vault = Vault(libra_nats_asr={"mine": "hush"})

    with pytest.raises(PermanentError, match=r"the Secret libra-nats-asr is somebody else's: .* delete it"):
        await seen_by("libra", vault, resource())


async def test_remains_of_an_earlier_assistant_are_waited_for() -> None:
    owners = [{"kind": "VoiceAssistant", "uid": "somebody-earlier"}]
    labels = {"app.kubernetes.io/instance": "libra"}
    metadata = {"namespace": "voices", "name": "libra-asr", "uid": "1", "labels": labels, "ownerReferences": owners}

    with pytest.raises(ConflictError, match="Service libra-asr belongs to an earlier assistant"):
        await seen_by("libra", Vault(), resource(), {"kind": "Service", "metadata": metadata})


async def test_a_secret_that_is_there_is_believed_for_a_while_and_one_that_is_not_is_looked_for_each_time() -> None:
    vault, now = Vault(bot={"token": "one"}), [0.0]
    secrets = Secrets(vault, lambda: now[0])

    for _ in range(3):
        await secrets.read("voices", "bot")
        await secrets.read("voices", "none")
    now[0] = BELIEVED_S
    await secrets.read("voices", "bot")
    secrets.doubt(("voices", "libra"))
    await secrets.read("voices", "bot")

    assert vault.asked == ["bot", "none", "none", "none", "bot", "bot"]
