"""What is known of the cluster is the newest that was seen of it, and is found by assistant."""

from typing import Any

from parley_operator.world import World, ghosts

LIBRA = ("voices", "libra")


def seen(kind: str, name: str, version: int, /, uid: str = "", **fields: object) -> dict[str, Any]:
    metadata = {"namespace": "voices", "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    labels = {"app.kubernetes.io/instance": "libra"} if kind not in {"VoiceAssistant", "Event"} else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, "labels": labels}, **fields}


def world(*objects: dict[str, Any]) -> World:
    made = World()
    for each in objects:
        made.put(each)
    return made


def test_an_answer_is_not_undone_by_an_event_that_was_under_way() -> None:
    there = world(seen("Service", "libra-asr", 20, data="new"))

    there.put(seen("Service", "libra-asr", 19, data="old"))

    assert [child["data"] for child in there.children(LIBRA)] == ["new"]


def test_an_object_that_was_made_anew_takes_the_place_of_the_one_before() -> None:
    there = world(seen("Service", "libra-asr", 20, uid="first"))

    there.put(seen("Service", "libra-asr", 21, uid="second"))
    there.remove(seen("Service", "libra-asr", 22, uid="first"))

    assert [child["metadata"]["uid"] for child in there.children(LIBRA)] == ["second"]


def test_who_puts_something_in_is_told_whether_anything_happened() -> None:
    there = world(seen("Deployment", "libra-asr", 20, status={"readyReplicas": 1}))
    noise = {"readyReplicas": 1, "availableReplicas": 1, "conditions": [{"type": "Available", "status": "True"}]}

    assert not there.put(seen("Deployment", "libra-asr", 20, status={}))
    assert not there.put(seen("Deployment", "libra-asr", 21, status=noise))
    assert there.put(seen("Deployment", "libra-asr", 22, status={"readyReplicas": 2}))
    assert there.put(seen("Deployment", "libra-asr", 23, uid="another", status={"readyReplicas": 2}))
    assert there.places("Deployment") == {("Deployment", "voices", "libra-asr"): ("another", 23)}
    assert there.remove(seen("Deployment", "libra-asr", 24, uid="another"))
    assert not there.remove(seen("Deployment", "libra-asr", 24, uid="another"))


def test_pods_and_children_are_told_apart_and_managed_fields_are_not_kept() -> None:
    pod = seen("Pod", "libra-asr-1", 3)
    pod["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    there = world(pod, seen("Service", "libra-asr", 4))

    assert [each["kind"] for each in there.children(LIBRA)] == ["Service"]
    assert ["managedFields" in each["metadata"] for each in there.pods(LIBRA)] == [False]


def test_an_event_about_a_child_is_about_its_assistant_and_one_that_says_nothing_is_about_nobody() -> None:
    there = world(seen("VoiceAssistant", "libra", 1), seen("VoiceAssistant", "lib", 1))
    telling = seen("Event", "one", 5, reason="FailedMount", involvedObject={"name": "libra-asr-1"})
    common = seen("Event", "two", 6, reason="Pulled", involvedObject={"name": "libra-asr-1"})
    for event in (telling, common):
        there.put(event)

    assert (there.keys_of(telling), there.keys_of(common)) == ((LIBRA,), ())
    assert [event["metadata"]["name"] for event in there.events(LIBRA)] == ["one"]
    there.remove(telling)
    assert there.events(LIBRA) == []


def test_a_claim_of_the_owners_is_about_the_assistants_that_name_it() -> None:
    spec = {"storage": {"modelCache": {"existingClaim": "mine"}}}
    there = world(seen("VoiceAssistant", "libra", 1, spec=spec), seen("VoiceAssistant", "other", 1))
    claim = seen("PersistentVolumeClaim", "mine", 2)
    claim["metadata"]["labels"] = {}
    there.put(claim)

    assert there.keys_of(claim) == (LIBRA,)
    assert there.claim("voices", "mine") is not None


def test_tokens_are_known_as_long_as_a_spec_names_them() -> None:
    spec = {"doors": {"discord": {"tokenSecretRef": {"name": "bot", "key": "token"}}}}
    record = seen("ControllerRevision", "libra-spec-1", 2, data={"spec": spec})
    there = world(seen("VoiceAssistant", "libra", 1, spec=spec), record)
    other = seen("VoiceAssistant", "lyra", 1, spec=spec)
    there.put(other)
    assert {(token.secret, token.is_accepted) for token in there.tokens()} == {("bot", False), ("bot", True)}
    assert there.contenders() == {("voices", "lyra")}

    there.remove(other)
    there.put(seen("VoiceAssistant", "libra", 3, spec={}))
    there.remove(record)

    assert there.tokens() == ()


def test_what_is_held_to_be_there_and_is_not_is_a_ghost() -> None:
    there = world(seen("Service", "libra-asr", 1), seen("Service", "libra-tts", 2))

    found = list(ghosts(there.places("Service"), [seen("Service", "libra-asr", 1)], "Service"))

    assert [each["metadata"]["name"] for each in found] == ["libra-tts"]
    assert there.keys_of_held(found[0]) == (LIBRA,)
    there.remove(found[0])
    assert len(there.children(LIBRA)) == 1
