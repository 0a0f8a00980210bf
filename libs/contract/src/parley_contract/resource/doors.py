"""The ways in, and who it is that one meets there."""

from typing import Annotated, Literal

import msgspec

from parley_contract.resource.parts import (
    HttpUrl,
    ObjectNameOrNone,
    Part,
    SecretKeyRef,
    SecretRef,
    Snowflake,
    Text,
    WebSocketUrl,
)

Host = Annotated[
    str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", max_length=253)
]
"""A DNS name, as Ingresses take it; no wildcard: clients need one address."""


class Persona(Part, frozen=True):
    """Who the assistant is."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] = "Libra"
    """What it is called, and what `{name}` in the prompt becomes."""
    system_prompt: Annotated[str, msgspec.Meta(max_length=8000)] = ""
    """Fixed text before every conversation; empty takes the language's own."""
    addressing: Literal["auto", "always", "name", "wakePhrase"] = "auto"
    """Which utterances are meant for the assistant; `auto` is all of them, however many people are there."""
    wake_phrases: Annotated[list[Text], msgspec.Meta(max_length=16)] = []
    """What wakes it, with `addressing: wakePhrase`."""


class WebIngress(Part, frozen=True):
    """An Ingress before the web door: a name under which it is reached from outside of the cluster."""

    host: Host
    """The name."""
    class_name: ObjectNameOrNone = ""
    """Which controller serves it; empty for the cluster's default one, on k3s Traefik."""
    tls_secret_ref: SecretRef | None = None
    """Secret with `tls.crt` and `tls.key`; a page that is not served over TLS gets no microphone from browsers."""
    annotations: Annotated[dict[Text, Annotated[str, msgspec.Meta(max_length=1024)]], msgspec.Meta(max_length=16)] = {}
    """For its controller, and for whoever makes the certificate."""

    @property
    def url(self) -> str:
        """Where clients talk."""
        return f"{'wss' if self.tls_secret_ref else 'ws'}://{self.host}/v1/talk"


class WebDoor(Part, frozen=True):
    """The browser's way in: `/v1/talk` on port 8001."""

    enabled: bool = True
    """Whether it is open."""
    auth_secret_ref: SecretKeyRef | None = None
    """Bearer token that clients must show; without one everybody who reaches the port may talk."""
    ingress: WebIngress | None = None
    """An Ingress before it; without one it is reached in the cluster alone."""

    def __post_init__(self) -> None:
        if self.ingress is not None and not self.enabled:
            raise ValueError("an ingress needs an open door: enable web, or leave the ingress out")


class DiscordEndpoint(Part, frozen=True):
    """Where Discord is, for who has it elsewhere: an emulator, a proxy. Its certificates are checked all the same."""

    api_base: HttpUrl = ""
    """Address of the API with its version, such as https://discord.com/api/v10; empty for Discord's own."""
    gateway_url: WebSocketUrl = ""
    """Address of the gateway's WebSocket; empty for Discord's own."""
    ca_secret_ref: SecretKeyRef | None = None
    """Certificate of the authority to trust there, as PEM, in place of the well-known ones."""


class DiscordDoor(Part, frozen=True):
    """Discord's way in."""

    token_secret_ref: SecretKeyRef
    """The bot's token. One token serves one assistant: two would both answer."""
    guild_ids: Annotated[list[Snowflake], msgspec.Meta(max_length=64)] = []
    """Servers in which it listens to commands, by their ids in quotes; empty for all that invited it."""
    auto_join: Annotated[list[Snowflake], msgspec.Meta(max_length=64)] = []
    """Voice channels that it joins when somebody is there, one in a server, by their ids in quotes."""
    text_channel: Annotated[str, msgspec.Meta(pattern="^[0-9]{0,20}$", max_length=20)] = ""
    """Channel for what it writes, by its id in quotes; empty for where it was called."""
    roles: Annotated[list[Snowflake], msgspec.Meta(max_length=64)] = []
    """Roles whose members may command it, by their ids in quotes; empty for everybody who may use its commands."""
    leave_after_idle_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 300
    """Seconds without a word from anybody, or alone, after which it leaves a channel; 0 stays."""
    endpoint: DiscordEndpoint = DiscordEndpoint()


class Doors(Part, frozen=True):
    """Ways in; at least one is open."""

    web: WebDoor = WebDoor()
    discord: DiscordDoor | None = None

    def __post_init__(self) -> None:
        if not self.web.enabled and self.discord is None:
            raise ValueError("at least one door must be open: enable web or describe discord")
