"""What an assistant's status says: of readiness, of causes before effects, and of when anything changed."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from parley_contract.resource.status import CONDITION_TYPES, Status
from parley_operator.pod_failures import Failure
from parley_operator.resources.objects import Object
from parley_operator.seen import Seen
from parley_operator.status import as_document, faulty, is_settled, news, status
from parley_testkit.first_plans import NOW
from parley_testkit.toy_cluster import ToyCluster

LATER = NOW + dt.timedelta(seconds=60)
AGENT: dict[str, Any] = {
    "sessions": 2,
    "streams": {"healthy": True, "problem": ""},
    "model": {"name": "smollm2:135m", "loaded": True, "size_bytes": 4 * 2**30, "vram_bytes": 4 * 2**30},
    "e2ft": {"p50_ms": 410.4, "p95_ms": 900.6, "turns": 40},
}
ON_CARD = {"gpu": {"sharing": "shared"}, "asr": {"device": "auto"}, "llm": {"device": "auto"}}


def running(**spec: object) -> ToyCluster:
    """An assistant all of whose pods are ready."""
    there = cluster(**spec)
    there.settle()
    for each in (*there.of_kind("Deployment").values(), *there.of_kind("StatefulSet").values()):
        each["status"] = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
    return there


def cluster(**spec: object) -> ToyCluster:
    return ToyCluster({"metadata": {"name": "libra"}, "spec": {"profile": "laptop", **spec}})


def pods(there: ToyCluster, node: str = "node-1") -> tuple[Object, ...]:
    return tuple(
        {
            "kind": "Pod",
            "metadata": {"name": f"{name}-x", "labels": each["spec"]["template"]["metadata"]["labels"]},
            "spec": {"nodeName": node},
            "status": {"phase": "Running"},
        }
        for name, each in there.of_kind("Deployment").items()
    )


def seen(there: ToyCluster, *failures: Failure, agent: dict[str, Any] | None = None, on: str = "node-1") -> Seen:
    return Seen(
        judgement=there.judgement(),
        context=there.plan().context,
        children=tuple(there.objects.values()),
        pods=pods(there, on),
        failures=failures,
        agent=agent,
    )


def told(current: Status) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in current.conditions}


def message(current: Status, kind: str) -> str:
    return next(each.message for each in current.conditions if each.type == kind)


def failure(component: str, reason: str, said: str = "this is why") -> Failure:
    return Failure(component=component, reason=reason, message=said)


def test_an_assistant_all_of_which_runs_is_ready() -> None:
    current = status(seen(running(), agent=AGENT), {}, NOW)

    assert current.phase == "Ready"
    assert told(current) == {
        "Ready": ("True", "Ready"),
        "Accepted": ("True", "Accepted"),
        "GPUScheduled": ("True", "NotNeeded"),
        "ModelsCached": ("True", "Cached"),
        "ASRReady": ("True", "Ready"),
        "LLMReady": ("True", "Ready"),
        "TTSReady": ("True", "Ready"),
        "GatewayConnected": ("True", "Ready"),
        "StreamsReady": ("True", "Ready"),
        "SLOMet": ("True", "Met"),
        "Progressing": ("False", "Settled"),
        "Degraded": ("False", "AsExpected"),
    }
    assert set(told(current)) == set(CONDITION_TYPES)


def test_what_the_agent_says_and_where_all_runs_is_shown() -> None:
    current = status(seen(running(), agent=AGENT), {}, NOW)

    assert (current.sessions, current.e2ft.p50_ms, current.e2ft.p95_ms, current.e2ft.turns) == (2, 410, 901, 40)
    assert current.effective.models == "tiny.en, smollm2:135m, en_US-joe-medium"
    assert (current.effective.nodes, current.effective.llm_device) == ("node-1", "cpu")
    assert current.components.asr is not None
    assert current.components.asr.ready
    assert (current.components.asr.node, current.components.asr.image) == (
        "node-1",
        "registry.example/parley/parley-asr:0.1.0",
    )
    assert current.vram is None


def test_an_agent_that_does_not_answer_takes_nothing_from_what_its_readiness_says() -> None:
    before = as_document(status(seen(running(), agent=AGENT), {}, NOW))

    current = status(seen(running()), before, LATER)

    assert told(current)["Ready"] == ("True", "Ready")
    assert (current.sessions, current.e2ft.p50_ms) == (2, 410)


def test_the_generations_are_the_judged_one_and_the_running_one() -> None:
    there = running()
    there.write({"profile": "laptop", "maxSessions": 0})

    current = status(seen(there, agent=AGENT), {}, NOW)

    assert (current.observed_generation, current.accepted_generation) == (2, 1)
    assert {each.observed_generation for each in current.conditions} == {2}
    assert told(current)["Accepted"] == ("False", "InvalidSpec")
    assert message(current, "Accepted") == "spec.maxSessions: expected `int` >= 1. Generation 1 goes on running"
    assert told(current)["Ready"] == ("True", "Ready")
    assert told(current)["Degraded"] == ("True", "OlderSpecRuns")
    assert current.phase == "Degraded"


def test_of_what_was_never_accepted_nothing_runs() -> None:
    current = status(seen(cluster(language="ko")), {}, NOW)

    assert current.phase == "Refused"
    assert told(current)["Ready"] == ("False", "NothingAccepted")
    assert told(current)["Accepted"] == ("False", "InvalidSpec")


def test_while_models_are_pulled_that_is_why_it_is_not_ready() -> None:
    there = cluster()
    there.do_all(there.plan().actions)

    current = status(seen(there), {}, NOW)

    assert current.phase == "PullingModels"
    assert told(current)["Ready"] == told(current)["ModelsCached"] == ("False", "Pulling")
    assert told(current)["Progressing"] == ("True", "Pulling")
    assert told(current)["ASRReady"] == ("False", "Pulling")
    assert "tiny.en" in message(current, "ASRReady")


def test_what_is_wrong_comes_before_what_takes_a_while() -> None:
    there = cluster()
    there.do_all(there.plan().actions)

    current = status(seen(there, failure("nats", "CrashLooping")), {}, NOW)

    assert told(current)["ModelsCached"] == ("False", "Pulling")
    assert told(current)["Ready"] == ("False", "CrashLooping")


def test_while_another_model_is_pulled_the_one_before_answers_and_nothing_else_is_said() -> None:
    there = running()
    there.write({"profile": "laptop", "llm": {"model": "qwen2.5:0.5b"}})
    there.do_all(there.plan().actions)

    current = status(seen(there, agent=AGENT), {}, NOW)

    assert (told(current)["Ready"], told(current)["ModelsCached"]) == (("True", "Ready"), ("False", "Pulling"))
    assert told(current)["Progressing"] == ("True", "Pulling")
    assert message(current, "LLMReady") == "agent is ready, and goes on with what it has until qwen2.5:0.5b is there"


def test_a_claim_that_is_not_there_is_asked_for() -> None:
    there = cluster(storage={"modelCache": {"existingClaim": "mine"}})
    there.do_all(there.plan().actions)

    current = status(seen(there), {}, NOW)

    assert told(current)["ModelsCached"] == ("False", "ClaimMissing")
    assert current.phase == "Pending"


@pytest.mark.parametrize(
    "component, condition",
    [
        ("asr", "ASRReady"),
        ("tts", "TTSReady"),
        ("ollama", "LLMReady"),
        ("agent", "LLMReady"),
        ("gateway", "GatewayConnected"),
        ("nats", "StreamsReady"),
    ],
)
def test_a_component_that_fails_says_why_and_takes_the_whole_with_it(component: str, condition: str) -> None:
    there = running()
    kind = "StatefulSet" if component == "nats" else "Deployment"
    there.objects[kind, f"libra-{component}"]["status"] = {"replicas": 1}

    current = status(seen(there, failure(component, "CrashLooping"), agent=AGENT), {}, NOW)

    assert told(current)[condition] == ("False", "CrashLooping")
    assert message(current, condition) == f"{component}: this is why"
    assert told(current)["Ready"] == ("False", "CrashLooping")
    assert told(current)["Progressing"] == ("False", "CrashLooping")
    assert current.phase == "Failing"
    parts = current.components
    assert getattr(parts, component).message == "this is why"


@pytest.mark.parametrize("kind, component", [("Deployment", "asr"), ("StatefulSet", "nats")])
def test_what_somebody_scaled_to_zero_is_not_said_to_be_starting(kind: str, component: str) -> None:
    there = running()
    there.objects[kind, f"libra-{component}"]["spec"]["replicas"] = 0
    there.objects[kind, f"libra-{component}"]["status"] = {}

    current = status(seen(there), {}, NOW)

    assert told(current)["Ready"] == ("False", "ScaledToZero")
    assert f"kubectl scale {kind.lower()} libra-{component} --replicas=1" in message(current, "Ready")
    assert current.phase == "Failing"


def test_what_may_pass_by_itself_is_pending_and_not_failing() -> None:
    there = running(**ON_CARD)
    there.objects["Deployment", "libra-asr"]["status"] = {"replicas": 1}

    current = status(seen(there, failure("asr", "InsufficientGPU"), on=""), {}, NOW)

    assert current.phase == "Pending"
    assert told(current)["GPUScheduled"] == ("False", "InsufficientGPU")
    assert told(current)["Ready"] == ("False", "InsufficientGPU")
    assert told(current)["Progressing"][0] == "True"


def test_on_a_card_the_node_and_the_memory_are_shown() -> None:
    current = status(seen(running(**ON_CARD), agent=AGENT), {}, NOW)

    assert told(current)["GPUScheduled"] == ("True", "Scheduled")
    assert message(current, "GPUScheduled") == "ollama and asr run on node-1"
    assert current.vram is not None
    assert (current.vram.node, current.vram.used_mi_b) == ("node-1", 4096)
    assert current.effective.asr_device == "gpu"


def test_a_model_that_spilled_off_the_card_is_a_shortcoming_and_not_a_failure() -> None:
    spilled = {**AGENT, "model": {**AGENT["model"], "vram_bytes": 2**30}}

    current = status(seen(running(**ON_CARD), agent=spilled), {}, NOW)

    assert told(current)["Ready"] == ("True", "Ready")
    assert told(current)["Degraded"] == ("True", "LLMPartiallyOffloaded")
    assert message(current, "Degraded").startswith("only 25 % of smollm2:135m")


@pytest.mark.parametrize(
    "changes, condition, reason",
    [
        ({"model": {"loaded": False}}, "LLMReady", "ModelNotLoaded"),
        ({"streams": {"healthy": False, "problem": "no AUDIO_IN"}}, "StreamsReady", "StreamsUnhealthy"),
    ],
)
def test_what_the_agent_lacks_is_not_ready(changes: dict[str, Any], condition: str, reason: str) -> None:
    current = status(seen(running(), agent={**AGENT, **changes}), {}, NOW)

    assert told(current)[condition] == ("False", reason)
    assert told(current)["Ready"] == ("False", reason)


DISCORD = {"doors": {"discord": {"tokenSecretRef": {"name": "bot", "key": "token"}}}}


@pytest.mark.parametrize(
    "said, reason",
    [
        ({"connected": False, "reason": "TokenRefused", "sentence": "Discord refuses the token"}, "TokenRefused"),
        ({"connected": False, "reason": "IntentsRefused", "sentence": "no intents"}, "IntentsRefused"),
        ({"connected": False, "reason": "OfANewerVersion", "sentence": "it is closed"}, "DiscordUnreachable"),
    ],
)
def test_what_keeps_the_gateway_from_discord_is_said_in_its_own_words(said: dict[str, Any], reason: str) -> None:
    there = cluster(**DISCORD)
    there.secrets["bot", "token"] = b"hush"
    there.settle()
    for each in (*there.of_kind("Deployment").values(), *there.of_kind("StatefulSet").values()):
        ready = 0 if each["metadata"]["name"].endswith("gateway") else 1
        each["status"] = {"replicas": 1, "readyReplicas": ready, "updatedReplicas": 1}

    current = status(seen(there, agent={**AGENT, "doors": {"discord": said}}), {}, NOW)

    assert told(current)["GatewayConnected"] == ("False", reason)
    assert message(current, "GatewayConnected") == f"Discord: {said['sentence']}"
    assert told(current)["Ready"] == ("False", reason)


@pytest.mark.parametrize("doors", [{}, {"discord": {"connected": True, "reason": "", "sentence": ""}}])
def test_a_gateway_that_is_on_discord_is_connected(doors: dict[str, Any]) -> None:
    there = cluster(**DISCORD)
    there.secrets["bot", "token"] = b"hush"
    there.settle()
    for each in (*there.of_kind("Deployment").values(), *there.of_kind("StatefulSet").values()):
        each["status"] = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}

    current = status(seen(there, agent={**AGENT, "doors": doors}), {}, NOW)

    assert told(current)["GatewayConnected"] == ("True", "Ready")


def test_what_was_said_of_a_door_that_is_gone_says_nothing() -> None:
    said = {"discord": {"connected": False, "reason": "TokenRefused", "sentence": "refused"}}

    current = status(seen(running(), agent={**AGENT, "doors": said}), {}, NOW)

    assert told(current)["GatewayConnected"] == ("True", "Ready")


@pytest.mark.parametrize(
    "p95_ms, turns, expected",
    [(900, 40, ("True", "Met")), (1501, 40, ("False", "Missed")), (9000, 4, ("Unknown", "TooFewTurns"))],
)
def test_a_missed_objective_is_a_condition_and_nothing_else(
    p95_ms: float, turns: int, expected: tuple[str, str]
) -> None:
    agent = {**AGENT, "e2ft": {"p50_ms": 400, "p95_ms": p95_ms, "turns": turns}}

    current = status(seen(running(), agent=agent), {}, NOW)

    assert told(current)["SLOMet"] == expected
    assert current.phase == "Ready"


@pytest.mark.parametrize("tls, url", [({}, "ws://"), ({"tlsSecretRef": {"name": "libra-tls"}}, "wss://")])
def test_where_the_web_door_is_reached_from_outside_is_said(tls: dict[str, Any], url: str) -> None:
    door = {"web": {"ingress": {"host": "libra.example", **tls}}}

    current = status(seen(running(doors=door), agent=AGENT), {}, NOW)

    assert message(current, "GatewayConnected") == f"gateway is ready: {url}libra.example/v1/talk"


def test_a_suspended_assistant_says_so_everywhere_and_keeps_its_models() -> None:
    there = running()
    there.write({"profile": "laptop", "suspend": True})
    there.settle()

    current = status(seen(there), {}, NOW)

    assert current.phase == "Suspended"
    assert told(current)["Ready"] == told(current)["ASRReady"] == ("False", "Suspended")
    assert told(current)["ModelsCached"] == ("True", "Cached")


def test_an_ollama_and_a_broker_of_the_owners_are_no_components() -> None:
    current = status(seen(running(llm={"externalUrl": "http://there:11434"}), agent=AGENT), {}, NOW)

    assert current.components.ollama is None
    assert told(current)["LLMReady"] == ("True", "Ready")
    assert current.effective.llm_device == "external"


@pytest.mark.parametrize("counts", [{"updatedReplicas": 0}, {"replicas": 2, "updatedReplicas": 1}])
def test_new_pods_that_take_the_place_of_old_ones_are_progress_of_a_ready_assistant(counts: dict[str, int]) -> None:
    there = running()
    there.objects["Deployment", "libra-asr"]["status"] |= counts

    current = status(seen(there, agent=AGENT), {}, NOW)

    assert (told(current)["Ready"], told(current)["Progressing"]) == (("True", "Ready"), ("True", "RollingOut"))


def test_what_this_version_cannot_do_is_a_shortcoming_of_an_assistant_that_answers() -> None:
    whole = seen(running(), agent=AGENT)
    noted = msgspec.structs.replace(whole.judgement, notes=("spec.doors.fax: not there yet",))

    current = status(msgspec.structs.replace(whole, judgement=noted), {}, NOW)

    assert (told(current)["Ready"], told(current)["Degraded"]) == (("True", "Ready"), ("True", "NotSupportedYet"))
    assert message(current, "Degraded") == "spec.doors.fax: not there yet"
    assert current.phase == "Degraded"


def test_who_waits_for_new_images_says_for_whom_and_goes_on_answering() -> None:
    waiting = msgspec.structs.replace(seen(running(), agent=AGENT), waits_for="home/lyra")

    current = status(waiting, {}, NOW)

    assert (told(current)["Ready"], told(current)["Progressing"]) == (("True", "Ready"), ("True", "UpgradeWaiting"))
    assert message(current, "Progressing") == "new images wait until home/lyra is ready with them"
    assert is_settled(status(seen(running(), agent=AGENT), {}, NOW))
    assert not is_settled(current)


def test_what_keeps_the_operator_from_looking_is_said_beside_what_it_knew() -> None:
    before = as_document(status(seen(running(), agent=AGENT), {}, NOW))

    current = faulty(before, "a Secret is somebody else's", LATER)

    conditions = {each["type"]: each for each in current["conditions"]}
    assert (current["phase"], current["components"]) == ("Degraded", before["components"])
    assert conditions["Ready"] == before["conditions"][0]
    assert (conditions["Degraded"]["status"], conditions["Degraded"]["reason"]) == ("True", "LookFailed")
    assert conditions["Degraded"]["lastTransitionTime"] == "2026-01-02T03:05:05Z"
    assert faulty(current, "a Secret is somebody else's", LATER + dt.timedelta(seconds=60)) == current


def test_of_an_assistant_that_was_never_looked_at_it_is_said_that_it_is_not_ready() -> None:
    current = faulty({}, "no right", NOW)

    assert current["phase"] == "Failing"
    assert {each["type"]: each["status"] for each in current["conditions"]} == {"Degraded": "True", "Ready": "False"}


# --- Time and news ---------------------------------------------------------------------------------------------------


def test_times_change_only_with_what_they_are_of() -> None:
    there = running()
    before = as_document(status(seen(there, agent=AGENT), {}, NOW))
    there.objects["Deployment", "libra-asr"]["status"] = {"replicas": 1}

    current = status(seen(there, failure("asr", "CrashLooping"), agent=AGENT), before, LATER)

    moved = {each.type for each in current.conditions if each.last_transition_time == "2026-01-02T03:05:05Z"}
    assert moved == {"Ready", "ASRReady", "Degraded"}
    assert {each.last_transition_time for each in current.conditions} - {"2026-01-02T03:05:05Z"} == {
        "2026-01-02T03:04:05Z"
    }


def test_another_reason_for_the_same_is_no_transition() -> None:
    there = running()
    there.objects["Deployment", "libra-asr"]["status"] = {"replicas": 1}
    before = as_document(status(seen(there, failure("asr", "CrashLooping")), {}, NOW))

    current = status(seen(there, failure("asr", "OutOfMemory")), before, LATER)

    [asr] = [each for each in current.conditions if each.type == "ASRReady"]
    assert (asr.reason, asr.last_transition_time) == ("OutOfMemory", "2026-01-02T03:04:05Z")


def test_the_same_seen_again_is_the_same_status() -> None:
    there = running()
    before = as_document(status(seen(there, agent=AGENT), {}, NOW))

    assert as_document(status(seen(there, agent=AGENT), before, LATER)) == before


def test_trouble_and_its_end_are_news_once_each() -> None:
    there = running()
    good = status(seen(there, agent=AGENT), {}, NOW)
    there.objects["Deployment", "libra-asr"]["status"] = {"replicas": 1}
    bad = status(seen(there, failure("asr", "CrashLooping"), agent=AGENT), as_document(good), NOW)
    there.objects["Deployment", "libra-asr"]["status"] = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}

    trouble = news(as_document(good), bad)
    relief = news(as_document(bad), status(seen(there, agent=AGENT), as_document(bad), NOW))

    # The whole is not ready and degraded for the same reason: said once.
    assert [(each.is_warning, each.reason, each.message) for each in trouble] == [
        (True, "CrashLooping", "asr: this is why")
    ]
    assert [(each.is_warning, each.reason) for each in relief] == [
        (False, "ASRReady"),
        (False, "Ready"),
        (False, "AsExpected"),
    ]
    assert news(as_document(bad), bad) == ()


def test_a_start_is_told_by_what_becomes_true_and_not_by_what_is_not_yet() -> None:
    there = cluster()
    there.do_all(there.plan().actions)

    first = news({}, status(seen(there), {}, NOW))

    assert {(each.is_warning, each.reason) for each in first} == {(False, "Accepted")}


def test_of_parts_that_come_up_as_they_should_nothing_is_said_but_of_the_whole() -> None:
    there = cluster()
    there.do_all(there.plan().actions)
    begun = as_document(status(seen(there), {}, NOW))

    up = news(begun, status(seen(running(), agent=AGENT), begun, LATER))

    assert [(each.is_warning, each.reason) for each in up] == [(False, "ModelsCached"), (False, "Ready")]


def test_a_status_as_it_is_applied_holds_nothing_empty() -> None:
    def has_nothing(value: object) -> bool:
        if isinstance(value, dict):
            return any(has_nothing(inner) for inner in value.values())
        return any(map(has_nothing, value)) if isinstance(value, list) else value is None or value == ""

    assert not has_nothing(as_document(status(seen(running()), {}, NOW)))
