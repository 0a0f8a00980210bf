"""Components become processes: which command with which environment, after whom, and how it says that it is ready.

Pure; `supervisor` does what this page decides. The order is the components' own: each after all that it needs, so
stopping goes through it backwards.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from parley_cli.refusals import BOT_TOKEN, BOT_TOKEN_FILE, is_loopback
from parley_contract.components import Component, ComponentName
from parley_contract.services import Service

LOOPBACK: Final = "127.0.0.1"

DOOR_TOKEN: Final = "WORKER_SHARED_SECRET"  # noqa: S105  # the variable's name (the guide's)

_NO_GPU: Final = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1"}
"""How a process is kept off every card: a number that no card has (Ollama's FAQ, and CTranslate2 reads the first)."""

READYZ: Final = "/readyz"
"""Where our services say whether they are ready, and which process says so (parley_runtime.http)."""
SERVICE_STOP_S: Final = 14.0
"""A service drains for 10 s at most, and its HTTP surface for 2 more; after this it is killed."""
SERVER_STOP_S: Final = 5.0
"""nats-server and Ollama have nothing to wait for once the services are gone."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine gives to an assistant."""

    python: str
    """The interpreter that runs the services."""
    nats_server: str
    nats_config: str
    ollama: str
    """The executable; empty where an Ollama is used that somebody else runs."""
    ollama_url: str
    """Where it answers, or will answer."""
    ollama_models: str
    """Folder of our own Ollama's models."""
    ports: Mapping[ComponentName, int]
    seeds: Mapping[Service, str]
    """Seed file of each service."""
    model_store: str
    host: str = LOOPBACK
    """Address of the gateway's door; everything else stays on loopback."""
    secrets: Mapping[str, str] = {}
    """Values by variable name; of what is read from a file, its path."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One process to run."""

    name: ComponentName
    command: tuple[str, ...]
    environment: dict[str, str]
    """What it gets on top of the environment of `parley` itself."""
    url: str
    """Where this machine reaches it."""
    ready_path: str
    """Answers 200 when it is ready; empty: accepting connections is enough."""
    after: tuple[ComponentName, ...] = ()
    """Started when these are ready."""
    stop_s: float = SERVICE_STOP_S
    """How long it may take to end when asked to."""


def launches(components: Iterable[Component], machine: Machine) -> tuple[Launch, ...]:
    """Return the processes of an assistant, each after all that it needs.

    Raises:
        KeyError: a component connects to one that is not among them, or needs a secret that `machine` lacks.
    """
    chosen = tuple(components)
    urls = {component.name: _url(component, machine) for component in chosen}
    made = (_launch(component, machine, urls) for component in chosen)
    return tuple(launch for launch in made if launch is not None)


def _door_token(machine: Machine) -> dict[str, str]:
    return {variable: value for variable, value in machine.secrets.items() if variable == DOOR_TOKEN}


def _withheld(component: Component) -> dict[str, str]:
    """Return what hides the bot's token, which `parley` has in its own environment, from whoever does not need it."""
    return {} if component.name == "gateway" else dict.fromkeys((BOT_TOKEN, BOT_TOKEN_FILE), "")


def _url(component: Component, machine: Machine) -> str:
    match component.name:
        case "nats":
            return f"nats://{LOOPBACK}:{machine.ports['nats']}"
        case "ollama":
            return machine.ollama_url
        case "gateway":
            return f"http://{_reachable(machine.host)}:{machine.ports['gateway']}"
        case name:
            return f"http://{LOOPBACK}:{machine.ports[name]}"


def _reachable(host: str) -> str:
    """Return an address to connect to for one to listen on: "all of them" is none."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _launch(component: Component, machine: Machine, urls: Mapping[ComponentName, str]) -> Launch | None:
    environment = {**component.environment, **_withheld(component), **({} if component.uses_gpu else _NO_GPU)}
    url = urls[component.name]
    if component.service is not None:
        return _service(component, component.service, machine, urls)
    if component.name == "nats":
        return Launch(
            name="nats",
            command=(machine.nats_server, "-c", machine.nats_config),
            environment=environment,
            url=url,
            ready_path="",
            stop_s=SERVER_STOP_S,
        )
    if not machine.ollama:
        return None
    environment |= {"OLLAMA_HOST": url.removeprefix("http://"), "OLLAMA_MODELS": machine.ollama_models}
    return Launch(
        name=component.name,
        command=(machine.ollama, "serve"),
        environment=environment,
        url=url,
        ready_path="/api/version",
        stop_s=SERVER_STOP_S,
    )


def _service(component: Component, service: Service, machine: Machine, urls: Mapping[ComponentName, str]) -> Launch:
    return Launch(
        name=component.name,
        command=(machine.python, "-m", f"parley_{service}"),
        environment={
            **component.environment,
            **_withheld(component),
            **({} if component.uses_gpu else _NO_GPU),
            **{connection.variable: urls[connection.to] for connection in component.connections},
            **{secret.variable: machine.secrets[secret.variable] for secret in component.secrets},
            # Also where the resource asks for no token: a door that is open to the network always does.
            **(_door_token(machine) if service == "gateway" and not is_loopback(machine.host) else {}),
            "NATS_SEED_FILE": machine.seeds[service],
            "HOST": machine.host if service == "gateway" else LOOPBACK,
            "PORT": str(machine.ports[component.name]),
            "MODEL_STORE": machine.model_store,
        },
        url=urls[component.name],
        ready_path=READYZ,
        # A service waits for the broker by itself, and that wait is shorter than its own start. The model is
        # another matter: the agent warms it, so it must have been made.
        after=("ollama",) if any(connection.to == "ollama" for connection in component.connections) else (),
    )
