"""PersistentVolumeClaims: the models, and what the broker keeps.

The models' claim carries the list of what was pulled onto it. With `deletionPolicy: Retain` it has no owner, and the
next assistant of this name finds it as it is. A claim of the owner's gets that list and nothing else.
"""

from collections.abc import Iterator
from typing import Final

from parley_operator.resources.objects import PULLED, WRITTEN_CLASS, Context, Object, child_name, metadata, model_key

BROKER_SIZE: Final = "2Gi"
"""JetStream takes 1 GiB at most (`broker_config`), and the volume is never more than half full."""
_UNITS: Final = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    if context.needs():
        yield from _models(context)
    if any(part.name == "nats" for part in context.components):
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata(context, "nats", "nats"),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": BROKER_SIZE}},
                **_class(context.assistant.spec.storage.model_cache.storage_class_name),
            },
        }


def models_claim(context: Context) -> str:
    """Return the name of the claim that holds the models."""
    return context.assistant.spec.storage.model_cache.existing_claim or child_name(context, "models")


def pulled(claim: Object | None) -> frozenset[str]:
    """Return the models that are on a claim, by `model_key`."""
    return frozenset(key.partition("/")[2] for key in _annotations(claim) if key.startswith(f"{PULLED}/"))


def is_bound(claim: Object | None) -> bool:
    """Whether the claim has a volume, and with it a place where its pods have to run."""
    return bool(claim) and (claim or {}).get("status", {}).get("phase") == "Bound"


def is_shared(claim: Object | None) -> bool:
    """Whether pods of many nodes may mount it at once."""
    return "ReadWriteMany" in ((claim or {}).get("spec", {}).get("accessModes") or [])


def amount(quantity: str) -> int:
    """Return a quantity of storage in bytes.

    Raises:
        ValueError: it is none.
    """
    digits = quantity.rstrip("KMGTik")
    return int(float(digits) * _UNITS[quantity[len(digits) :]])


def _models(context: Context) -> Iterator[Object]:
    cache = context.assistant.spec.storage.model_cache
    if cache.existing_claim:
        # Applied before it is there, this would make it.
        if context.claim is not None:
            made: Object = {"name": cache.existing_claim, "namespace": context.namespace}
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {**made, "annotations": _notes(context)},
            }
        return
    made = metadata(context, "models", "models", is_owned=cache.deletion_policy == "Delete")
    name = _class_of(context.claim, cache.storage_class_name)
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**made, "annotations": {**_notes(context), **({} if name is None else {WRITTEN_CLASS: name})}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": _size(context.claim, cache.size)}},
            **_class(name),
        },
    }


def _notes(context: Context) -> dict[str, str]:
    """Return what is on the claim, also of models that nobody needs any more: they still lie there."""
    there = {key: name for key, name in _annotations(context.claim).items() if key.startswith(f"{PULLED}/")}
    wanted = {model_key(need): need.name for need in context.needs()}
    return {**there, **{f"{PULLED}/{key}": name for key, name in wanted.items() if key in context.pulled}}


def _size(claim: Object | None, wanted: str) -> str:
    """Return how large the claim shall be: one that is adopted may be larger, and none can shrink."""
    there = str((claim or {}).get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "0"))
    return there if amount(there) >= amount(wanted) else wanted


def _class_of(claim: Object | None, wanted: str | None) -> str | None:
    """Return the class to write: of a claim that is there, the one that was written when it was made.

    No class can be changed, and none that was written can be left out again; one that the API server filled in is not
    ours to write.
    """
    return wanted if claim is None else _annotations(claim).get(WRITTEN_CLASS)


def _class(name: str | None) -> Object:
    return {} if name is None else {"storageClassName": name}


def _annotations(claim: Object | None) -> dict[str, str]:
    return (claim or {}).get("metadata", {}).get("annotations") or {}
