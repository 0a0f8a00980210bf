"""The VoiceAssistant: one typed model behind the CRD, the operator and `parley up`.

`load_manifest` is the way in: it lays what was written over the profile and the language's defaults and checks the
result. Fields that a profile or the language governs have no default here, so that a schema made of this model has
none either. Wire names are camelCase; bounds are the schema's bounds.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
import yaml

from parley_contract.errors import InvalidDocumentError
from parley_contract.profiles import LANGUAGES, PROFILES, Profile
from parley_contract.services import assistant_key
from parley_contract.validation import convert_all

API_VERSION: Final = "parley.dev/v1alpha1"
KIND: Final = "VoiceAssistant"

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40)]
Text = Annotated[str, msgspec.Meta(max_length=253)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
Device = Literal["auto", "cpu", "cuda"]
Resources = dict[Literal["requests", "limits"], dict[str, str]]


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the resource."""


class SecretKeyRef(_Part, frozen=True):
    """One key of a Secret in the assistant's namespace."""

    name: Text
    key: Text


class SecretRef(_Part, frozen=True):
    """A whole Secret in the assistant's namespace."""

    name: Text


class Persona(_Part, frozen=True):
    """Who the assistant is."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] = "Libra"
    system_prompt: Annotated[str, msgspec.Meta(max_length=8000)] = ""
    """Fixed text before every conversation; empty takes the language's own."""
    addressing: Literal["auto", "always", "name", "wakePhrase"] = "auto"
    """Which utterances are meant for the assistant; `auto` is all of them while one person is there."""
    wake_phrases: Annotated[list[Text], msgspec.Meta(max_length=16)] = []


class WebDoor(_Part, frozen=True):
    """The browser's way in: `/v1/talk` on port 8001."""

    enabled: bool = True
    auth_secret_ref: SecretKeyRef | None = None
    """Bearer token that clients must show."""


class DiscordDoor(_Part, frozen=True):
    """Discord's way in."""

    token_secret_ref: SecretKeyRef
    guild_ids: Annotated[list[Text], msgspec.Meta(max_length=64)] = []
    auto_join: Annotated[list[Text], msgspec.Meta(max_length=64)] = []
    text_channel: Text = ""
    leave_after_idle_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 300


class Doors(_Part, frozen=True):
    """Ways in; at least one is open."""

    web: WebDoor = WebDoor()
    discord: DiscordDoor | None = None

    def __post_init__(self) -> None:
        if not self.web.enabled and self.discord is None:
            raise ValueError("at least one door must be open: enable web or describe discord")


class Asr(_Part, frozen=True, kw_only=True):
    """Speech recognition."""

    model: Text
    compute_type: Literal["int8", "int8_float16", "int8_float32", "float16", "float32"]
    beam_size: Annotated[int, msgspec.Meta(ge=1, le=10)]
    partial_interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)]
    """How often a running utterance is decoded again."""
    encoder_window_s: Annotated[float, msgspec.Meta(ge=8, le=30)]
    """What one pass of the encoder sees; below 8 s Whisper loops (measured), 30 s is the safe mode."""
    device: Device
    cpu_threads: Annotated[int, msgspec.Meta(ge=1, le=64)]
    window_overlap_ms: Annotated[int, msgspec.Meta(ge=0, le=15_000)] = 120
    """Overlap of successive encoder windows of a long utterance where no pause is found to cut at."""
    no_speech_threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.6
    """Above this probability of no speech the transcript is silence."""
    hotwords: Annotated[list[Text], msgspec.Meta(max_length=64)] = []
    replicas: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    auth_secret_ref: SecretKeyRef | None = None
    """Bearer token that callers of the transcription API must show."""
    resources: Resources = {}
    vram_mi_b: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(default=None, name="vramMiB")

    def __post_init__(self) -> None:
        if self.window_overlap_ms >= self.encoder_window_s * 1000:
            raise ValueError("windowOverlapMs must be below encoderWindowS")


class BargeIn(_Part, frozen=True):
    """When speech over playback counts."""

    min_speech_ms: Milliseconds = 500
    resume_after_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 2.0


class Watchdog(_Part, frozen=True):
    """How long a person may wait before hearing something, and before an apology."""

    hold_after_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 4.0
    fail_after_s: Annotated[float, msgspec.Meta(ge=2, le=120)] = 12.0


Speculation = Literal["off", "asr", "llm", "tts"]
"""What is done before it is certain that somebody has finished: nothing, the transcript, the reply, its first sound."""


class TurnTaking(_Part, frozen=True):
    """When somebody has finished, and who speaks when."""

    endpoint_ms: Annotated[int, msgspec.Meta(ge=100, le=5000)] = 500
    """Silence after which the speaker has finished; with `smart`, where nothing speaks for less or more."""
    reopen_ms: Milliseconds = 1000
    """Who goes on within this of the endpoint had not finished: it makes up for a fast endpoint (decision 0011)."""
    min_speech_ms: Annotated[int, msgspec.Meta(ge=32, le=2000)] = 100
    """Shorter sounds are no speech; a plain yes has 200 ms."""
    max_utterance_s: Annotated[float, msgspec.Meta(ge=5, le=90)] = 30.0
    endpointing: Literal["silence", "smart"] = "smart"
    """`smart` also listens: to how the turn sounds, to its last words, and to the speaker's own pauses."""
    speculation: Speculation = "tts"
    barge_in: BargeIn = BargeIn()
    watchdog: Watchdog = Watchdog()


class Ollama(_Part, frozen=True):
    """Settings of the language model's server."""

    max_loaded_models: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    num_parallel: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    flash_attention: bool | None = None
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = None


class Llm(_Part, frozen=True, kw_only=True):
    """The language model."""

    model: Text
    num_predict: Annotated[int, msgspec.Meta(ge=1, le=2048)]
    """Most tokens of one reply."""
    max_context_turns: Annotated[int, msgspec.Meta(ge=1, le=100)]
    """Most turns of history the model sees."""
    device: Device
    num_ctx: Annotated[int, msgspec.Meta(ge=512, le=262_144)]
    num_thread: Annotated[int, msgspec.Meta(ge=1, le=128)] | None
    """CPU threads of the model; None leaves it to Ollama."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)]
    keep_alive: Annotated[str, msgspec.Meta(pattern="^(-1|[0-9]+(s|m|h))$")] = "-1"
    ollama: Ollama = Ollama()
    external_url: Annotated[str, msgspec.Meta(pattern="^(https?://.+)?$")] = ""
    """An Ollama that runs already; empty starts one for the assistant."""
    fallbacks: Annotated[list[Text], msgspec.Meta(max_length=4)] = []
    resources: Resources = {}
    vram_mi_b: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(default=None, name="vramMiB")

    def __post_init__(self) -> None:
        if self.model in self.fallbacks:
            raise ValueError("fallbacks must not name the main model again")


class Tts(_Part, frozen=True, kw_only=True):
    """The voice."""

    engine: Literal["sherpa", "espeak"]
    voice: Text
    """A voice of the model catalogue for sherpa, a language code for espeak."""
    speed: Annotated[float, msgspec.Meta(ge=0.5, le=2)] = 1.0
    device: Device = "cpu"
    fallbacks: Annotated[list[Literal["sherpa", "espeak"]], msgspec.Meta(max_length=2)]
    resources: Resources = {}
    vram_mi_b: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(default=None, name="vramMiB")

    def __post_init__(self) -> None:
        if self.engine in self.fallbacks:
            raise ValueError(f"fallbacks must not name the main engine {self.engine} again")


class Agent(_Part, frozen=True):
    """The dialogue service."""

    replicas: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    resources: Resources = {}


class Gateway(_Part, frozen=True):
    """The doors' service."""

    resources: Resources = {}


class Gpu(_Part, frozen=True, kw_only=True):
    """The card and how it is shared."""

    sharing: Literal["shared", "exclusive", "none"]
    resource_name: Text = "nvidia.com/gpu"
    runtime_class_name: Text = "nvidia"
    memory_mi_b: Annotated[int, msgspec.Meta(ge=1)] | None = msgspec.field(default=None, name="memoryMiB")
    reserved_mi_b: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(default=0, name="reservedMiB")
    vram_policy: Literal["Refuse", "Degrade", "Ignore"] = "Refuse"
    node_selector: dict[str, str] = {}
    tolerations: Annotated[list[dict[str, str | int]], msgspec.Meta(max_length=16)] = []


class ModelCache(_Part, frozen=True):
    """The volume that holds models."""

    size: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]*(Mi|Gi|Ti)$")] = "20Gi"
    storage_class_name: Text | None = None
    existing_claim: Text = ""
    deletion_policy: Literal["Delete", "Retain"] = "Delete"


class Storage(_Part, frozen=True):
    """Volumes."""

    model_cache: ModelCache = ModelCache()


class Nats(_Part, frozen=True):
    """The broker; empty gives the assistant its own."""

    url: Annotated[str, msgspec.Meta(pattern="^((nats|tls)://.+)?$")] = ""
    credentials_secret_ref: SecretRef | None = None
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1


class TelemetrySpec(_Part, frozen=True):
    """Where traces go and what they may hold."""

    otlp_endpoint: Annotated[str, msgspec.Meta(pattern="^(https?://.+)?$")] = ""
    sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    capture_text: bool = False
    keep_events_s: Annotated[int, msgspec.Meta(ge=0, le=2_592_000)] = 86_400


class Images(_Part, frozen=True):
    """Where the images come from."""

    registry: Text = ""
    tag: Text = ""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: Annotated[list[Text], msgspec.Meta(max_length=8)] = []


class Slo(_Part, frozen=True):
    """What the owner expects."""

    e2ft_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 1500


class Spec(_Part, frozen=True, kw_only=True):
    """What the owner wants."""

    profile: Profile = "balanced"
    language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")] = "en"
    persona: Persona = Persona()
    doors: Doors = Doors()
    max_sessions: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    asr: Asr
    turn_taking: TurnTaking = TurnTaking()
    llm: Llm
    tts: Tts
    agent: Agent = Agent()
    gateway: Gateway = Gateway()
    gpu: Gpu
    storage: Storage = Storage()
    nats: Nats = Nats()
    telemetry: TelemetrySpec = TelemetrySpec()
    images: Images = Images()
    slo: Slo = Slo()
    suspend: bool = False

    def __post_init__(self) -> None:
        model = self.asr.model
        if self.language != "en" and (model.endswith(".en") or model.startswith("distil-")):
            multilingual = "large-v3-turbo" if model.startswith("distil-") else model.removesuffix(".en")
            raise ValueError(
                f"asr.model {model} hears English only, and language is {self.language}: "
                f"name a multilingual model, such as {multilingual}"
            )
        watchdog = self.turn_taking.watchdog
        if watchdog.fail_after_s <= watchdog.hold_after_s:
            raise ValueError("turnTaking.watchdog.failAfterS must be above holdAfterS")


class Metadata(_Part, frozen=True):
    """The part of Kubernetes' metadata that means something to us."""

    name: Name
    namespace: Name = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class VoiceAssistant(_Part, frozen=True):
    """One assistant, with its profile laid under what was written."""

    api_version: Literal["parley.dev/v1alpha1"]
    kind: Literal["VoiceAssistant"]
    metadata: Metadata
    spec: Spec

    @property
    def key(self) -> str:
        """What stands for the assistant in subjects and stream names."""
        return assistant_key(self.metadata.namespace, self.metadata.name)


def load_manifest(text: str) -> VoiceAssistant:
    """Read a manifest.

    Raises:
        InvalidDocumentError: it is no YAML, or with every problem by path.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidDocumentError("the manifest is not YAML", str(error).splitlines()) from error
    except RecursionError:
        raise InvalidDocumentError("the manifest is not YAML", ["it is nested too deeply"]) from None
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # PyYAML lets through what Python says to a date without a month, or to a tag such as `!!int` before no number.
        raise InvalidDocumentError(
            "the manifest is not YAML", ["a value is not of the kind that it looks like: put quotes around dates"]
        ) from error
    if not isinstance(document, Mapping):
        raise InvalidDocumentError("the manifest has problems", ["it holds no fields; expected one VoiceAssistant"])
    return resolve(document)


def resolve(document: Mapping[str, object]) -> VoiceAssistant:
    """Lay a parsed manifest over its profile's and its language's defaults and check the result.

    Raises:
        InvalidDocumentError: with every problem by path.
    """
    spec = document.get("spec", {})
    written = spec if isinstance(spec, Mapping) else {}
    profile, language = written.get("profile", "balanced"), written.get("language", "en")
    layers = (
        LANGUAGES.get(language if isinstance(language, str) else "", LANGUAGES["other"]),
        PROFILES.get(profile if isinstance(profile, str) else "", PROFILES["balanced"]),
        written,
    )
    whole: dict[str, object] = {}
    for layer in layers:
        whole = _overlay(whole, layer)
    if isinstance(spec, Mapping):
        document = {**document, "spec": whole}
    return convert_all(document, VoiceAssistant, what="the VoiceAssistant has problems")


def _overlay(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        beneath = merged.get(key)
        merged[key] = _overlay(beneath, value) if isinstance(beneath, Mapping) and isinstance(value, Mapping) else value
    return merged
