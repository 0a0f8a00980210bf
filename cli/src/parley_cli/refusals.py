"""What one machine cannot do for an assistant, said before anything is started. Pure; `preparing` looks things up."""

import ipaddress
from collections.abc import Mapping
from typing import Final

from parley_cli.errors import BadRequestError
from parley_contract.components import ComponentName, unsupported
from parley_contract.resource import VoiceAssistant

BOT_TOKEN: Final = "DISCORD_TOKEN"  # noqa: S105  # the variable's name (the guide's)
BOT_TOKEN_FILE: Final = "DISCORD_TOKEN_FILE"  # noqa: S105  # as above
BOT_CA_FILE: Final = "DISCORD_CA_FILE"


class RefusedError(BadRequestError):
    """The assistant cannot be started here; every reason is listed, and nothing was begun."""

    def __init__(self, assistant: str, problems: list[str]) -> None:
        """Keep the problems apart, and join them into one message."""
        self.problems = tuple(problems)
        listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{assistant} cannot be started here:{listed}")


def of_spec(assistant: VoiceAssistant) -> list[str]:
    """Return what the spec asks for that one machine, or this version, cannot give."""
    spec = assistant.spec
    checks = (
        (spec.suspend, "spec.suspend: the assistant is suspended; set it to false"),
        (bool(spec.nats.url), "spec.nats.url: on one machine an assistant has its own broker; leave it out"),
        (_more(spec.asr.replicas), "spec.asr.replicas: one machine runs one of each service; leave it out"),
        (_more(spec.agent.replicas), "spec.agent.replicas: one machine runs one of each service; leave it out"),
    )
    return [*unsupported(assistant), *(problem for found, problem in checks if found)]


def of_bot(assistant: VoiceAssistant, environment: Mapping[str, str]) -> list[str]:
    """Return what the environment lacks of what a bot is on Discord: Secrets of a cluster are not on this machine."""
    door = assistant.spec.doors.discord
    if door is None:
        return []
    problems = []
    if not environment.get(BOT_TOKEN) and not environment.get(BOT_TOKEN_FILE):
        problems.append(
            f"spec.doors.discord.tokenSecretRef: on one machine the bot's token is given as {BOT_TOKEN}, "
            f"or in a file that {BOT_TOKEN_FILE} names"
        )
    if door.endpoint.ca_secret_ref is not None and not environment.get(BOT_CA_FILE):
        problems.append(
            f"spec.doors.discord.endpoint.caSecretRef: on one machine {BOT_CA_FILE} names the file of the certificate"
        )
    return problems


def of_host(host: str) -> list[str]:
    """Return what is wrong with the address that the door shall listen on."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return [f"--host {host}: give an IP address of this machine, or 0.0.0.0 for all of them"]
    return []


def of_ports(taken: Mapping[ComponentName, int]) -> list[str]:
    """Return a sentence for each port that something else listens on, or soon will."""
    return [
        f"port {port} ({name}) is taken by another assistant or program: stop it, or let Parley choose with --any-port"
        for name, port in taken.items()
    ]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(host).is_loopback


def _more(replicas: int | None) -> bool:
    return replicas is not None and replicas > 1
