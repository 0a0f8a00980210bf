"""Assistants on a control plane, as tests speak of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from parley_operator.queues import LAST_REST_S
from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.observing import condition, has, is_ready
from parley_testkit.control_plane.plane import ControlPlane
from parley_testkit.control_plane.waiting import WAIT_S, until

ASSISTANTS: Final = "parley.dev/v1alpha1/voiceassistants"
_DEFINITIONS: Final = "apiextensions.k8s.io/v1/customresourcedefinitions"
CHILD_KINDS: Final = (
    "v1/serviceaccounts",
    "networking.k8s.io/v1/networkpolicies",
    "v1/configmaps",
    "v1/persistentvolumeclaims",
    "v1/services",
    "networking.k8s.io/v1/ingresses",
    "policy/v1/poddisruptionbudgets",
    "apps/v1/statefulsets",
    "apps/v1/deployments",
    "apps/v1/controllerrevisions",
    "batch/v1/jobs",
    "v1/secrets",
)
READY_S: Final = WAIT_S


def define(plane: ControlPlane, crds: Path) -> None:
    """Let a control plane know VoiceAssistants, and NVIDIA's runtime as k3s does; errors as `waiting.until`."""
    plane.admin.kubectl("apply", "--server-side", "--filename", str(crds))
    until(lambda: plane.admin.get(_DEFINITIONS, "voiceassistants.parley.dev"), has("Established"))
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
    plane.admin.apply({**runtime, "handler": "nvidia"})


def assistant(name: str = "libra", /, **spec: object) -> Object:
    """Return a manifest: the laptop's profile, unless the spec says otherwise."""
    return {
        "apiVersion": "parley.dev/v1alpha1",
        "kind": "VoiceAssistant",
        "metadata": {"name": name},
        "spec": {"profile": "laptop", **spec},
    }


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the manifests of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def children(namespace: Namespace, name: str = "libra") -> dict[tuple[str, str], Object]:
    """Return everything that an assistant is made of, by kind and name."""
    labels = f"app.kubernetes.io/instance={name},app.kubernetes.io/managed-by=parley-operator"
    return {
        (kind, found["metadata"]["name"]): found
        for kind in CHILD_KINDS
        for found in namespace.find(kind, labels=labels)
    }


def versions(namespace: Namespace, name: str = "libra") -> dict[tuple[str, str], str]:
    """Return the resource version of each child, and of the assistant itself."""
    found = {place: child["metadata"]["resourceVersion"] for place, child in children(namespace, name).items()}
    return {**found, (ASSISTANTS, name): namespace.get(ASSISTANTS, name)["metadata"]["resourceVersion"]}


def until_ready(namespace: Namespace, name: str = "libra", *, within_s: float = READY_S) -> Object:
    """Wait until an assistant is ready in its latest generation, and return it; errors as `waiting.until`."""
    return namespace.until(ASSISTANTS, name, is_all_ready, within_s=within_s)


def is_all_ready(seen: Object) -> bool:
    """Whether an assistant is ready, and nothing is going on."""
    status = seen.get("status", {})
    is_latest = status.get("observedGeneration") == seen.get("metadata", {}).get("generation")
    return bool(is_latest and is_ready(seen) and condition(seen, "Progressing")["status"] == "False")


def until_says(namespace: Namespace, kind: str, reason: str, name: str = "libra") -> Object:
    """Wait until a condition has a reason, and return it; errors as `waiting.until`."""
    seen = namespace.until(ASSISTANTS, name, _says(kind, reason), within_s=READY_S)
    return condition(seen, kind)


def until_quiet(namespace: Namespace, name: str = "libra") -> dict[tuple[str, str], str]:
    """Wait until nothing changes any more, and return the versions; errors as `waiting.until`."""
    last: dict[tuple[str, str], str] = {}
    since = time.monotonic()

    def is_quiet(seen: dict[tuple[str, str], str]) -> bool:
        nonlocal last, since
        if seen != last:
            last, since = seen, time.monotonic()
        return time.monotonic() - since > _QUIET_S

    return until(lambda: versions(namespace, name), is_quiet)


_QUIET_S: Final = LAST_REST_S + 0.2
"""So long at most the operator rests between two looks at an assistant that is not settled."""


def _says(kind: str, reason: str) -> Callable[[Object], bool]:
    return lambda seen: bool(condition(seen, kind)["reason"] == reason)
