"""Pod templates: what is the same in every pod, whatever makes it.

Each pod satisfies the restricted Pod Security Standard: no root, no capabilities, a read-only root with a home and a
temporary folder of its own, and no token of the API server. A pod sees a card only if its component computes there.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.resource import Resources
from parley_operator.resources.claims import is_shared, models_claim
from parley_operator.resources.objects import PULL, READS, Context, Object, child_name, digest, selector

USER: Final = 10001
"""Whom our images run as; any other than root would do."""
HOME: Final = "/home/parley"
MODELS: Final = "/models"
OLLAMA_MODELS: Final = f"{MODELS}/ollama"
"""Ollama's own folder beside our store: it keeps its models in its own way."""

_REQUESTS: Final[Mapping[str, Mapping[str, str]]] = {
    "nats": {"cpu": "50m", "memory": "160Mi"},
    "ollama": {"cpu": "250m", "memory": "512Mi"},
    "asr": {"cpu": "250m", "memory": "256Mi"},
    "tts": {"cpu": "100m", "memory": "192Mi"},
    "agent": {"cpu": "50m", "memory": "160Mi"},
    "gateway": {"cpu": "100m", "memory": "192Mi"},
    "pull": {"cpu": "50m", "memory": "128Mi"},
}
"""What is kept free where the spec says nothing: what the laptop's assistant takes (docs/performance.md), rounded up.
Larger models want more: that is what `resources` is for."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between pods."""

    component: str
    """The label, and what resources are kept by default."""
    image: str
    command: tuple[str, ...] = ()
    """Empty for the image's own."""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    from_secrets: Mapping[str, tuple[str, str]] = {}
    """Variables that are filled from a Secret's key."""
    mounts: tuple[tuple[Object, str, bool], ...] = ()
    """Volumes, where they are mounted, and whether only for reading."""
    port: int | None = None
    port_name: str = "http"
    probes: Mapping[str, Object] = {}
    resources: Resources = Resources()
    uses_gpu: bool = False
    """Whether it gets a share of the card."""
    runs_on_gpu: bool = False
    """Whether it computes on the card: a pull only takes a share, to be scheduled where there is one."""
    follows_models: bool = False
    """Whether it mounts the models, and so has to be able to run where they are."""
    reads: Mapping[str, str] = {}
    """Hashes of what it reads, by a name for each: when one changes, the pod is replaced."""
    stop_s: int = 20
    """Grace between SIGTERM and the end."""


def template(context: Context, container: Container, *, restart: str = "Always") -> Object:
    """Return the template of a pod with one container."""
    gpu = context.assistant.spec.gpu
    annotations = {READS: digest(container.reads)} if container.reads else {}
    volumes = [*(volume for volume, _, _ in container.mounts), _folder("home"), _folder("tmp")]
    secrets = context.assistant.spec.images.pull_secrets
    beside_models = container.follows_models and context.uses_gpu
    spec: Object = {
        "serviceAccountName": child_name(context, container.component),
        "automountServiceAccountToken": False,
        # Or each Service of the namespace would add variables, some of which are settings of Ollama and NATS.
        "enableServiceLinks": False,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": container.stop_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(context, container)],
        "volumes": volumes,
    }
    if container.follows_models and not is_shared(context.claim):
        spec["affinity"] = _together(context)
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    if container.runs_on_gpu and gpu.runtime_class_name:
        spec["runtimeClassName"] = gpu.runtime_class_name
    # A volume of one node decides for all that mount it: they follow the card.
    if (container.uses_gpu or beside_models) and gpu.node_selector:
        spec["nodeSelector"] = dict(gpu.node_selector)
    if (container.uses_gpu or beside_models) and gpu.tolerations:
        spec["tolerations"] = [
            {key: value for key, value in msgspec.to_builtins(toleration).items() if value not in {"", None}}
            for toleration in gpu.tolerations
        ]
    made: Object = {"labels": selector(context, container.component)}
    return {"metadata": {**made, **({"annotations": annotations} if annotations else {})}, "spec": spec}


def image(context: Context, name: str) -> str:
    """Return the reference of one of our images."""
    images, installation = context.assistant.spec.images, context.installation
    registry = images.registry or installation.registry
    return f"{registry}/{name}:{images.tag or installation.tag}".lstrip("/")


def foreign_image(context: Context, reference: str) -> str:
    """Return the reference of somebody else's image: the spec's registry has it under the same name and tag."""
    registry = context.assistant.spec.images.registry
    return f"{registry}/{reference.rpartition('/')[2]}" if registry else reference


def models(context: Context, *, read_only: bool = True) -> tuple[Object, str, bool]:
    """Return the volume of the models, mounted where the services look for them."""
    claim: Object = {"claimName": models_claim(context)}
    return {"name": "models", "persistentVolumeClaim": claim}, MODELS, read_only


def http_probe(path: str, *, port: str | int = "http", **timing: int) -> Object:
    """Return a probe that asks a path."""
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, **timing}


def _together(context: Context) -> Object:
    """Prefer the node where others are that mount the models: a volume that any node can have is at one at a time.

    No more than prefer: who needs a card has to go where one is, and a volume of one node decides by itself.
    """
    who = [*(part.name for part in context.components if part.models), PULL]
    names = {key: value for key, value in selector(context, "").items() if value}
    chosen: Object = {
        "matchLabels": names,
        "matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "In", "values": sorted(who)}],
    }
    term: Object = {"labelSelector": chosen, "topologyKey": "kubernetes.io/hostname"}
    return {
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    }


def _container(context: Context, container: Container) -> Object:
    environment: list[Object] = [
        *({"name": name, "value": value} for name, value in _environment(container).items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, (secret, key) in container.from_secrets.items()
        ),
    ]
    mounts: list[Object] = [
        *(
            {"name": volume["name"], "mountPath": path, **({"readOnly": True} if read_only else {})}
            for volume, path, read_only in container.mounts
        ),
        {"name": "home", "mountPath": HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the container's own
    ]
    made: Object = {
        "name": container.component,
        "image": container.image,
        "imagePullPolicy": context.assistant.spec.images.pull_policy,
        "env": environment,
        "resources": _resources(context, container),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
        # What a process said last reaches the status of the assistant.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container.probes,
    }
    if container.command:
        made["command"] = list(container.command)
    if container.arguments:
        made["args"] = list(container.arguments)
    if container.port is not None:
        made["ports"] = [{"name": container.port_name, "containerPort": container.port, "protocol": "TCP"}]
    return made


def _environment(container: Container) -> dict[str, str]:
    return {
        **container.environment,
        "HOME": HOME,
        "XDG_CACHE_HOME": f"{HOME}/.cache",
        # On nodes where NVIDIA's runtime is the default one, an image may otherwise ask for every card.
        **({} if container.runs_on_gpu else {"NVIDIA_VISIBLE_DEVICES": "void"}),
    }


def _resources(context: Context, container: Container) -> Object:
    """Return requests and limits; Kubernetes takes a limit for a request where only the limit is written."""
    written = container.resources
    limits = {name: str(value) for name, value in written.limits.items()}
    defaults = {name: value for name, value in _REQUESTS[container.component].items() if name not in limits}
    requests = defaults | {name: str(value) for name, value in written.requests.items()}
    if container.uses_gpu:
        limits[context.assistant.spec.gpu.resource_name] = "1"
    return {**({"requests": requests} if requests else {}), **({"limits": limits} if limits else {})}


def _folder(name: str) -> Object:
    return {"name": name, "emptyDir": {}}
