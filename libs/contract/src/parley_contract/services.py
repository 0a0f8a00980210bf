"""The services by name, and what an assistant is called on the bus."""

from typing import Final, Literal, get_args

Service = Literal["asr", "agent", "tts", "gateway"]
SERVICES: Final[tuple[Service, ...]] = get_args(Service)

PORTS: Final[dict[str, int]] = {"asr": 5005, "agent": 5006, "tts": 5007, "gateway": 8001, "ollama": 11434, "nats": 4222}
"""The guide's ports, and the ones beside them."""


def assistant_key(namespace: str, name: str) -> str:
    """Return what stands for an assistant in subjects and stream names: `<namespace>_<name>`, free of dots."""
    return f"{namespace}_{name}"
