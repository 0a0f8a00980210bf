"""What is true of an assistant now: one statement per condition, from its children and from what its agent says. Pure.

`status` gives these statements their times and puts them into the resource.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from parley_contract.components import ComponentName, ModelNeed
from parley_contract.resource.status import ConditionType
from parley_operator import reasons
from parley_operator.judgement import Judgement
from parley_operator.resources.objects import PULL, Context, Object
from parley_operator.seen import Seen, node_of
from parley_operator.shortcomings import shortcomings

_FEW_TURNS: Final = 5
"""Of fewer turns nobody says whether the objective is met."""
_ON_ITS_WAY: Final = frozenset({reasons.PULLING, reasons.STARTING, reasons.VOLUME_PENDING})
_GPU_REASONS: Final = frozenset(
    {reasons.INSUFFICIENT_GPU, reasons.RUNTIME_CLASS_MISSING, reasons.UNSCHEDULABLE, reasons.ADMISSION_FAILED}
)

_DISCORD_REASONS: Final = frozenset({reasons.TOKEN_REFUSED, reasons.INTENTS_REFUSED, reasons.PERMISSIONS_MISSING})
"""What a gateway says of Discord, word for word, beside that it cannot be reached."""


class Statement(NamedTuple):
    """What a condition says."""

    status: bool | None
    """None where it cannot be known."""
    reason: str
    message: str


def yes(reason: str, message: str) -> Statement:
    """Say that it holds."""
    return Statement(status=True, reason=reason, message=message)


def no(reason: str, message: str) -> Statement:
    """Say that it does not."""
    return Statement(status=False, reason=reason, message=message)


def unknown(reason: str, message: str) -> Statement:
    """Say that it cannot be known."""
    return Statement(status=None, reason=reason, message=message)


def statements(seen: Seen) -> dict[ConditionType, Statement]:
    """Return what is true now, of every condition, in the order in which a reader asks."""
    accepted = _accepted(seen.judgement)
    if seen.context is None:
        nothing = no(reasons.NOTHING_ACCEPTED, "nothing runs: see Accepted")
        return {"Ready": nothing, "Accepted": accepted, "Progressing": nothing, "Degraded": _degraded(seen)}
    parts: dict[ConditionType, Statement] = {
        "Accepted": accepted,
        "GPUScheduled": _gpu(seen, seen.context),
        "ModelsCached": _models(seen, seen.context),
        "ASRReady": _component(seen, "asr"),
        "LLMReady": _llm(seen),
        "TTSReady": _component(seen, "tts"),
        "GatewayConnected": _gateway(seen, seen.context),
        "StreamsReady": _streams(seen),
        "SLOMet": _slo(seen, seen.context),
    }
    ready = _ready(seen, parts)
    return {"Ready": ready, **parts, "Progressing": _progressing(seen, ready), "Degraded": _degraded(seen)}


def _accepted(judgement: Judgement) -> Statement:
    if not judgement.refusals:
        return yes(reasons.ACCEPTED, "what was written holds")
    said = "; ".join(refusal.message for refusal in judgement.refusals)
    runs = f". Generation {judgement.generation} goes on running" if judgement.assistant else ""
    return no(judgement.refusals[0].reason, f"{said}{runs}")


def _suspended() -> Statement:
    return no(reasons.SUSPENDED, "the assistant is suspended: set suspend to false")


def _component(seen: Seen, name: ComponentName) -> Statement:
    if seen.is_suspended:
        return _suspended()
    missing = seen.missing(name)
    if seen.is_ready(name):
        until = f", and goes on with what it has until {_are(missing)} there" if missing else ""
        return yes(reasons.READY, f"{name} is ready{until}")
    if failure := seen.failure_of(name):
        return no(failure.reason, f"{name}: {failure.message}")
    workload = seen.workload(name)
    if workload is not None and workload.get("spec", {}).get("replicas") == 0:
        what = f"{workload['kind'].lower()} {workload['metadata']['name']}"
        advice = f"kubectl scale {what} --replicas=1, and look who did it (an autoscaler?)"
        return no(reasons.SCALED_TO_ZERO, f"{name} was scaled to zero: {advice}")
    if missing:
        return no(reasons.PULLING, f"{name} starts when {_are(missing)} there: see ModelsCached")
    return no(reasons.STARTING, f"{name} is starting: {_not_ready(seen, name)}")


def _not_ready(seen: Seen, name: ComponentName) -> str:
    workload = seen.workload(name)
    if workload is None:
        return "nothing of it is there yet"
    status = workload.get("status", {})
    return f"{status.get('readyReplicas') or 0} of {status.get('replicas') or 0} pods are ready"


def _gpu(seen: Seen, context: Context) -> Statement:
    users = [component.name for component in context.components if component.uses_gpu]
    if not users:
        return yes(reasons.NOT_NEEDED, "no pod computes on a card")
    if seen.is_suspended:
        return unknown(reasons.SUSPENDED, "no pod runs")
    nodes = {name: node_of(seen.pods, name) for name in users}
    if all(nodes.values()):
        where = ", ".join(sorted(set(nodes.values())))
        return yes(reasons.SCHEDULED, f"{' and '.join(users)} run on {where}")
    for failure in seen.failures:
        if failure.component in {*users, PULL} and failure.reason in _GPU_REASONS:
            return no(failure.reason, f"{failure.component}: {failure.message}")
    return unknown(reasons.WAITING, f"no node has {' and '.join(name for name in users if not nodes[name])} yet")


def _models(seen: Seen, context: Context) -> Statement:
    claim = context.assistant.spec.storage.model_cache.existing_claim
    if not context.needs():
        return yes(reasons.NOT_NEEDED, "it needs no models")
    if claim and context.claim is None:
        advice = f"there is no PersistentVolumeClaim {claim}: create it, or leave existingClaim out"
        return no(reasons.CLAIM_MISSING, f"spec.storage.modelCache.existingClaim: {advice}")
    missing = seen.missing()
    if not missing:
        return yes(reasons.CACHED, f"{_are(context.needs())} on the volume")
    if failure := seen.failure_of(PULL, "models"):
        return no(failure.reason, failure.message)
    if seen.is_suspended:
        return no(reasons.SUSPENDED, f"{_names(missing)} will be pulled when it is no longer suspended")
    return no(reasons.PULLING, f"pulling {_names(missing)}: see kubectl get jobs")


def _llm(seen: Seen) -> Statement:
    """The model's server, and the agent, whose readiness says that the model is loaded."""
    agent = _agent_after(seen, "ollama")
    if not agent.status:
        return agent
    model = (seen.agent or {}).get("model") or {}
    if seen.agent is not None and not model.get("loaded"):
        return no(reasons.MODEL_NOT_LOADED, f"{seen.llm_name} is not loaded: see the logs of Ollama")
    return agent if seen.missing("agent") else yes(reasons.READY, f"{seen.llm_name} is loaded")


def _agent_after(seen: Seen, server: str) -> Statement:
    """Say how the agent fares; or the server that it needs, if that is ours and not ready."""
    if server in seen.names():
        needed = _component(seen, server)
        if not needed.status:
            return needed
    return _component(seen, "agent")


def _gateway(seen: Seen, context: Context) -> Statement:
    """The gateway: what it says of Discord, which makes it not ready, and where it is reached from outside."""
    gateway = _component(seen, "gateway")
    told = ((seen.agent or {}).get("doors") or {}).get("discord") or {}
    doors = context.assistant.spec.doors
    if not doors.discord or not told or told.get("connected") or seen.is_suspended or seen.failure_of("gateway"):
        ingress = doors.web.ingress
        return yes(gateway.reason, f"{gateway.message}: {ingress.url}") if gateway.status and ingress else gateway
    reason, sentence = str(told.get("reason")), str(told.get("sentence"))
    known = reason if reason in _DISCORD_REASONS else reasons.DISCORD_UNREACHABLE
    return no(known, f"Discord: {sentence}")


def _streams(seen: Seen) -> Statement:
    agent = _agent_after(seen, "nats")
    if not agent.status:
        return agent
    streams = (seen.agent or {}).get("streams") or {}
    if seen.agent is not None and not streams.get("healthy"):
        return no(reasons.STREAMS_UNHEALTHY, str(streams.get("problem") or "the agent repairs them"))
    return yes(reasons.READY, "the streams are there")


def _slo(seen: Seen, context: Context) -> Statement:
    aim_ms = context.assistant.spec.slo.e2ft_ms
    e2ft = (seen.agent or {}).get("e2ft") or {}
    turns, p95_ms = int(e2ft.get("turns") or 0), e2ft.get("p95_ms")
    if turns < _FEW_TURNS or p95_ms is None:
        return unknown(reasons.TOO_FEW_TURNS, f"{turns} turns say too little")
    said = f"of the latest {turns} turns 95 in 100 had an E2FT of {p95_ms:.0f} ms or less; the aim is {aim_ms} ms"
    if p95_ms <= aim_ms:
        return yes(reasons.MET, said)
    return no(reasons.MISSED, f"{said}: see parley trace, or choose the profile lowLatency")


def _ready(seen: Seen, parts: Mapping[ConditionType, Statement]) -> Statement:
    if seen.is_suspended:
        return _suspended()
    needed: Sequence[ConditionType] = ("ASRReady", "LLMReady", "TTSReady", "GatewayConnected", "StreamsReady")
    # A cause before its effects: what waits for models or a card says so in its own words.
    causes: Sequence[ConditionType] = ("ModelsCached", "GPUScheduled")
    if all(parts[kind].status for kind in needed):
        return yes(reasons.READY, "it hears, thinks and speaks")
    lacking = [parts[kind] for kind in (*causes, *needed) if parts[kind].status is False]
    # What merely takes a while is no answer where something is wrong.
    return min(lacking, key=lambda part: part.reason in _ON_ITS_WAY, default=no(reasons.STARTING, "it is starting"))


def _progressing(seen: Seen, ready: Statement) -> Statement:
    if seen.is_suspended:
        return _suspended()
    rolling = [name for name in seen.names() if _is_rolling(seen.workload(name))]
    lasting = next((failure for failure in seen.failures if not failure.may_pass), None)
    missing = seen.missing()
    if seen.waits_for:
        return yes(reasons.UPGRADE_WAITING, f"new images wait until {seen.waits_for} is ready with them")
    if ready.status and not rolling and not missing:
        return no(reasons.SETTLED, "everything is as it should be")
    if lasting is not None:
        return no(lasting.reason, f"{lasting.component}: {lasting.message}")
    if missing:
        return yes(reasons.PULLING, f"pulling {_names(missing)}")
    if ready.status:
        return yes(reasons.ROLLING_OUT, f"{', '.join(rolling)}: new pods take the place of old ones")
    return yes(reasons.STARTING, "it is starting")


def _is_rolling(workload: Object | None) -> bool:
    """Whether not all pods are of the newest template yet: old ones stay until new ones are ready."""
    if workload is None:
        return True
    status, wanted = workload.get("status", {}), workload.get("spec", {}).get("replicas", 1)
    is_seen = int(status.get("observedGeneration") or 0) >= int(workload["metadata"].get("generation") or 0)
    there, updated = int(status.get("replicas") or 0), int(status.get("updatedReplicas") or 0)
    return not is_seen or updated < wanted or updated < there


def _degraded(seen: Seen) -> Statement:
    """Whatever is less than it could be, although the assistant may well answer."""
    found = list(shortcomings(seen))
    if not found:
        return no(reasons.AS_EXPECTED, "nothing is less than it could be")
    return yes(found[0][0], "; ".join(message for _, message in found))


def _are(needs: Sequence[ModelNeed]) -> str:
    return f"{_names(needs)} {'is' if len(needs) == 1 else 'are'}"


def _names(needs: Sequence[ModelNeed]) -> str:
    return ", ".join(need.name for need in needs)
