"""Deployments: our four services, and Ollama.

A Deployment whose models are not on the claim yet is paused: Kubernetes then makes no pod of it, and leaves the pods of
the model before alone, so that nothing crashes for want of a model and an assistant answers while it pulls another one.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from parley_contract.components import Component, SecretNeed
from parley_contract.resource import Resources
from parley_contract.services import Service
from parley_operator.resources import pods
from parley_operator.resources.objects import Context, Object, child_name, metadata, selector
from parley_operator.resources.pods import Container, http_probe
from parley_operator.resources.secrets import bus_key, read_by

_KEY_FOLDER: Final = "/run/parley"

_PROBES: Final[Mapping[str, Object]] = {
    # Python and its libraries take seconds to import, on busy cores a minute.
    "startupProbe": http_probe("/healthz", periodSeconds=1, failureThreshold=120, timeoutSeconds=2),
    "livenessProbe": http_probe("/healthz", periodSeconds=10, failureThreshold=3, timeoutSeconds=5),
    "readinessProbe": http_probe("/readyz", periodSeconds=2, failureThreshold=3, timeoutSeconds=2),
}
_OLLAMA_PROBES: Final[Mapping[str, Object]] = {
    "startupProbe": http_probe("/api/version", periodSeconds=1, failureThreshold=120, timeoutSeconds=2),
    "livenessProbe": http_probe("/api/version", periodSeconds=10, failureThreshold=6, timeoutSeconds=10),
    "readinessProbe": http_probe("/api/version", periodSeconds=2, failureThreshold=3, timeoutSeconds=5),
}


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    for component in context.components:
        if component.name == "nats":
            continue
        service = component.service
        container = _ollama(context, component) if service is None else _service(context, component, service)
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(context, component.name, component.name),
            "spec": {
                **replicas(context, component.replicas),
                "paused": bool(context.missing(component)),
                "revisionHistoryLimit": 2,
                "progressDeadlineSeconds": 600,
                "strategy": _strategy(context, component),
                "selector": {"matchLabels": selector(context, component.name)},
                "template": pods.template(context, container),
            },
        }


def replicas(context: Context, wanted: int | None) -> Object:
    """Return how many pods there shall be: none of who is suspended, and nothing at all where the spec says nothing."""
    if context.assistant.spec.suspend:
        return {"replicas": 0}
    return {} if wanted is None else {"replicas": wanted}


def address(context: Context, component: Component) -> str:
    """Return where a component is reached from the assistant's other pods."""
    if component.external_url:
        return component.external_url
    scheme = "nats" if component.name == "nats" else "http"
    return f"{scheme}://{child_name(context, component.name)}:{component.port}"


def _service(context: Context, component: Component, service: Service) -> Container:
    secret, key = bus_key(context, service)
    key_volume: Object = {
        "name": "bus-key",
        # 0440: the group is the pod's own.
        "secret": {"secretName": secret, "items": [{"key": key, "path": key}], "defaultMode": 0o440},
    }
    files = tuple(_file(need) for need in component.secrets if need.is_file)
    return Container(
        component=component.name,
        image=pods.image(context, f"parley-{service}"),
        environment={
            **component.environment,
            **{
                connection.variable: address(context, context.all_components[connection.to])
                for connection in component.connections
            },
            "NATS_SEED_FILE": f"{_KEY_FOLDER}/{key}",
            "HOST": "0.0.0.0",  # noqa: S104  # the pod's own network; policies say who reaches it
            "PORT": str(component.port),
            **({"MODEL_STORE": pods.MODELS} if component.models else {}),
            **{need.variable: f"{_folder_of(need)}/{need.ref.key}" for need in component.secrets if need.is_file},
        },
        from_secrets={need.variable: (need.ref.name, need.ref.key) for need in component.secrets if not need.is_file},
        mounts=((key_volume, _KEY_FOLDER, True), *files, *((pods.models(context),) if component.models else ())),
        port=component.port,
        probes=_PROBES,
        resources=_resources(context, component),
        uses_gpu=component.uses_gpu,
        runs_on_gpu=component.uses_gpu,
        follows_models=bool(component.models),
        reads={
            f"{name}/{key}": context.hashes[name, key]
            for name, key in read_by(context, service)
            if (name, key) in context.hashes
        },
    )


def _file(need: SecretNeed) -> tuple[Object, str, bool]:
    """Return the volume of a secret that is read from a file, and where it is mounted."""
    secret = {"secretName": need.ref.name, "items": [{"key": need.ref.key, "path": need.ref.key}], "defaultMode": 0o440}
    return {"name": _volume_of(need), "secret": secret}, _folder_of(need), True


def _volume_of(need: SecretNeed) -> str:
    return need.variable.removesuffix("_FILE").lower().replace("_", "-")


def _folder_of(need: SecretNeed) -> str:
    return f"/run/{_volume_of(need)}"


def _ollama(context: Context, component: Component) -> Container:
    return Container(
        component=component.name,
        image=pods.foreign_image(context, context.installation.ollama_image),
        arguments=("serve",),
        environment={
            **component.environment,
            "OLLAMA_HOST": f"0.0.0.0:{component.port}",
            "OLLAMA_MODELS": pods.OLLAMA_MODELS,
        },
        # Ollama writes beside its models when it starts.
        mounts=(pods.models(context, read_only=False),),
        port=component.port,
        probes=_OLLAMA_PROBES,
        resources=_resources(context, component),
        uses_gpu=component.uses_gpu,
        runs_on_gpu=component.uses_gpu,
        follows_models=True,
    )


def _resources(context: Context, component: Component) -> Resources:
    spec = context.assistant.spec
    return {
        "asr": spec.asr.resources,
        "tts": spec.tts.resources,
        "ollama": spec.llm.resources,
        "agent": spec.agent.resources,
        "gateway": spec.gateway.resources,
    }[component.name]


def _strategy(context: Context, component: Component) -> Object:
    """Say how new pods replace old ones.

    A second pod on the card would double the memory it takes, a second one of the language model the machine's, and two
    gateways with one Discord token would both answer.
    """
    has_token = component.name == "gateway" and context.assistant.spec.doors.discord is not None
    if component.uses_gpu or component.name == "ollama" or has_token:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
