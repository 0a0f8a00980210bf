"""Settings from the environment: a field `nats_url` reads `NATS_URL`; all problems are reported at once.

Each service derives its own from `ServiceSettings`. `parley_contract.components` fills the variables from the
resource; nothing else about an assistant is configured anywhere.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from parley_contract.validation import convert_all

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """What every service is told."""

    assistant: str
    """`<namespace>_<name>`, the token in subjects and stream names."""
    nats_url: str
    nats_seed_file: Path
    """File with the service's nkey seed (`SU…`), or with the credentials (`.creds`) that the admin of a NATS made."""
    host: str = "127.0.0.1"
    """Address the HTTP surface listens on; loopback unless somebody decides otherwise."""
    port: Port
    """Port of the HTTP surface; 0 takes a free one."""
    model_store: str = ""
    """Folder of models; empty for the user's cache."""
    otel_exporter_otlp_endpoint: str = ""
    """Where traces and metrics go by OTLP over HTTP; empty sends nothing."""
    trace_sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    capture_text: bool = False
    """Whether spans may carry what was said, under the private prefix."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


S = TypeVar("S", bound=ServiceSettings)


def load_settings(into: type[S], environment: Mapping[str, str]) -> S:
    """Read a service's settings; empty variables count as unset, variables of others are ignored.

    A secret that was written into a file often has the end of its line with it: ends of lines are left off.

    Raises:
        InvalidDocumentError: with every problem, by variable name.
    """
    types = {field.encode_name: field.type for field in msgspec.structs.fields(into)}
    document = {
        variable: _list(text) if _holds_list(types[variable]) else text.rstrip("\r\n")
        for variable, text in environment.items()
        if variable in types and text.strip("\r\n") != ""
    }
    return convert_all(document, into, what="the environment has problems", strict=False, dec_hook=_from_text)


def _holds_list(annotation: object) -> bool:
    """Whether a field's type is a list, through `Annotated` and `| None`."""
    return typing.get_origin(annotation) in {list, tuple} or any(map(_holds_list, typing.get_args(annotation)))


def _list(text: str) -> object:
    """Read a list, which travels as JSON; text that is none stays as it is and is reported as the wrong type."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _from_text(kind: type, text: object) -> Path:
    if kind is Path and isinstance(text, str):
        return Path(text)
    raise NotImplementedError(f"no setting is a {kind.__name__}")
