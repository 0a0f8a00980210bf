"""From a spec to what runs: the pure function behind both runtimes.

`parley up` turns components into processes, the operator into manifests. Addresses, folders and secrets belong to
the runtime: a component names the variable, the runtime fills it.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from parley_contract.resource import DiscordDoor, SecretKeyRef, TurnTaking, VoiceAssistant
from parley_contract.services import PORTS, Service

ComponentName = Literal["nats", "ollama", "asr", "tts", "agent", "gateway"]

_SYSTEM_PROMPTS: Final = {
    "en": "You are a helpful AI assistant named {name}, who answers in short sentences.",
    "ko": "당신은 {name}, 친절한 음성 비서입니다. 한두 문장으로 짧게 대답하세요.",
}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A component talks to another; the runtime puts the address into `variable`."""

    to: ComponentName
    variable: str


class ModelNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A model that must be there before the component starts, by its name in the catalogue."""

    kind: Literal["asr", "llm", "voice", "vad", "turn"]
    name: str


class SecretNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A secret value that the runtime puts into `variable`, or into a file that `variable` names."""

    variable: str
    ref: SecretKeyRef
    is_file: bool = False


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that runs."""

    name: ComponentName
    service: Service | None
    """Our own service behind it; None for nats-server and Ollama."""
    port: int
    environment: dict[str, str]
    connections: tuple[Connection, ...] = ()
    models: tuple[ModelNeed, ...] = ()
    secrets: tuple[SecretNeed, ...] = ()
    uses_gpu: bool = False
    replicas: int | None = None
    """None where the spec leaves it to somebody else."""
    external_url: str = ""
    """Set where the user runs this one: nothing is started, the address is used."""


def components(assistant: VoiceAssistant) -> tuple[Component, ...]:
    """Return what makes up an assistant, each after all that it needs."""
    return (
        _nats(assistant),
        _ollama(assistant),
        _asr(assistant),
        _tts(assistant),
        _agent(assistant),
        _gateway(assistant),
    )


_SPEAKERS: Final = 8
"""As many of a voice channel may speak at once; more would not understand each other."""
_TO_NATS: Final = Connection(to="nats", variable="NATS_URL")


def _common(assistant: VoiceAssistant) -> dict[str, str]:
    telemetry = assistant.spec.telemetry
    return {
        "ASSISTANT": assistant.key,
        "LANGUAGE": assistant.spec.language,
        "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.otlp_endpoint,
        "TRACE_SAMPLE_RATIO": str(telemetry.sample_ratio),
        "CAPTURE_TEXT": _boolean(telemetry.capture_text),
    }


def _nats(assistant: VoiceAssistant) -> Component:
    return Component(
        name="nats", service=None, port=PORTS["nats"], environment={}, external_url=assistant.spec.nats.url
    )


def _ollama(assistant: VoiceAssistant) -> Component:
    llm = assistant.spec.llm
    environment = {
        "OLLAMA_MAX_LOADED_MODELS": str(llm.ollama.max_loaded_models),
        "OLLAMA_NUM_PARALLEL": str(llm.ollama.num_parallel),
        "OLLAMA_KEEP_ALIVE": llm.keep_alive,
        # Pulled models are shared between assistants: starting one must not remove another's.
        "OLLAMA_NOPRUNE": "1",
    }
    if llm.ollama.flash_attention is not None:
        environment["OLLAMA_FLASH_ATTENTION"] = _boolean(llm.ollama.flash_attention)
    if llm.ollama.kv_cache_type is not None:
        environment["OLLAMA_KV_CACHE_TYPE"] = llm.ollama.kv_cache_type
    return Component(
        name="ollama",
        service=None,
        port=PORTS["ollama"],
        environment=environment,
        models=(ModelNeed(kind="llm", name=llm.model),),
        uses_gpu=_on_gpu(assistant, llm.device, first=True),
        external_url=llm.external_url,
    )


def _asr(assistant: VoiceAssistant) -> Component:
    asr = assistant.spec.asr
    uses_gpu = _on_gpu(assistant, asr.device)
    return Component(
        name="asr",
        service="asr",
        port=PORTS["asr"],
        environment={
            **_common(assistant),
            "MODEL_NAME": asr.model,
            "COMPUTE_TYPE": asr.compute_type,
            "BEAM_SIZE": str(asr.beam_size),
            "WINDOW_S": str(asr.partial_interval_s),
            "WINDOW_OVERLAP_MS": str(asr.window_overlap_ms),
            "NO_SPEECH_THRESHOLD": str(asr.no_speech_threshold),
            "ENCODER_WINDOW_S": str(asr.encoder_window_s),
            "DEVICE": asr.device if uses_gpu else "cpu",
            "CPU_THREADS": str(asr.cpu_threads),
            # Everybody may speak at once, and who goes on after a cut has two utterances for a moment.
            "MAX_UTTERANCES": str(2 * assistant.spec.max_sessions * (_SPEAKERS if assistant.spec.doors.discord else 1)),
            "HOTWORDS": _list(asr.hotwords),
            "SPECULATION": _decoded_in_silence(assistant.spec.turn_taking),
        },
        connections=(_TO_NATS,),
        models=(ModelNeed(kind="asr", name=asr.model),),
        secrets=_shared_secret(asr.auth_secret_ref),
        uses_gpu=uses_gpu,
        replicas=asr.replicas,
    )


def _tts(assistant: VoiceAssistant) -> Component:
    tts = assistant.spec.tts
    needs_voice = "piper" in (tts.engine, *tts.fallbacks)
    return Component(
        name="tts",
        service="tts",
        port=PORTS["tts"],
        environment={
            **_common(assistant),
            "TTS_ENGINE": tts.engine,
            "TTS_VOICE": tts.voice,
            "TTS_SPEED": str(tts.speed),
            "TTS_FALLBACKS": _list(tts.fallbacks),
        },
        connections=(_TO_NATS,),
        models=(ModelNeed(kind="voice", name=tts.voice),) if needs_voice else (),
        uses_gpu=_on_gpu(assistant, tts.device),
    )


def _agent(assistant: VoiceAssistant) -> Component:
    spec = assistant.spec
    llm, persona = spec.llm, spec.persona
    prompt = persona.system_prompt or _SYSTEM_PROMPTS.get(spec.language, _SYSTEM_PROMPTS["en"])
    return Component(
        name="agent",
        service="agent",
        port=PORTS["agent"],
        environment={
            **_common(assistant),
            "SYSTEM_PROMPT": prompt.replace("{name}", persona.name),
            "LLM_MODEL": llm.model,
            "LLM_NUM_PREDICT": str(llm.num_predict),
            "MAX_CONTEXT_TURNS": str(llm.max_context_turns),
            "NUM_CTX": str(llm.num_ctx),
            "NUM_THREAD": "" if llm.num_thread is None else str(llm.num_thread),
            "TEMPERATURE": str(llm.temperature),
            "KEEP_ALIVE": llm.keep_alive,
            "SPECULATION": spec.turn_taking.speculation,
            "NUM_PARALLEL": str(llm.ollama.num_parallel),
            "KEEP_EVENTS_S": str(spec.telemetry.keep_events_s),
        },
        connections=(_TO_NATS, Connection(to="ollama", variable="OLLAMA_URL")),
        replicas=spec.agent.replicas,
    )


def _gateway(assistant: VoiceAssistant) -> Component:
    spec = assistant.spec
    taking = spec.turn_taking
    return Component(
        name="gateway",
        service="gateway",
        port=PORTS["gateway"],
        environment={
            **_common(assistant),
            "WEB_ENABLED": _boolean(spec.doors.web.enabled),
            "MAX_SESSIONS": str(spec.max_sessions),
            "ENDPOINT_MS": str(taking.endpoint_ms),
            "ENDPOINTING": taking.endpointing,
            "MIN_SPEECH_MS": str(taking.min_speech_ms),
            "MAX_UTTERANCE_S": str(taking.max_utterance_s),
            "REOPEN_MS": str(taking.reopen_ms),
            "BARGE_IN_MS": str(taking.barge_in.min_speech_ms),
            "TAKE_UP_AFTER_S": str(taking.barge_in.resume_after_s),
            "HOLD_AFTER_S": str(taking.watchdog.hold_after_s),
            "FAIL_AFTER_S": str(taking.watchdog.fail_after_s),
            **_discord(spec.doors.discord),
        },
        connections=(_TO_NATS,),
        models=(ModelNeed(kind="vad", name="silero-vad"), *_turn_model(taking)),
        secrets=(*_shared_secret(spec.doors.web.auth_secret_ref), *_discord_secrets(spec.doors.discord)),
    )


def _turn_model(taking: TurnTaking) -> tuple[ModelNeed, ...]:
    return (ModelNeed(kind="turn", name="smart-turn-v3.2"),) if taking.endpointing == "smart" else ()


def _decoded_in_silence(taking: TurnTaking) -> str:
    """What asr is told of speculation: whoever listens to the words of a pause needs them in the pause."""
    return "asr" if taking.endpointing == "smart" and taking.speculation == "off" else taking.speculation


def _shared_secret(ref: SecretKeyRef | None) -> tuple[SecretNeed, ...]:
    """What callers of an HTTP surface have to know, under the guide's name."""
    return (SecretNeed(variable="WORKER_SHARED_SECRET", ref=ref),) if ref else ()


def _discord(door: DiscordDoor | None) -> dict[str, str]:
    return (
        {
            "DISCORD_ENABLED": "true",
            "DISCORD_GUILD_IDS": _list(door.guild_ids),
            "DISCORD_AUTO_JOIN": _list(door.auto_join),
            "DISCORD_TEXT_CHANNEL": door.text_channel,
            "DISCORD_ROLES": _list(door.roles),
            "DISCORD_LEAVE_AFTER_IDLE_S": str(door.leave_after_idle_s),
            "DISCORD_API_BASE": door.endpoint.api_base,
            "DISCORD_GATEWAY_URL": door.endpoint.gateway_url,
        }
        if door
        else {}
    )


def _discord_secrets(door: DiscordDoor | None) -> tuple[SecretNeed, ...]:
    """Who the gateway is on Discord, under the guide's name, and whose word it takes for who Discord is."""
    if door is None:
        return ()
    token = SecretNeed(variable="DISCORD_TOKEN", ref=door.token_secret_ref)
    ca = door.endpoint.ca_secret_ref
    return (token, SecretNeed(variable="DISCORD_CA_FILE", ref=ca, is_file=True)) if ca else (token,)


def _on_gpu(assistant: VoiceAssistant, device: str, *, first: bool = False) -> bool:
    """Whether a component gets the card: `exclusive` gives it to the language model alone."""
    match assistant.spec.gpu.sharing:
        case "none":
            return False
        case "exclusive":
            return first and device != "cpu"
        case "shared":
            return device != "cpu"


def _boolean(value: bool) -> str:  # noqa: FBT001  # a formatter of one value
    return "true" if value else "false"


def _list(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode() if values else ""


_NOT_RECKONED: Final = "what models take on the card is not reckoned yet: choose such as fit together"


def unsupported(assistant: VoiceAssistant) -> list[str]:
    """Return what the spec asks for that this version's services cannot do, as `path: why`.

    The resource has its final shape already; silently ignoring a field would be a lie. `parley up` starts nothing then,
    the operator starts the rest and says so in the condition Degraded.
    """
    spec = assistant.spec
    checks = (
        (
            spec.persona.addressing not in {"auto", "always"},
            "spec.persona.addressing: only auto and always are there yet",
        ),
        (bool(spec.llm.fallbacks), "spec.llm.fallbacks: there are none yet"),
        (spec.tts.device != "cpu", "spec.tts.device: only cpu is there yet"),
        (spec.nats.replicas > 1, "spec.nats.replicas: only 1 is there yet"),
        (spec.gpu.vram_policy == "Degrade", f"spec.gpu.vramPolicy: {_NOT_RECKONED}, and none is made smaller"),
        (spec.gpu.memory_mi_b is not None, f"spec.gpu.memoryMiB: {_NOT_RECKONED}"),
        (spec.gpu.reserved_mi_b > 0, f"spec.gpu.reservedMiB: {_NOT_RECKONED}"),
        (spec.asr.vram_mi_b is not None, f"spec.asr.vramMiB: {_NOT_RECKONED}"),
        (spec.llm.vram_mi_b is not None, f"spec.llm.vramMiB: {_NOT_RECKONED}"),
        (spec.tts.vram_mi_b is not None, f"spec.tts.vramMiB: {_NOT_RECKONED}"),
    )
    return [problem for found, problem in checks if found]
