"""What the components fill is what the services read: no variable goes unread, none that is needed is missing."""

import importlib
import inspect
from pathlib import Path

import msgspec
import pytest
import yaml

from parley_contract.components import Component, components
from parley_contract.resource import resolve
from parley_contract.services import SERVICES, Service
from parley_runtime.settings import ServiceSettings, load_settings

SAMPLES = sorted((Path(__file__).parents[2] / "docs" / "samples").glob("*.yaml"))
FROM_THE_RUNTIME = {
    "NATS_SEED_FILE": "/run/parley/seed.nk",
    "HOST": "127.0.0.1",
    "PORT": "5005",
    "MODEL_STORE": "/var/models",
}
"""What `parley up` and the operator add, beside addresses and secrets."""

services = pytest.mark.parametrize("service", SERVICES)
samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)

MANY = """
apiVersion: parley.dev/v1alpha1
kind: VoiceAssistant
metadata: {name: libra}
spec:
  profile: laptop
  persona: {systemPrompt: "[Speak, {name}!]\\nBe 1, null and true."}
  asr: {hotwords: [Parley, "one, two"], replicas: 2, authSecretRef: {name: asr, key: token}}
  llm: {numThread: null, keepAlive: 5m}
  tts: {engine: espeak, voice: "", fallbacks: [piper]}
  doors:
    web: {authSecretRef: {name: door, key: token}}
    discord:
      tokenSecretRef: {name: bot, key: token}
      autoJoin: ["155361364909621248", "155361364909621249"]
      roles: ["1"]
      endpoint: {apiBase: "http://there:1/api/v10", caSecretRef: {name: ca, key: ca.crt}}
  telemetry: {otlpEndpoint: "http://collector:4318", captureText: true, sampleRatio: 0.1}
"""


def settings_type(service: Service) -> type[ServiceSettings]:
    module = importlib.import_module(f"parley_{service}.settings")
    [found] = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, ServiceSettings) and member.__module__ == module.__name__
    ]
    return found


def component_of(service: Service, manifest: str) -> Component:
    return next(
        component
        for document in yaml.safe_load_all(manifest)
        for component in components(resolve(document))
        if component.service == service
    )


def environment(component: Component) -> dict[str, str]:
    return {
        **FROM_THE_RUNTIME,
        **component.environment,
        **{connection.variable: f"there://{connection.to}" for connection in component.connections},
        **{secret.variable: "hush" for secret in component.secrets},
    }


@services
@samples
def test_every_variable_that_is_filled_is_read(service: Service, path: Path) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(settings_type(service))}

    assert set(environment(component_of(service, path.read_text()))) - read == set()


@services
@pytest.mark.parametrize(
    "manifest", [*(path.read_text() for path in SAMPLES), MANY], ids=[*(path.stem for path in SAMPLES), "many"]
)
def test_the_filled_environment_is_accepted(service: Service, manifest: str) -> None:
    settings = load_settings(settings_type(service), environment(component_of(service, manifest)))

    assert settings.assistant == "default_libra"
    assert settings.nats_url == "there://nats"
    assert settings.nats_seed_file == Path("/run/parley/seed.nk")


def test_values_arrive_as_they_were_written() -> None:
    read = {
        service: msgspec.to_builtins(
            load_settings(settings_type(service), environment(component_of(service, MANY))), enc_hook=str
        )
        for service in SERVICES
    }

    assert list(read["asr"]["HOTWORDS"]) == ["Parley", "one, two"]
    assert read["agent"]["SYSTEM_PROMPT"] == "[Speak, Libra!]\nBe 1, null and true."
    assert (read["agent"]["NUM_THREAD"], read["agent"]["KEEP_ALIVE"]) == (None, "5m")
    assert (read["tts"]["TTS_ENGINE"], read["tts"]["TTS_VOICE"], list(read["tts"]["TTS_FALLBACKS"])) == (
        "espeak",
        "",
        ["piper"],
    )
    assert [read[service]["WORKER_SHARED_SECRET"] for service in ("asr", "gateway")] == ["hush", "hush"]
    door = {name: value for name, value in read["gateway"].items() if name.startswith("DISCORD")}
    assert list(door["DISCORD_AUTO_JOIN"]) == ["155361364909621248", "155361364909621249"]
    assert (list(door["DISCORD_ROLES"]), door["DISCORD_API_BASE"]) == (["1"], "http://there:1/api/v10")
    assert (door["DISCORD_TOKEN"], str(door["DISCORD_CA_FILE"])) == ("hush", "hush")
    for service in SERVICES:
        assert read[service]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
        assert (read[service]["CAPTURE_TEXT"], read[service]["TRACE_SAMPLE_RATIO"]) == (True, 0.1)


@services
def test_nothing_that_a_service_must_have_is_missing(service: Service) -> None:
    required = {field.encode_name for field in msgspec.structs.fields(settings_type(service)) if field.required}

    assert required - set(environment(component_of(service, MANY))) == set()
