"""The kinds of objects that the operator deals with: where each lives in the API, and which of them it watches.

Pure. What is watched, and the verbs of `cluster`, are all that the operator's role has to grant.
"""

from typing import Final, NamedTuple
from urllib.parse import quote

from parley_contract.resource import API_VERSION, KIND
from parley_operator.resources.objects import FIELD_MANAGER


class Kind(NamedTuple):
    """One kind."""

    api_version: str
    name: str
    """In the singular, as in manifests."""
    plural: str
    """As in paths, and in RBAC."""
    labels: str = ""
    """Of which objects watches tell: a label selector; empty for all."""
    fields: str = ""
    """The same as a field selector."""

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version in the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of a collection, or of an object; a name is one part of it, whatever it holds."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        where = f"/namespaces/{namespace}" if namespace else ""
        one = f"/{quote(name, safe='')}" if name else ""
        return f"{root}{where}/{self.plural}{one}"


_OURS: Final = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"
_COMMON_EVENTS: Final = (
    "BackOff",
    "Created",
    "Killing",
    "LeaderElection",
    "NoPods",
    "Provisioning",
    "ProvisioningSucceeded",
    "Pulled",
    "Pulling",
    "ScalingReplicaSet",
    "Scheduled",
    "Started",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "Unhealthy",
    "WaitForFirstConsumer",
)
"""Reasons of events that say nothing which pods do not say themselves: the bulk of a cluster's events is left there."""

ASSISTANT: Final = Kind(API_VERSION, KIND, "voiceassistants")
CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
"""All of them: one that an assistant is told to use has no label of ours."""
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments", _OURS)
POD: Final = Kind("v1", "Pod", "pods", "app.kubernetes.io/name=parley")
EVENT: Final = Kind("v1", "Event", "events", fields=",".join(f"reason!={reason}" for reason in _COMMON_EVENTS))
REVISION: Final = Kind("apps/v1", "ControllerRevision", "controllerrevisions", _OURS)
SECRET: Final = Kind("v1", "Secret", "secrets")
"""Got by name alone, and never watched."""
NEWS: Final = Kind("events.k8s.io/v1", "Event", "events")
"""Written only."""

CHILDREN: Final = (
    Kind("v1", "ServiceAccount", "serviceaccounts", _OURS),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", _OURS),
    Kind("v1", "ConfigMap", "configmaps", _OURS),
    CLAIM,
    Kind("v1", "Service", "services", _OURS),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses", _OURS),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", _OURS),
    Kind("apps/v1", "StatefulSet", "statefulsets", _OURS),
    DEPLOYMENT,
    Kind("batch/v1", "Job", "jobs", _OURS),
    REVISION,
)
WATCHED: Final = (ASSISTANT, *CHILDREN, POD, EVENT)

_BY_NAME: Final = {kind.name: kind for kind in (EVENT, ASSISTANT, SECRET, POD, *CHILDREN)}


def kind_named(name: str) -> Kind:
    """Return a kind by its name in manifests.

    Raises:
        KeyError: the operator does not deal with it.
    """
    return _BY_NAME[name]
