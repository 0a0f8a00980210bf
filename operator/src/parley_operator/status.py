"""The status of an assistant, whole, from what was seen of it. Pure: the time is passed in, the last status too.

Whoever writes it compares first: a status that says the same is not written again.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from parley_contract.resource.status import (
    ComponentStatus,
    ComponentStatuses,
    Condition,
    ConditionType,
    E2ft,
    Effective,
    Phase,
    Status,
    VramStatus,
)
from parley_operator import reasons
from parley_operator.conditions import Statement, no, statements, yes
from parley_operator.seen import Seen, node_of

_MESSAGE_CHARS: Final = 4096
"""What the schema takes."""
_WORDS: Final = {True: "True", False: "False", None: "Unknown"}


class News(msgspec.Struct, frozen=True, kw_only=True):
    """An event to post on the assistant: something became so."""

    is_warning: bool
    reason: str
    """The condition's name where it became true, its reason where it did not."""
    message: str


def status(seen: Seen, previous: Mapping[str, Any], now: dt.datetime) -> Status:
    """Say how an assistant fares.

    Args:
        seen: what was seen.
        previous: the status as it is on the cluster; empty for none.
        now: wall clock, with a time zone.
    """
    told = statements(seen)
    return Status(
        observed_generation=seen.judgement.observed_generation,
        accepted_generation=seen.judgement.generation,
        phase=_phase(seen, told),
        conditions=_conditions(told, seen.judgement.observed_generation, previous, now),
        components=_components(seen),
        vram=_vram(seen),
        effective=_effective(seen),
        sessions=_sessions(seen, previous),
        e2ft=_e2ft(seen, previous),
    )


def news(previous: Mapping[str, Any], current: Status) -> tuple[News, ...]:
    """Return what to post: each change once, so that a look that sees the same says nothing.

    Trouble is news, and so is its end; what merely takes a while is neither, so of a part that comes up as it should
    nothing is said, only of the whole. Progress is no event of its own, and an objective is met or missed too often for
    one. What the whole lacks only because a part does is said of the part.
    """
    before = {each.get("type"): (each.get("status"), each.get("reason")) for each in previous.get("conditions") or []}
    found: list[News] = []
    for condition in sorted(current.conditions, key=lambda each: each.type in _WHOLE):
        if condition.type in {"Progressing", "SLOMet"} or condition.status == "Unknown":
            continue
        was, now = before.get(condition.type), (condition.status, condition.reason)
        if (condition.status == "True") == (condition.type != "Degraded"):
            is_over = was is not None and was[0] != condition.status and was[1] not in _QUIET
            is_reached = condition.type in _MILESTONES and (was is None or was[0] != condition.status)
            if is_over or is_reached:
                reason = condition.type if condition.status == "True" else condition.reason
                found.append(News(is_warning=False, reason=reason, message=condition.message))
        elif was != now and condition.reason not in _QUIET:
            is_told = condition.type in _WHOLE and condition.reason in {each.reason for each in found}
            if not is_told and condition.message not in {each.message for each in found}:
                found.append(News(is_warning=True, reason=condition.reason, message=condition.message))
    return tuple(found)


_WHOLE: Final[frozenset[ConditionType]] = frozenset({"Ready", "Degraded"})
"""Conditions that say of the whole what others say of parts."""
_MILESTONES: Final[frozenset[ConditionType]] = frozenset({"Accepted", "ModelsCached", "Ready"})
"""What everybody waits for."""
_QUIET: Final = frozenset(
    {
        reasons.STARTING,
        reasons.PULLING,
        reasons.WAITING,
        reasons.VOLUME_PENDING,
        reasons.SUSPENDED,
        reasons.NOTHING_ACCEPTED,
    }
)


def faulty(previous: Mapping[str, Any], said: str, now: dt.datetime) -> dict[str, Any]:
    """Return a status as it was, to be applied, with what keeps the operator from finding out more.

    Args:
        previous: the status as it is on the cluster; empty for none.
        said: what keeps it.
        now: wall clock, with a time zone.
    """
    before = {each["type"]: each for each in previous.get("conditions") or []}
    told: dict[ConditionType, Statement] = {"Degraded": yes(reasons.LOOK_FAILED, said)}
    if "Ready" not in before:
        told["Ready"] = no(reasons.LOOK_FAILED, said)
    generation = int(previous.get("observedGeneration") or 0)
    new = {each.type: msgspec.to_builtins(each) for each in _conditions(told, generation, previous, now)}
    phase = previous.get("phase") or "Failing"
    return {
        **previous,
        "phase": "Degraded" if phase == "Ready" else phase,
        "conditions": list({**before, **new}.values()),
    }


def is_settled(current: Status) -> bool:
    """Whether an assistant is ready, and nothing is on its way."""
    words = {each.type: each.status for each in current.conditions}
    return words["Ready"] == "True" and words["Progressing"] == "False"


def as_document(current: Status) -> dict[str, Any]:
    """Return a status as it is applied: without what says nothing.

    To be applied on the server's side by its one writer, which removes what is missing here; merged, old words would
    stay.
    """
    made: dict[str, Any] = _without_nothing(msgspec.to_builtins(current))
    return made


def _without_nothing(value: Any) -> Any:  # noqa: ANN401  # any document
    if isinstance(value, dict):
        # An object without fields would become null where it had some before, which no schema takes.
        kept = {key: _without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", {})}
    return [_without_nothing(inner) for inner in value] if isinstance(value, list) else value


def _conditions(
    told: Mapping[ConditionType, Statement], generation: int, previous: Mapping[str, Any], now: dt.datetime
) -> list[Condition]:
    before = {each.get("type"): each for each in previous.get("conditions") or []}
    at = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for kind, statement in told.items():
        word = _WORDS[statement.status]
        was = before.get(kind, {})
        since = was.get("lastTransitionTime", at) if was.get("status") == word else at
        made.append(
            Condition(
                type=kind,
                status=word,  # type: ignore[arg-type]  # one of three words
                reason=statement.reason,
                message=statement.message[:_MESSAGE_CHARS],
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return made


def _phase(seen: Seen, told: Mapping[ConditionType, Statement]) -> Phase:
    if seen.context is None:
        return "Refused" if seen.judgement.refusals else "Pending"
    if seen.is_suspended:
        return "Suspended"
    if told["Ready"].status:
        return "Degraded" if told["Degraded"].status else "Ready"
    if any(not failure.may_pass for failure in seen.failures) or told["Ready"].reason == reasons.SCALED_TO_ZERO:
        return "Failing"
    if seen.failures or told["ModelsCached"].reason == reasons.CLAIM_MISSING:
        return "Pending"
    return "PullingModels" if seen.missing() else "Starting"


def _components(seen: Seen) -> ComponentStatuses:
    return ComponentStatuses(**{name: _component(seen, name) for name in seen.names()})


def _component(seen: Seen, name: str) -> ComponentStatus:
    workload = seen.workload(name) or {}
    containers = workload.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    failure = seen.failure_of(name)
    return ComponentStatus(
        ready=seen.is_ready(name),
        ready_replicas=int(workload.get("status", {}).get("readyReplicas") or 0),
        image=str(containers[0].get("image", "")),
        node=node_of(seen.pods, name),
        message=failure.message if failure else "",
    )


def _vram(seen: Seen) -> VramStatus | None:
    if seen.context is None or not seen.context.uses_gpu:
        return None
    used = ((seen.agent or {}).get("model") or {}).get("vram_bytes")
    node = next((node_of(seen.pods, part.name) for part in seen.context.components if part.uses_gpu), "")
    return VramStatus(node=node, used_mi_b=None if used is None else int(used) // 2**20)


def _effective(seen: Seen) -> Effective:
    if seen.context is None:
        return Effective()
    spec, parts = seen.context.assistant.spec, seen.context.all_components
    nodes = sorted({node for name in seen.names() if (node := node_of(seen.pods, name))})
    voice = spec.tts.voice or spec.language
    return Effective(
        asr_model=spec.asr.model,
        compute_type=spec.asr.compute_type,
        asr_device="gpu" if parts["asr"].uses_gpu else "cpu",
        llm_model=spec.llm.model,
        llm_device="external" if spec.llm.external_url else "gpu" if parts["ollama"].uses_gpu else "cpu",
        tts_engine=spec.tts.engine,
        tts_voice=voice,
        models=f"{spec.asr.model}, {spec.llm.model}, {voice}",
        nodes=", ".join(nodes),
    )


def _sessions(seen: Seen, previous: Mapping[str, Any]) -> int:
    """Return what the agent counts; what it said last, where it was not asked; none where nothing runs."""
    if seen.agent is not None:
        return int(seen.agent.get("sessions") or 0)
    return int(previous.get("sessions") or 0) if seen.is_ready("agent") else 0


def _e2ft(seen: Seen, previous: Mapping[str, Any]) -> E2ft:
    if seen.agent is None:
        before = previous.get("e2ft") or {}
        return E2ft(p50_ms=before.get("p50Ms"), p95_ms=before.get("p95Ms"), turns=int(before.get("turns") or 0))
    told = seen.agent.get("e2ft") or {}
    return E2ft(
        p50_ms=_rounded(told.get("p50_ms")), p95_ms=_rounded(told.get("p95_ms")), turns=int(told.get("turns") or 0)
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
