"""From a manifest to what runs: the sample's components to the letter, and every profile with nothing else said."""

import typing
from pathlib import Path

import msgspec
import pytest
import yaml

from parley_contract.components import Component, components, unsupported
from parley_contract.profiles import Profile
from parley_contract.resource import VoiceAssistant, load_manifest, resolve

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "components"
SAMPLES = sorted((ROOT / "docs" / "samples").glob("*.yaml"))


def assistant(spec: str = "{}") -> VoiceAssistant:
    return load_manifest(
        f"{{apiVersion: parley.dev/v1alpha1, kind: VoiceAssistant, metadata: {{name: libra}}, spec: {spec}}}"
    )


def by_name(spec: str = "{}") -> dict[str, Component]:
    return {component.name: component for component in components(assistant(spec))}


def assistants(path: Path) -> list[VoiceAssistant]:
    return [resolve(document) for document in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_asks_for_nothing_that_is_not_there(path: Path) -> None:
    assert [problem for loaded in assistants(path) for problem in unsupported(loaded)] == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_components_of_every_sample_are_the_golden_ones(path: Path) -> None:
    made = [part for loaded in assistants(path) for part in components(loaded)]

    golden = GOLDEN / f"{path.stem}.json"
    assert msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n" == golden.read_text()


@pytest.mark.parametrize(
    "profile, asr, llm, gpu",
    [
        ("lowLatency", ("small", "int8", "1", "0.9"), ("qwen2.5:7b-instruct", "40", "6"), True),
        ("balanced", ("medium", "int8_float16", "2", "1.0"), ("qwen2.5:7b-instruct", "60", "6"), True),
        ("accurate", ("large-v3", "float16", "3", "1.0"), ("qwen2.5:7b-instruct", "60", "6"), True),
        ("laptop", ("tiny.en", "int8", "1", "1.0"), ("smollm2:135m", "60", "6"), False),
    ],
)
def test_a_profile_alone_gives_what_its_row_of_the_table_says(
    profile: Profile, asr: tuple[str, ...], llm: tuple[str, ...], *, gpu: bool
) -> None:
    made = by_name(f"{{profile: {profile}}}")

    hears, thinks = made["asr"].environment, made["agent"].environment
    assert tuple(hears[key] for key in ("MODEL_NAME", "COMPUTE_TYPE", "BEAM_SIZE", "WINDOW_S")) == asr
    assert tuple(thinks[key] for key in ("LLM_MODEL", "LLM_NUM_PREDICT", "MAX_CONTEXT_TURNS")) == llm
    assert (made["asr"].uses_gpu, made["ollama"].uses_gpu, made["tts"].uses_gpu) == (gpu, gpu, False)
    assert hears["DEVICE"] == ("auto" if gpu else "cpu")


def test_the_table_has_every_profile() -> None:
    marks: list[pytest.Mark] = test_a_profile_alone_gives_what_its_row_of_the_table_says.pytestmark  # type: ignore[attr-defined]

    assert [row[0] for row in marks[0].args[1]] == list(typing.get_args(Profile))


def test_without_a_word_it_is_balanced_and_english() -> None:
    assert assistant() == assistant("{profile: balanced, language: en}")


def test_what_is_written_overrides_the_profile_and_leaves_the_rest() -> None:
    asr = by_name("{profile: accurate, asr: {beamSize: 5}}")["asr"].environment

    assert (asr["MODEL_NAME"], asr["BEAM_SIZE"]) == ("large-v3", "5")


def test_null_is_a_value_and_overrides_too() -> None:
    made = by_name("{profile: laptop, llm: {numThread: null}}")

    assert made["agent"].environment["NUM_THREAD"] == ""


@pytest.mark.parametrize(
    "language, window_s, engine, voice, fallbacks, models",
    [
        ("en", "10.0", "piper", "en_US-joe-medium", '["espeak"]', ("en_US-joe-medium",)),
        ("ko", "30.0", "espeak", "", "", ()),
    ],
)
def test_a_language_brings_its_window_and_its_voice(
    language: str, window_s: str, engine: str, voice: str, fallbacks: str, models: tuple[str, ...]
) -> None:
    made = by_name(f"{{language: {language}}}")

    speaks = made["tts"].environment
    assert made["asr"].environment["ENCODER_WINDOW_S"] == window_s
    assert (speaks["TTS_ENGINE"], speaks["TTS_VOICE"], speaks["TTS_FALLBACKS"]) == (engine, voice, fallbacks)
    assert tuple(need.name for need in made["tts"].models) == models


@pytest.mark.parametrize(
    "taking, turn_model, decodes",
    [
        ("{endpointing: silence, speculation: 'off'}", (), "off"),
        ("{endpointing: smart, speculation: 'off'}", ("smart-turn-v3.2",), "asr"),
        ("{endpointing: smart, speculation: asr}", ("smart-turn-v3.2",), "asr"),
    ],
)
def test_whoever_listens_for_the_end_has_the_turn_model_and_the_words_of_each_pause(
    taking: str, turn_model: tuple[str, ...], decodes: str
) -> None:
    made = by_name(f"{{turnTaking: {taking}}}")

    assert tuple(need.name for need in made["gateway"].models if need.kind == "turn") == turn_model
    assert made["gateway"].environment["ENDPOINTING"] in taking
    assert made["asr"].environment["SPECULATION"] == decodes


def test_each_component_comes_after_all_that_it_needs() -> None:
    seen: set[str] = set()
    for component in components(assistant()):
        assert {connection.to for connection in component.connections} <= seen

        seen.add(component.name)


@pytest.mark.parametrize("sharing, users", [("shared", {"asr", "ollama"}), ("exclusive", {"ollama"}), ("none", set())])
def test_the_card_goes_to_those_that_may_share_it(sharing: str, users: set[str]) -> None:
    made = by_name(f"{{gpu: {{sharing: {sharing}}}}}")

    assert {name for name, component in made.items() if component.uses_gpu} == users


def test_a_broker_and_a_model_server_of_the_users_own_are_not_started() -> None:
    made = by_name(
        "{nats: {url: 'nats://there:4222', credentialsSecretRef: {name: keys}},"
        " llm: {externalUrl: 'http://there:11434'}}"
    )

    assert {name: component.external_url for name, component in made.items() if component.external_url} == {
        "nats": "nats://there:4222",
        "ollama": "http://there:11434",
    }


@pytest.mark.parametrize(
    "spec, name",
    [
        ("{doors: {web: {authSecretRef: {name: vault, key: token}}}}", "gateway"),
        ("{asr: {authSecretRef: {name: vault, key: token}}}", "asr"),
    ],
)
def test_a_token_comes_from_its_secret_to_whoever_asks_for_it(spec: str, name: str) -> None:
    made = by_name(spec)

    [(owner, need)] = [(each.name, need) for each in made.values() for need in each.secrets]
    assert (owner, need.variable, need.ref.name, need.ref.key) == (name, "WORKER_SHARED_SECRET", "vault", "token")


@pytest.mark.parametrize(
    "persona, prompt",
    [
        ("{name: Ada}", "You are a helpful AI assistant named Ada, who answers in short sentences."),
        ("{name: Ada, systemPrompt: 'Be {name}.'}", "Be Ada."),
        ("{systemPrompt: '[Be brief]'}", "[Be brief]"),
    ],
)
def test_the_system_prompt_names_the_assistant(persona: str, prompt: str) -> None:
    assert by_name(f"{{persona: {persona}}}")["agent"].environment["SYSTEM_PROMPT"] == prompt


@pytest.mark.parametrize(
    "spec, path",
    [
        ("{persona: {addressing: name}}", "spec.persona.addressing"),
        ("{llm: {fallbacks: ['qwen2.5:0.5b']}}", "spec.llm.fallbacks"),
        ("{tts: {device: cuda}}", "spec.tts.device"),
        ("{nats: {replicas: 3}}", "spec.nats.replicas"),
        ("{gpu: {vramPolicy: Degrade}}", "spec.gpu.vramPolicy"),
        ("{gpu: {memoryMiB: 8192}}", "spec.gpu.memoryMiB"),
        ("{gpu: {reservedMiB: 512}}", "spec.gpu.reservedMiB"),
        ("{llm: {vramMiB: 5000}}", "spec.llm.vramMiB"),
    ],
)
def test_what_is_not_there_yet_is_refused_by_its_path(spec: str, path: str) -> None:
    [problem] = unsupported(assistant(spec))

    assert problem.partition(": ")[0] == path
