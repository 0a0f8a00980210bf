"""What an assistant runs in: the card, volumes, the broker, telemetry, images."""

from typing import Annotated, Literal

import msgspec

from parley_contract.resource.parts import (
    HttpUrl,
    Labels,
    MebiBytes,
    NatsUrls,
    ObjectName,
    ObjectNameOrNone,
    Part,
    SecretRef,
    Text,
)

Registry = Annotated[
    str,
    msgspec.Meta(pattern="^([a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*)?$", max_length=200),
]
"""As image references have it: no scheme, and no slash at the end."""


class Toleration(Part, frozen=True):
    """A taint of nodes that the pods may ignore, as in a pod."""

    key: Text = ""
    """The taint's key; empty with `Exists` tolerates all."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value matters."""
    value: Text = ""
    """The taint's value."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Which effect; empty for all."""
    toleration_seconds: Annotated[int, msgspec.Meta(ge=0, le=86_400)] | None = None
    """How long a pod stays once the taint is there, with `NoExecute`; without a word for ever."""


class Gpu(Part, frozen=True, kw_only=True):
    """The card and how it is shared."""

    sharing: Literal["shared", "exclusive", "none"]
    """`shared` gives each pod that computes on the card one share, `exclusive` the card to the language model alone,
    `none` nobody."""
    resource_name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9.-]+/[A-Za-z0-9._-]+$", max_length=253)] = (
        "nvidia.com/gpu"
    )
    """What a share is called among a node's resources; with time slicing a card has several."""
    runtime_class_name: ObjectNameOrNone = "nvidia"
    """RuntimeClass of pods on the card; empty where the node's default runtime knows the card."""
    memory_mi_b: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] | None = msgspec.field(default=None, name="memoryMiB")
    """The card's memory in MiB, where the node's labels do not say it; not reckoned with yet."""
    reserved_mi_b: MebiBytes = msgspec.field(default=0, name="reservedMiB")
    """Memory in MiB that others use on the card; not reckoned with yet."""
    vram_policy: Literal["Refuse", "Degrade", "Ignore"] = "Refuse"
    """What happens if the models do not fit on the card: nothing is created, smaller ones are taken, or it is tried.
    Nothing is reckoned yet: it always is tried."""
    node_selector: Labels = {}
    """Labels of the nodes that pods on the card may run on."""
    tolerations: Annotated[list[Toleration], msgspec.Meta(max_length=16)] = []
    """Taints of nodes that pods on the card ignore."""


class ModelCache(Part, frozen=True):
    """The volume that holds models."""

    size: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]*(Mi|Gi|Ti)$", max_length=16)] = "20Gi"
    """How large it is; it can only grow."""
    storage_class_name: ObjectNameOrNone | None = None
    """StorageClass of the assistant's volumes; without a word the cluster's default. Cannot be changed."""
    existing_claim: ObjectNameOrNone = ""
    """A PersistentVolumeClaim of yours to use instead: it gets notes of what was pulled, and is never deleted."""
    deletion_policy: Literal["Delete", "Retain"] = "Delete"
    """Whether the volume goes with the assistant, or stays for one of the same name."""


class Storage(Part, frozen=True):
    """Volumes."""

    model_cache: ModelCache = ModelCache()


class Nats(Part, frozen=True):
    """The broker; empty gives the assistant its own."""

    url: NatsUrls = ""
    """A NATS with JetStream that runs already."""
    credentials_secret_ref: SecretRef | None = None
    """Secret with one `<service>.creds` per service: asr.creds, agent.creds, tts.creds, gateway.creds."""
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    """Copies of each stream, in a NATS of yours that has so many servers."""

    def __post_init__(self) -> None:
        if bool(self.url) != bool(self.credentials_secret_ref):
            raise ValueError("url and credentialsSecretRef go together: a NATS of yours, and what lets the services in")


class TelemetrySpec(Part, frozen=True):
    """Where traces go and what they may hold."""

    otlp_endpoint: HttpUrl = ""
    """Where traces and metrics go by OTLP over HTTP; empty sends nothing."""
    sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """Share of turns that are traced."""
    capture_text: bool = False
    """Whether traces may hold what was said."""
    keep_events_s: Annotated[int, msgspec.Meta(ge=0, le=2_592_000)] = 86_400
    """How long what was said is kept, in seconds; 0 purges it when the session ends."""


class Images(Part, frozen=True):
    """Where the images come from."""

    registry: Registry = ""
    """Registry and path before each image's name, as `registry.example/parley`; empty for the operator's own."""
    tag: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]*$", max_length=128)] = ""
    """Tag of our images; empty for the operator's version."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node pulls an image."""
    pull_secrets: Annotated[list[ObjectName], msgspec.Meta(max_length=8)] = []
    """Secrets with the registry's credentials."""


class Slo(Part, frozen=True):
    """What the owner expects."""

    e2ft_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 1500
    """From the last voiced sample of the user to the first token of the reply, in ms, for 95 of 100 turns."""
