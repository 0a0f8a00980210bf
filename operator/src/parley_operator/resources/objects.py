"""What every object has: names, labels, its owner; and the context that all of them are made from."""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from parley_contract.components import Component, ComponentName, ModelNeed, components
from parley_contract.resource import API_VERSION, KIND, VoiceAssistant
from parley_contract.services import Service

Object = dict[str, Any]
"""A manifest, or a part of one."""

DOMAIN: Final = API_VERSION.partition("/")[0]
FIELD_MANAGER: Final = "parley-operator"
APPLIED: Final = f"{DOMAIN}/applied"
"""Annotation: what was applied last, as a hash, so that a restart finds nothing to do."""
READS: Final = f"{DOMAIN}/reads"
"""Annotation of a pod template: a hash of the Secrets and ConfigMaps that its pods read."""
PUBLIC_KEY: Final = f"{DOMAIN}/public-key"
"""Annotation of a seed's Secret: the key that the broker knows."""
MODEL: Final = f"{DOMAIN}/model"
"""Annotation of a pull Job: what it pulls."""
PULLED: Final = f"models.{DOMAIN}"
"""Prefix of the annotations of a claim that say which models are on it."""
WRITTEN_CLASS: Final = f"{DOMAIN}/storage-class"
"""Annotation of the models' claim: the class that was named when it was made, if one was."""
PULL: Final = "pull"
"""Component of pull Jobs."""

_INSTANCE: Final = "app.kubernetes.io/instance"
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided where the operator was installed; the same for all assistants."""

    namespace: str = "parley-system"
    """Where the operator runs: it may ask every service how it is."""
    labels: Mapping[str, str] = msgspec.field(default_factory=lambda: {"app.kubernetes.io/name": FIELD_MANAGER})
    """The operator's pods."""
    registry: str = ""
    """Registry and path before the names of our images, where an assistant names none."""
    tag: str = "0.1.0"
    """Tag of our images, where an assistant names none."""
    nats_image: str = "docker.io/library/nats:2.15.2-alpine"
    ollama_image: str = "docker.io/ollama/ollama:0.34.0"
    scrape_namespaces: Mapping[str, str] | None = {}
    """Labels of the namespaces whose pods may read metrics: none given, all may; None, nobody may."""
    wait_for_others_s: float = 10.0
    """So often is looked whether a Secret came, or another assistant went, that an assistant was refused for."""


class Context(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All that children are made from."""

    assistant: VoiceAssistant
    """What was accepted."""
    uid: str
    """Of the VoiceAssistant: what owns the children."""
    installation: Installation = Installation()
    broker_keys: Mapping[Service, str] = {}
    """Public nkeys, by service; all of them wherever the broker is the assistant's own."""
    hashes: Mapping[tuple[str, str], str] = {}
    """Hash of each value that pods read, by Secret and key; one that is not there is missing."""
    claim: Object | None = None
    """The claim of the models, as it is on the cluster."""
    pulled: frozenset[str] = frozenset()
    """Models that are on the claim, by `model_key`."""

    @functools.cached_property
    def components(self) -> tuple[Component, ...]:
        """What runs in pods: not what the owner runs."""
        return tuple(part for part in components(self.assistant) if not part.external_url)

    @functools.cached_property
    def all_components(self) -> Mapping[ComponentName, Component]:
        """What makes up the assistant, whoever runs it."""
        return {part.name: part for part in components(self.assistant)}

    @property
    def name(self) -> str:
        """The assistant's."""
        return self.assistant.metadata.name

    @property
    def namespace(self) -> str:
        """The assistant's."""
        return self.assistant.metadata.namespace

    @property
    def uses_gpu(self) -> bool:
        """Whether any pod computes on a card."""
        return any(component.uses_gpu for component in self.components)

    def needs(self) -> tuple[ModelNeed, ...]:
        """Return the models that have to be on the claim, each once; one that is named by its folder is the owner's."""
        needs = {
            model_key(need): need
            for component in self.components
            for need in component.models
            if "/" not in need.name or need.kind == "llm"
        }
        return tuple(needs.values())

    def missing(self, component: Component) -> tuple[ModelNeed, ...]:
        """Return the models without which a component need not start: its own, and those of whom it asks.

        So the agent goes on with the language model before until the next one is there.
        """
        wanted = {model_key(need) for need in self.needs()} - self.pulled
        asked = (self.all_components[connection.to] for connection in component.connections)
        return tuple(need for part in (component, *asked) for need in part.models if model_key(need) in wanted)


def model_key(need: ModelNeed) -> str:
    """Return what stands for a model in names of objects and annotations."""
    return hashlib.sha256(f"{need.kind}/{need.name}".encode()).hexdigest()[:10]


def child_name(context: Context, suffix: str) -> str:
    """Return the name of a child: the assistant's, and what it is."""
    return f"{context.name}-{suffix}"


def labels(context: Context, component: str) -> dict[str, str]:
    """Return the labels of a child."""
    return {**selector(context, component), _MANAGED_BY: FIELD_MANAGER}


def selector(context: Context, component: str) -> dict[str, str]:
    """Return the labels by which pods are found; a Deployment's can never change."""
    return {"app.kubernetes.io/name": "parley", _INSTANCE: context.name, "app.kubernetes.io/component": component}


def all_labels(name: str) -> dict[str, str]:
    """Return the labels by which every child of an assistant is found."""
    return {_INSTANCE: name, _MANAGED_BY: FIELD_MANAGER}


def assistant_of(child: Mapping[str, Any]) -> str:
    """Return the name of the assistant that a child says it belongs to; empty for one that says nothing."""
    found = (child.get("metadata", {}).get("labels") or {}).get(_INSTANCE, "")
    return str(found)


def component_of(child: Mapping[str, Any]) -> str:
    """Return the component that a child or pod says it belongs to."""
    found = (child.get("metadata", {}).get("labels") or {}).get("app.kubernetes.io/component", "")
    return str(found)


def metadata(context: Context, suffix: str, component: str, *, is_owned: bool = True) -> Object:
    """Return the metadata of a child.

    Args:
        context: whose child.
        suffix: what follows the assistant's name.
        component: which part it belongs to.
        is_owned: whether it goes with the assistant; what stays is found again by its name.
    """
    made: Object = {
        "name": child_name(context, suffix),
        "namespace": context.namespace,
        "labels": labels(context, component),
    }
    if is_owned:
        made["ownerReferences"] = [owner(context)]
    return made


def owner(context: Context) -> Object:
    """Return the reference by which Kubernetes itself removes the child; it never blocks a deletion."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": context.name,
        "uid": context.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def value_hash(uid: str, value: bytes) -> str:
    """Return what stands for a secret value in annotations.

    Keyed by the assistant and only 32 bits long: enough to see a change, too little to learn or recognize a value.
    """
    return hashlib.blake2b(value, digest_size=4, key=uid.encode()[:64]).hexdigest()


def is_ours(context: Context, child: Mapping[str, Any]) -> bool:
    """Whether this assistant owns an object: what only has its labels is left alone."""
    owners = child["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == context.uid for owner in owners)


def digest(value: object) -> str:
    """Return a short hash of a value, the same in every process."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]
