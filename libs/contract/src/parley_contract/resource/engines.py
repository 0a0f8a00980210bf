"""Who hears, thinks and speaks, and the services around them."""

from typing import Annotated, Literal

import msgspec

from parley_contract.resource.parts import HttpUrl, MebiBytes, Part, Resources, SecretKeyRef, Text

Device = Literal["auto", "cpu", "cuda"]
OllamaName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=253)]
Replicas = Annotated[int, msgspec.Meta(ge=1, le=16)]


class Asr(Part, frozen=True, kw_only=True):
    """Speech recognition."""

    model: Text
    """A Whisper model of the catalogue, such as small, medium or large-v3."""
    compute_type: Literal["int8", "int8_float16", "int8_float32", "float16", "float32"]
    """How the weights are held; fewer bits take less memory. A device that cannot do it takes the nearest it can."""
    beam_size: Annotated[int, msgspec.Meta(ge=1, le=10)]
    """Candidates that the decoder follows: more are slower and a little more accurate."""
    partial_interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)]
    """How often a running utterance is decoded again."""
    encoder_window_s: Annotated[float, msgspec.Meta(ge=8, le=30)]
    """What one pass of the encoder sees; below 8 s Whisper loops (measured), 30 s is the safe mode."""
    device: Device
    """Where it computes; `auto` takes the card where `gpu.sharing` gives it one."""
    cpu_threads: Annotated[int, msgspec.Meta(ge=1, le=64)]
    """CPU threads of one decoding."""
    window_overlap_ms: Annotated[int, msgspec.Meta(ge=0, le=15_000)] = 120
    """Overlap of successive encoder windows of a long utterance where no pause is found to cut at."""
    no_speech_threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.6
    """Above this probability of no speech the transcript is silence."""
    hotwords: Annotated[list[Text], msgspec.Meta(max_length=64)] = []
    """Names to listen for."""
    replicas: Replicas | None = None
    """How many pods; without a word one, and an autoscaler may change it."""
    auth_secret_ref: SecretKeyRef | None = None
    """Bearer token that callers of the transcription API must show."""
    resources: Resources = Resources()
    vram_mi_b: MebiBytes | None = msgspec.field(default=None, name="vramMiB")
    """What it takes on the card, in MiB, where the catalogue does not know better; not reckoned with yet."""

    def __post_init__(self) -> None:
        if self.window_overlap_ms >= self.encoder_window_s * 1000:
            raise ValueError("windowOverlapMs must be below encoderWindowS")


class Ollama(Part, frozen=True):
    """Settings of the language model's server."""

    max_loaded_models: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    """Models that it keeps in memory at once."""
    num_parallel: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """Requests that it works on at once; each takes a context of its own."""
    flash_attention: bool | None = None
    """Whether attention is computed in tiles, which takes less memory; without a word Ollama decides."""
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    """How the context is held; q8_0 halves it. Needs `flashAttention`."""


class Llm(Part, frozen=True, kw_only=True):
    """The language model."""

    model: OllamaName
    """A model as Ollama names it, such as qwen2.5:7b-instruct."""
    num_predict: Annotated[int, msgspec.Meta(ge=1, le=2048)]
    """Most tokens of one reply."""
    max_context_turns: Annotated[int, msgspec.Meta(ge=1, le=100)]
    """Most turns of history the model sees."""
    device: Device
    """Where it computes; `auto` takes the card where `gpu.sharing` gives it one."""
    num_ctx: Annotated[int, msgspec.Meta(ge=512, le=262_144)]
    """Tokens of context that it has room for."""
    num_thread: Annotated[int, msgspec.Meta(ge=1, le=128)] | None
    """CPU threads of the model; null leaves it to Ollama (`kubectl apply` sends a null only with `--server-side`)."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)]
    """How freely it chooses words; 0 always takes the likeliest."""
    keep_alive: Annotated[str, msgspec.Meta(pattern="^(-1|[0-9]+(s|m|h))$", max_length=16)] = "-1"
    """How long the model stays loaded without a question; -1 for ever, because a load costs the next turn seconds."""
    ollama: Ollama = Ollama()
    external_url: HttpUrl = ""
    """An Ollama that runs already; empty starts one for the assistant. No user and password: its client sends none, and
    everybody who may look at the resource would read them."""
    fallbacks: Annotated[list[OllamaName], msgspec.Meta(max_length=4)] = []
    """Models to take instead where the first does not fit or fails."""
    resources: Resources = Resources()
    vram_mi_b: MebiBytes | None = msgspec.field(default=None, name="vramMiB")
    """What it takes on the card, in MiB, where the catalogue does not know better; not reckoned with yet."""

    def __post_init__(self) -> None:
        if self.model in self.fallbacks:
            raise ValueError("fallbacks must not name the main model again")


class Tts(Part, frozen=True, kw_only=True):
    """The voice."""

    engine: Literal["piper", "espeak"]
    """Who speaks."""
    voice: Text
    """A voice of the model catalogue for piper, a language code for espeak."""
    speed: Annotated[float, msgspec.Meta(ge=0.5, le=2)] = 1.0
    """1 is the voice's own pace."""
    device: Device = "cpu"
    """Where it computes; a voice is quick enough on the CPU."""
    fallbacks: Annotated[list[Literal["piper", "espeak"]], msgspec.Meta(max_length=2)]
    """Who speaks a phrase that the engine could not."""
    resources: Resources = Resources()
    vram_mi_b: MebiBytes | None = msgspec.field(default=None, name="vramMiB")
    """What it takes on the card, in MiB, where the catalogue does not know better; not reckoned with yet."""

    def __post_init__(self) -> None:
        if self.engine in self.fallbacks:
            raise ValueError(f"fallbacks must not name the main engine {self.engine} again")


class Agent(Part, frozen=True):
    """The dialogue service."""

    replicas: Replicas | None = None
    """How many pods; without a word one, and an autoscaler may change it."""
    resources: Resources = Resources()


class Gateway(Part, frozen=True):
    """The doors' service."""

    resources: Resources = Resources()
