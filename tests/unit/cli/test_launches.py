"""Components become processes."""

import msgspec
import pytest

from parley_cli.launches import Launch, Machine, launches
from parley_contract.components import ComponentName, components
from parley_contract.resource import resolve
from parley_contract.services import SERVICES

MACHINE = Machine(
    python="/venv/bin/python",
    nats_server="/bin/nats-server",
    nats_config="/state/nats.conf",
    ollama="/bin/ollama",
    ollama_url="http://127.0.0.1:11500",
    ollama_models="/cache/ollama",
    ports={"nats": 4300, "asr": 5005, "tts": 5007, "agent": 5006, "gateway": 8001},
    seeds={service: f"/state/seeds/{service}.nk" for service in SERVICES},
    model_store="/cache/models",
)
TOKEN = {"name": "vault", "key": "token"}


def plan(machine: Machine = MACHINE, **spec: object) -> dict[ComponentName, Launch]:
    document = {
        "apiVersion": "parley.dev/v1alpha1",
        "kind": "VoiceAssistant",
        "metadata": {"name": "libra"},
        "spec": {"profile": "laptop", **spec},
    }
    return {launch.name: launch for launch in launches(components(resolve(document)), machine)}


def test_everything_that_is_needed_comes_before_whatever_needs_it() -> None:
    planned = plan()

    assert list(planned) == ["nats", "ollama", "asr", "tts", "agent", "gateway"]


def test_services_find_the_broker_their_seed_their_port_and_the_models() -> None:
    asr = plan()["asr"]

    assert asr.command == ("/venv/bin/python", "-m", "parley_asr")
    assert asr.environment["NATS_URL"] == "nats://127.0.0.1:4300"
    assert asr.environment["NATS_SEED_FILE"] == "/state/seeds/asr.nk"
    assert asr.environment["PORT"] == "5005"
    assert asr.environment["MODEL_STORE"] == "/cache/models"
    assert asr.environment["MODEL_NAME"] == "tiny.en"


def test_the_agent_finds_ollama_and_waits_for_its_model() -> None:
    planned = plan()

    assert planned["agent"].environment["OLLAMA_URL"] == "http://127.0.0.1:11500"
    assert planned["agent"].after == ("ollama",)
    assert planned["asr"].after == ()


def test_our_own_ollama_listens_where_the_agent_looks_and_keeps_its_models_apart() -> None:
    ollama = plan()["ollama"]

    assert ollama.command == ("/bin/ollama", "serve")
    assert ollama.environment["OLLAMA_HOST"] == "127.0.0.1:11500"
    assert ollama.environment["OLLAMA_MODELS"] == "/cache/ollama"


def test_an_ollama_that_runs_already_is_used_and_not_started() -> None:
    planned = plan(msgspec.structs.replace(MACHINE, ollama="", ollama_url="http://other:11434"))

    assert "ollama" not in planned
    assert planned["agent"].environment["OLLAMA_URL"] == "http://other:11434"


def test_only_the_door_leaves_loopback() -> None:
    planned = plan(msgspec.structs.replace(MACHINE, host="0.0.0.0"))  # noqa: S104

    hosts = {name: launch.environment.get("HOST") for name, launch in planned.items() if launch.ready_path == "/readyz"}
    assert hosts == {"asr": "127.0.0.1", "tts": "127.0.0.1", "agent": "127.0.0.1", "gateway": "0.0.0.0"}  # noqa: S104


@pytest.mark.parametrize(
    "host,url",
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),  # noqa: S104
        ("192.168.1.5", "http://192.168.1.5:8001"),
        ("::", "http://[::1]:8001"),
        ("fd00::5", "http://[fd00::5]:8001"),
    ],
)
def test_the_door_is_reached_where_it_listens(host: str, url: str) -> None:
    gateway = plan(msgspec.structs.replace(MACHINE, host=host))["gateway"]

    assert gateway.url == url


@pytest.mark.parametrize(
    "host,spec,knowing",
    [
        ("127.0.0.1", {}, []),
        ("0.0.0.0", {}, ["gateway"]),  # noqa: S104
        ("127.0.0.1", {"doors": {"web": {"authSecretRef": TOKEN}}}, ["gateway"]),
        ("127.0.0.1", {"asr": {"authSecretRef": TOKEN}}, ["asr"]),
        ("0.0.0.0", {"asr": {"authSecretRef": TOKEN}}, ["asr", "gateway"]),  # noqa: S104
    ],
)
def test_the_token_goes_to_whoever_asks_for_it_and_to_a_door_on_the_network(
    host: str, spec: dict[str, object], knowing: list[str]
) -> None:
    planned = plan(msgspec.structs.replace(MACHINE, host=host, secrets={"WORKER_SHARED_SECRET": "s3cret"}), **spec)

    assert [name for name, launch in planned.items() if "s3cret" in launch.environment.values()] == knowing


def test_a_secret_that_the_spec_asks_for_must_be_there() -> None:
    doors = {"web": {"authSecretRef": TOKEN}}

    with pytest.raises(KeyError, match="WORKER_SHARED_SECRET"):
        plan(doors=doors)


def test_what_uses_no_gpu_sees_none() -> None:
    on_cpu = plan()
    on_gpu = plan(profile="balanced")

    assert on_cpu["ollama"].environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in on_gpu["ollama"].environment
    assert on_gpu["tts"].environment["CUDA_VISIBLE_DEVICES"] == "-1"


DISCORD = {"discord": {"tokenSecretRef": TOKEN, "endpoint": {"caSecretRef": {"name": "vault", "key": "ca"}}}}


def test_the_bots_token_goes_to_the_gateway_and_is_kept_from_everybody_else() -> None:
    secrets = {"DISCORD_TOKEN": "bot-token", "DISCORD_CA_FILE": "/ca.pem"}

    planned = plan(msgspec.structs.replace(MACHINE, secrets=secrets), doors=DISCORD)

    gateway = planned["gateway"].environment
    assert (gateway["DISCORD_TOKEN"], gateway["DISCORD_CA_FILE"]) == ("bot-token", "/ca.pem")
    others = [launch.environment for name, launch in planned.items() if name != "gateway"]
    assert [(each["DISCORD_TOKEN"], each["DISCORD_TOKEN_FILE"]) for each in others] == [("", "")] * 5
