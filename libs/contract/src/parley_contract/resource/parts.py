"""What the parts of the resource are made of: names, quantities, references. Used by the pages beside it."""

from typing import Annotated, Final

import msgspec

Name = Annotated[str, msgspec.Meta(pattern="^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=40)]
"""Services are named after it, so it begins with a letter; children add to it, so it has 40 characters at most."""
Namespace = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Text = Annotated[str, msgspec.Meta(max_length=253)]
ObjectName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
"""Name of an object that is somewhere in a cluster, as Kubernetes takes it."""
ObjectNameOrNone = Annotated[str, msgspec.Meta(pattern="^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$", max_length=253)]
"""The same, or empty."""
DataKey = Annotated[str, msgspec.Meta(pattern="^[.]?[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=253)]
"""Key in a Secret, which may become the name of a file: never `..`."""
_PLACE: Final = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
HttpUrl = Annotated[str, msgspec.Meta(pattern=rf"^(https?://{_PLACE}(/[^\s?#]*)?)?$", max_length=2048)]
"""Where something is found by HTTP, or empty. Who somebody is belongs into a Secret, and no part of it."""
WebSocketUrl = Annotated[str, msgspec.Meta(pattern=f"^(wss?://{_PLACE}([/?].*)?)?$", max_length=2048)]
"""The same of a WebSocket."""
NatsUrls = Annotated[
    str, msgspec.Meta(pattern=f"^((nats|tls)://{_PLACE}/?(, ?(nats|tls)://{_PLACE}/?)*)?$", max_length=2048)
]
"""Servers of one NATS, with commas between, or empty."""
Snowflake = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$", max_length=20)]
"""An id of Discord's, in quotes: YAML takes it for a number otherwise."""
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
MebiBytes = Annotated[int, msgspec.Meta(ge=0, le=1_048_576)]
"""At most 1 TiB."""
Quantity = (
    Annotated[str, msgspec.Meta(pattern="^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=32)]
    | Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)]
)
"""As Kubernetes writes amounts: `500m`, `2`, `4Gi`."""
Labels = Annotated[dict[Text, Text], msgspec.Meta(max_length=16)]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the resource."""


class SecretKeyRef(Part, frozen=True):
    """One key of a Secret in the assistant's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: DataKey
    """Key in the Secret's data."""


class SecretRef(Part, frozen=True):
    """A whole Secret in the assistant's namespace."""

    name: ObjectName
    """Name of the Secret."""


class Resources(Part, frozen=True):
    """CPU and memory of a container, as in a pod."""

    requests: Annotated[dict[Text, Quantity], msgspec.Meta(max_length=8)] = {}
    """What the scheduler keeps free for it; without a word a small amount by component."""
    limits: Annotated[dict[Text, Quantity], msgspec.Meta(max_length=8)] = {}
    """What it may not go beyond; without a word there is no limit. The card's share is added by `gpu.sharing`."""
