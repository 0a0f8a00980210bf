"""What is done for an assistant, and in which order; after a crash anywhere the rest is done, and nothing twice."""

import datetime as dt
from typing import Any

import pytest

from parley_operator.actions import Apply, Create, Delete
from parley_operator.resources.objects import PULLED
from parley_testkit.first_plans import UID
from parley_testkit.toy_cluster import AlreadyThereError, ToyCluster, changed, told


def document(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "parley.dev/v1alpha1",
        "kind": "VoiceAssistant",
        "metadata": {"name": "libra"},
        "spec": {"profile": "laptop", **spec},
    }


def cluster(**spec: object) -> ToyCluster:
    return ToyCluster(document(**spec))


def settled(**spec: object) -> ToyCluster:
    made = cluster(**spec)
    made.settle()
    return made


def to_do(there: ToyCluster) -> list[str]:
    return [told(action) for action in there.plan().actions]


def kinds(actions: list[str], verb: str) -> list[str]:
    return [action.split()[1].split("/")[0] for action in actions if action.startswith(verb)]


def test_what_is_needed_by_others_comes_first() -> None:
    done = to_do(cluster())

    order = [action.split()[1].split("/")[0] for action in done]
    assert order[0] == "ControllerRevision"
    assert max(place for place, kind in enumerate(order) if kind in {"Secret", "NetworkPolicy", "ConfigMap"}) < min(
        place for place, kind in enumerate(order) if kind in {"StatefulSet", "Deployment", "Job"}
    )
    assert order.index("PersistentVolumeClaim") < order.index("Job")


def test_when_all_is_done_there_is_nothing_to_do_and_a_restart_finds_the_same() -> None:
    there = settled()

    assert there.plan().actions == ()
    assert {"libra-nats"} == set(there.of_kind("StatefulSet"))
    assert {f"libra-{name}" for name in ("asr", "tts", "agent", "gateway", "ollama")} == set(
        there.of_kind("Deployment")
    )


@pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"gpu": {"sharing": "shared"}, "asr": {"device": "auto"}}])
def test_a_crash_between_any_two_actions_is_mended_by_the_next_look(spec: dict[str, Any]) -> None:
    whole = settled(**spec)
    actions = cluster(**spec).plan().actions
    for count in range(len(actions) + 1):
        crashed = cluster(**spec)
        for action in crashed.plan().actions[:count]:
            crashed.do(action)

        crashed.settle()

        assert set(crashed.objects) == set(whole.objects), f"after {count} actions"
        deployments = crashed.of_kind("Deployment")
        assert not any(each["spec"]["paused"] for each in deployments.values()) or spec.get("suspend")


def test_a_crash_during_a_change_leaves_an_older_record_until_the_newer_one_is_there() -> None:
    for count in range(3):
        there = settled()
        there.write({"profile": "laptop", "maxSessions": 2})
        for action in there.plan().actions[:count]:
            there.do(action)

        there.settle()

        [revision] = there.of_kind("ControllerRevision").values()
        assert (revision["revision"], revision["data"]["spec"]["maxSessions"]) == (2, 2)


def test_a_seed_that_somebody_else_made_first_ends_the_plan_and_the_next_one_uses_it() -> None:
    there = cluster()
    late = there.plan()
    for action in there.plan().actions:
        there.do(action)

    with pytest.raises(AlreadyThereError):
        there.do_all(late.actions)
    there.settle()

    keys = {name: each["toy"] for name, each in there.of_kind("Secret").items()}
    config = there.of_kind("ConfigMap")["libra-nats"]["data"]["nats-server.conf"]
    assert all(seed.replace("SU", "U", 1) in config for seed in keys.values())


def test_a_seed_that_is_deleted_is_made_anew_and_restarts_the_broker_and_its_owner_alone() -> None:
    there = settled()
    del there.objects["Secret", "libra-nats-tts"]

    actions = to_do(there)

    assert actions == [
        "create Secret/libra-nats-tts",
        "apply ConfigMap/libra-nats",
        "apply StatefulSet/libra-nats",
        "apply Deployment/libra-tts",
    ]
    there.settle()
    assert to_do(there) == []


def test_what_an_assistant_runs_without_comes_last_so_that_it_holds_up_nothing_where_it_is_refused() -> None:
    there = ToyCluster({"metadata": {"name": "libra"}, "spec": {**INGRESS, "profile": "laptop"}})

    assert [told(action) for action in there.plan().actions if isinstance(action, Apply) and not action.is_needed] == [
        "apply Ingress/libra-gateway"
    ]
    there.do_all(there.plan().actions[:-1])
    assert to_do(there) == ["apply Ingress/libra-gateway"]


def test_a_volume_that_is_there_has_to_grow_for_nothing_else_to_be_done() -> None:
    there = settled()
    there.write({"profile": "laptop", "storage": {"modelCache": {"size": "40Gi"}}, "tts": {"speed": 1.2}})

    needed = {told(action): action.is_needed for action in there.plan().actions if isinstance(action, Apply)}

    assert needed == {"apply PersistentVolumeClaim/libra-models": False, "apply Deployment/libra-tts": True}


INGRESS = {"doors": {"web": {"ingress": {"host": "libra.example"}}}}


def test_who_reads_a_secret_that_is_gone_stays_as_it_is_and_follows_the_next_one() -> None:
    door = {"discord": {"tokenSecretRef": {"name": "bot", "key": "token"}}}
    there = ToyCluster({"metadata": {"name": "libra"}, "spec": {"profile": "laptop", "doors": door}})
    there.secrets["bot", "token"] = b"one"
    there.settle()

    del there.secrets["bot", "token"]
    assert to_do(there) == []

    there.secrets["bot", "token"] = b"two"
    assert to_do(there) == ["apply Deployment/libra-gateway"]


@pytest.mark.parametrize(
    "spec, expected",
    [
        ({"asr": {"beamSize": 3}}, ["Deployment/libra-asr"]),
        ({"persona": {"name": "Ada"}}, ["Deployment/libra-agent"]),
        ({"tts": {"speed": 1.2}}, ["Deployment/libra-tts"]),
        ({"turnTaking": {"endpointMs": 300}}, ["Deployment/libra-gateway"]),
        ({"llm": {"ollama": {"kvCacheType": "q8_0"}}}, ["Deployment/libra-ollama"]),
        ({"asr": {"replicas": 2}}, ["Deployment/libra-asr", "PodDisruptionBudget/libra-asr"]),
        ({"storage": {"modelCache": {"size": "40Gi"}}}, ["PersistentVolumeClaim/libra-models"]),
        ({"slo": {"e2ftMs": 900}}, []),
    ],
)
def test_a_change_of_one_component_changes_that_component_alone(spec: dict[str, Any], expected: list[str]) -> None:
    there = settled()
    there.write({"profile": "laptop", **spec})

    applied = [action.removeprefix("apply ") for action in to_do(there) if action.startswith("apply ")]

    assert applied == expected


def test_drift_is_repaired_and_what_others_added_is_left_alone() -> None:
    there = settled()
    there.objects["Service", "libra-asr"]["spec"]["ports"][0]["port"] = 80
    agent = there.objects["Deployment", "libra-agent"]
    agent["spec"]["replicas"] = 3
    agent["metadata"]["annotations"]["someone/else"] = "here"
    agent["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "theirs"})

    assert to_do(there) == ["apply Service/libra-asr"]


def test_replicas_are_applied_only_where_the_spec_says_them() -> None:
    without, with_two = settled(), settled(asr={"replicas": 2})

    assert "replicas" not in without.objects["Deployment", "libra-asr"]["spec"]
    assert with_two.objects["Deployment", "libra-asr"]["spec"]["replicas"] == 2
    assert set(with_two.of_kind("PodDisruptionBudget")) == {"libra-asr"}


def test_a_budget_goes_when_there_is_one_pod_again() -> None:
    there = settled(asr={"replicas": 2})
    there.write({"profile": "laptop"})

    assert "delete PodDisruptionBudget/libra-asr" in to_do(there)


# --- Models ----------------------------------------------------------------------------------------------------------


def test_each_model_is_pulled_once_and_noted_on_the_claim() -> None:
    there = cluster()

    done = [told(action) for action in there.settle()]

    assert kinds(done, "create").count("Job") == 5
    assert there.of_kind("Job") == {}
    notes = there.objects["PersistentVolumeClaim", "libra-models"]["metadata"]["annotations"]
    assert {value for key, value in notes.items() if key.startswith(PULLED)} == {
        "tiny.en",
        "smollm2:135m",
        "en_US-joe-medium",
        "silero-vad",
        "smart-turn-v3.2",
    }


def test_a_deployment_is_paused_until_its_models_are_there() -> None:
    there = cluster()
    for action in there.plan().actions:
        there.do(action)

    before = {name: each["spec"]["paused"] for name, each in there.of_kind("Deployment").items()}
    there.settle()
    after = {name: each["spec"]["paused"] for name, each in there.of_kind("Deployment").items()}

    assert before == dict.fromkeys(after, True)
    assert after == dict.fromkeys(before, False)


def test_while_another_model_is_pulled_only_who_needs_it_is_held_back() -> None:
    there = settled()
    there.write({"profile": "laptop", "llm": {"model": "qwen2.5:0.5b"}})
    for action in there.plan().actions:
        there.do(action)

    paused = {name for name, each in there.of_kind("Deployment").items() if each["spec"]["paused"]}

    # The agent asks for the model by its name: until it is there, it goes on with the one before.
    assert paused == {"libra-agent", "libra-ollama"}


def test_a_job_is_removed_only_after_its_work_was_seen_noted() -> None:
    there = cluster()
    for action in there.plan().actions:
        there.do(action)
    there.finish_jobs()

    first = to_do(there)
    for action in there.plan().actions:
        there.do(action)
    second = to_do(there)

    assert "apply PersistentVolumeClaim/libra-models" in first
    assert not any(action.startswith("delete Job/") for action in first)
    assert {action.split("/")[0] for action in second} == {"delete Job"}


def test_a_failed_pull_is_tried_again_after_ten_minutes() -> None:
    there = cluster()
    for action in there.plan().actions:
        there.do(action)
    name = next(iter(there.of_kind("Job")))
    there.end_job(name, "Failed")

    there.now += dt.timedelta(seconds=400)
    assert there.plan().look_again_after_s == 200
    assert f"delete Job/{name}" not in to_do(there)
    there.now += dt.timedelta(seconds=200)
    assert f"delete Job/{name}" in to_do(there)
    there.do(next(action for action in there.plan().actions if isinstance(action, Delete)))
    assert f"create Job/{name}" in to_do(there)


def test_on_a_card_the_first_pull_alone_decides_where_the_volume_is_and_asks_for_a_share() -> None:
    there = cluster(gpu={"sharing": "shared"}, asr={"device": "auto"})
    first = [action.object for action in there.plan().actions if isinstance(action, Create)]
    jobs = [each for each in first if each["kind"] == "Job"]
    for action in there.plan().actions:
        there.do(action)

    assert len(jobs) == 1
    assert jobs[0]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert "runtimeClassName" not in jobs[0]["spec"]["template"]["spec"]
    assert not any("Job" in action for action in to_do(there))
    there.finish_jobs()
    later = [
        action.object
        for action in there.plan().actions
        if isinstance(action, Create) and action.object["kind"] == "Job"
    ]
    assert len(later) == 4
    assert not any("limits" in job["spec"]["template"]["spec"]["containers"][0]["resources"] for job in later)


def test_a_suspended_assistant_runs_nothing_and_keeps_everything() -> None:
    there = settled()
    claims = set(there.of_kind("PersistentVolumeClaim"))
    there.write({"profile": "laptop", "suspend": True})

    there.settle()

    workloads = [*there.of_kind("Deployment").values(), *there.of_kind("StatefulSet").values()]
    assert {each["spec"]["replicas"] for each in workloads} == {0}
    assert set(there.of_kind("PersistentVolumeClaim")) == claims
    there.write({"profile": "laptop"})
    there.settle()
    assert not any("replicas" in each["spec"] for each in there.of_kind("Deployment").values())


def test_whoever_is_suspended_from_the_start_pulls_nothing() -> None:
    assert settled(suspend=True).of_kind("Job") == {}


# --- Volumes ---------------------------------------------------------------------------------------------------------


def test_a_retained_claim_has_no_owner_and_the_next_assistant_finds_its_models_and_size() -> None:
    first = settled(storage={"modelCache": {"deletionPolicy": "Retain", "size": "40Gi", "storageClassName": "fast"}})
    claim = first.objects["PersistentVolumeClaim", "libra-models"]
    assert "ownerReferences" not in claim["metadata"]
    second = cluster(storage={"modelCache": {"deletionPolicy": "Retain", "size": "20Gi"}})
    second.objects["PersistentVolumeClaim", "libra-models"] = claim

    done = [told(action) for action in second.settle()]

    assert "Job" not in kinds(done, "create")
    adopted = second.objects["PersistentVolumeClaim", "libra-models"]["spec"]
    assert adopted["resources"]["requests"]["storage"] == "40Gi"
    # What was written once cannot be left out, or the API server would be asked to change it.
    assert adopted["storageClassName"] == "fast"
    assert to_do(second) == []


def test_a_class_that_the_api_server_filled_in_is_left_alone() -> None:
    there = settled()
    there.objects["PersistentVolumeClaim", "libra-models"]["spec"]["storageClassName"] = "default-of-the-cluster"

    assert to_do(there) == []


def test_a_claim_of_the_owners_gets_notes_and_nothing_else() -> None:
    there = cluster(storage={"modelCache": {"existingClaim": "mine"}})
    assert not any("Claim/mine" in action or "Job" in action for action in to_do(there))
    mine = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
    meta = {"name": "mine", "namespace": "default", "uid": "theirs"}
    there.objects["PersistentVolumeClaim", "mine"] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta,
        **mine,
    }

    applied = [
        action.object
        for action in there.settle()
        if isinstance(action, Apply) and action.object["metadata"]["name"] == "mine"
    ]

    assert applied
    assert all({"apiVersion", "kind", "metadata"} == set(each) for each in applied)
    assert all("ownerReferences" not in each["metadata"] for each in applied)
    volumes = there.objects["Deployment", "libra-asr"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


# --- What was refused, what is somebody else's -----------------------------------------------------------------------


def test_a_refused_spec_leaves_the_accepted_one_as_it_is() -> None:
    there = settled()
    there.write({"profile": "laptop", "language": "ko"})

    plan = there.plan()

    assert there.judgement().refusals
    assert plan.actions == ()
    assert plan.context is not None
    assert plan.context.assistant.spec.language == "en"


def test_of_what_was_never_accepted_nothing_is_made() -> None:
    plan = cluster(language="ko").plan()

    assert (plan.actions, plan.context) == ((), None)


def test_a_secret_that_is_waited_for_is_looked_for_soon_and_one_that_is_there_seldom() -> None:
    there = cluster(asr={"authSecretRef": {"name": "vault", "key": "asr"}})
    before = there.plan().look_again_after_s
    there.secrets["vault", "asr"] = b"one"

    assert (before, there.plan().look_again_after_s) == (10, 300)


def test_what_an_assistant_of_ones_own_server_had_is_removed_but_for_its_volumes() -> None:
    there = settled()
    there.write({"profile": "laptop", "llm": {"externalUrl": "http://there:11434"}})

    removed = [action for action in to_do(there) if action.startswith("delete ")]

    assert [action for action in removed if "revision" not in action.lower()] == [
        "delete ServiceAccount/libra-ollama",
        "delete NetworkPolicy/libra-ollama",
        "delete Service/libra-ollama",
        "delete Deployment/libra-ollama",
    ]


def test_what_only_looks_like_a_child_is_never_removed() -> None:
    there = settled()
    there.objects["Service", "libra-mine"] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "libra-mine",
            "namespace": "default",
            "uid": "theirs",
            "labels": dict(there.objects["Service", "libra-asr"]["metadata"]["labels"]),
        },
    }

    assert to_do(there) == []


def test_a_secret_that_changes_restarts_who_reads_it_and_nobody_else() -> None:
    there = cluster(asr={"authSecretRef": {"name": "vault", "key": "asr"}})
    there.secrets["vault", "asr"] = b"one"
    there.secrets["vault", "other"] = b"one"
    there.settle()
    before = there.objects["Deployment", "libra-asr"]
    there.secrets["vault", "other"] = b"two"
    assert to_do(there) == []
    there.secrets["vault", "asr"] = b"two"

    assert to_do(there) == ["apply Deployment/libra-asr"]
    there.settle()
    assert list(changed(before, there.objects["Deployment", "libra-asr"])) == [
        "metadata.annotations.parley.dev/applied",
        "spec.template.metadata.annotations.parley.dev/reads",
    ]


def test_every_child_says_whose_it_is() -> None:
    for (kind, name), each in settled().objects.items():
        assert each["metadata"]["ownerReferences"][0]["uid"] == UID, (kind, name)
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "libra"
