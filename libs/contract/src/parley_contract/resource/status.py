"""What the operator reports of an assistant: the `status` of the resource. Written by it alone, read by everybody."""

from typing import Annotated, Final, Literal, get_args

import msgspec

from parley_contract.resource.parts import MebiBytes, Part, Text

ConditionType = Literal[
    "Ready",
    "Accepted",
    "GPUScheduled",
    "ModelsCached",
    "ASRReady",
    "LLMReady",
    "TTSReady",
    "GatewayConnected",
    "StreamsReady",
    "SLOMet",
    "Progressing",
    "Degraded",
]
CONDITION_TYPES: Final[tuple[ConditionType, ...]] = get_args(ConditionType)

Phase = Literal["Pending", "Refused", "PullingModels", "Starting", "Failing", "Ready", "Degraded", "Suspended"]
"""One word for people; programs read conditions."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
LatencyMs = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
Generation = Annotated[int, msgspec.Meta(ge=0, le=9_007_199_254_740_991)]
Sentence = Annotated[str, msgspec.Meta(max_length=4096)]


class Condition(Part, frozen=True):
    """One statement about the assistant, as Kubernetes' own conditions are."""

    type: ConditionType
    """What it is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]+$", min_length=1, max_length=64)]
    """Why, in one word that programs may compare."""
    message: Sentence
    """Why, in words that say what to do."""
    last_transition_time: Annotated[str, msgspec.Meta(max_length=32, extra_json_schema={"format": "date-time"})]
    """When `status` last changed."""
    observed_generation: Generation = 0
    """Which generation of the spec it is about."""


class ComponentStatus(Part, frozen=True):
    """One part of the assistant."""

    ready: bool = False
    """Whether it can do its work."""
    ready_replicas: Count = 0
    """How many of its pods can."""
    image: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """What it runs."""
    node: Text = ""
    """Where it runs; of several pods the first."""
    message: Sentence = ""
    """What keeps it from its work."""


class ComponentStatuses(Part, frozen=True):
    """The parts of the assistant; one that the owner runs is missing here."""

    nats: ComponentStatus | None = None
    """The broker."""
    ollama: ComponentStatus | None = None
    """The language model's server."""
    asr: ComponentStatus | None = None
    """Speech recognition."""
    tts: ComponentStatus | None = None
    """The voice."""
    agent: ComponentStatus | None = None
    """The dialogue service."""
    gateway: ComponentStatus | None = None
    """The doors' service."""


class VramStatus(Part, frozen=True):
    """The card's memory."""

    node: Text = ""
    """Whose card."""
    planned_mi_b: MebiBytes | None = msgspec.field(default=None, name="plannedMiB")
    """What the models were reckoned to take, in MiB."""
    available_mi_b: MebiBytes | None = msgspec.field(default=None, name="availableMiB")
    """What there is for them, in MiB."""
    used_mi_b: MebiBytes | None = msgspec.field(default=None, name="usedMiB")
    """What the language model takes, as Ollama reports it, in MiB."""
    step: Text = ""
    """How far down the ladder `vramPolicy: Degrade` went; empty where nothing was given up."""


class Effective(Part, frozen=True):
    """What holds once profile and language are laid under what was written."""

    asr_model: Text = ""
    """The Whisper model."""
    compute_type: Text = ""
    """How its weights are held."""
    asr_device: Text = ""
    """Where it computes."""
    llm_model: Text = ""
    """The language model."""
    llm_device: Text = ""
    """Where it computes."""
    tts_engine: Text = ""
    """Who speaks."""
    tts_voice: Text = ""
    """With which voice."""
    models: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    """All of them in one line."""
    nodes: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    """Where the pods run, in one line."""


class E2ft(Part, frozen=True):
    """From the last voiced sample of the user to the first token of the reply."""

    p50_ms: LatencyMs | None = None
    """Half of the latest turns took no longer, in ms."""
    p95_ms: LatencyMs | None = None
    """95 of 100 took no longer, in ms."""
    turns: Count = 0
    """How many turns these are."""


class Status(Part, frozen=True):
    """What the operator last saw. `kubectl wait --for=condition=Ready va/NAME` waits for all of it."""

    observed_generation: Generation = 0
    """The generation of the spec that this is about."""
    accepted_generation: Generation = 0
    """The generation that runs: the last one that was accepted."""
    phase: Phase = "Pending"
    """One word for people; programs read conditions."""
    conditions: Annotated[
        list[Condition],
        msgspec.Meta(
            max_length=16, extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        ),
    ] = []
    """Statements about the assistant, each with a reason and what to do."""
    components: ComponentStatuses = ComponentStatuses()
    vram: VramStatus | None = None
    """The card's memory; missing where no card is used."""
    effective: Effective = Effective()
    sessions: Count = 0
    """Conversations at this moment."""
    e2ft: E2ft = E2ft()
