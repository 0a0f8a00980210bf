"""What the operator is told where it is installed: environment variables, read once. The chart fills them.

`python -m parley_operator run` needs no argument. It speaks to the API server as its pod's ServiceAccount, or outside a
pod as KUBECONFIG says, and takes SIGTERM for a wish to end.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from parley_contract.errors import InvalidDocumentError
from parley_contract.validation import convert_all
from parley_operator.agents import ADDRESS
from parley_operator.pod_access import SERVICE_ACCOUNT
from parley_operator.resources.objects import Installation

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]

_DEFAULTS = Installation()


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """Every variable, with what holds where it is missing or empty."""

    watch_namespaces: str = ""
    """Namespaces whose assistants are looked after, with commas between; empty for all, which needs a ClusterRole."""
    pod_namespace: str = _DEFAULTS.namespace
    """Where the operator runs: policies of assistants let it ask them how they are."""
    pod_labels: str = ""
    """Labels of the operator's pods as a JSON object, for the same policies; by default the name alone."""
    image_registry: str = _DEFAULTS.registry
    """Registry and path before the names of our images, where an assistant names none."""
    image_tag: str = _DEFAULTS.tag
    nats_image: str = _DEFAULTS.nats_image
    ollama_image: str = _DEFAULTS.ollama_image
    scrape_namespaces: str = "{}"
    """Labels of the namespaces whose pods may read metrics, as a JSON object: `{}` for all, `none` for nobody."""
    host: str = "0.0.0.0"  # noqa: S104  # the pod's own network; a policy says who reaches it
    """Address of both ports below."""
    health_port: Port = 8080
    """`GET /healthz` and `/readyz`; 0 takes a free one, which the log names."""
    metrics_port: Port = 8081
    """`GET /metrics`; likewise."""
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    """Assistants that are looked at at the same time. Most of a look waits for the API server; more would only take
    more of its share of requests."""
    wait_for_others_s: Annotated[float, msgspec.Meta(ge=0.5, le=300)] = _DEFAULTS.wait_for_others_s
    """Seconds after which is looked again for what nobody tells: a Secret that is missing, and whether namespaces came
    into reach or went."""
    agent_status_url: str = ADDRESS
    """Where an assistant's `/status` is, with `{namespace}` and `{name}`; for an operator outside of the cluster."""
    service_account: str = SERVICE_ACCOUNT
    """Folder with the token and the authority of the pod's ServiceAccount; without a token in it, KUBECONFIG holds."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces, none for all."""
        return tuple(name.strip() for name in self.watch_namespaces.split(",") if name.strip())

    def installation(self) -> Installation:
        """Return what children are made with.

        Raises:
            InvalidDocumentError: labels are no JSON object of strings.
        """
        anyone = self.scrape_namespaces.strip().lower() == "none"
        return Installation(
            namespace=self.pod_namespace,
            labels=_labels("POD_LABELS", self.pod_labels) if self.pod_labels else _DEFAULTS.labels,
            registry=self.image_registry,
            tag=self.image_tag,
            nats_image=self.nats_image,
            ollama_image=self.ollama_image,
            scrape_namespaces=None if anyone else _labels("SCRAPE_NAMESPACES", self.scrape_namespaces),
            wait_for_others_s=self.wait_for_others_s,
        )


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; empty variables count as unset, variables of others are ignored.

    Raises:
        InvalidDocumentError: with every problem, by variable.
    """
    names = {field.encode_name for field in msgspec.structs.fields(Settings)}
    document = {name: text for name, text in environment.items() if name in names and text}
    return convert_all(document, Settings, what="the environment has problems", strict=False)


def _labels(variable: str, text: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        problem = f'{variable}: write labels as a JSON object of texts, such as {{"team": "voice"}}: {error}'
        raise InvalidDocumentError("the environment has problems", [problem]) from error
