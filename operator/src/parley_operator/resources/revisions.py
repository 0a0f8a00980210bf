"""ControllerRevisions: the spec that was accepted last, as it was written, so that a refused one leaves it running."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from parley_operator.resources.objects import Context, Object, component_of, digest, metadata

COMPONENT: Final = "spec"


def revision(context: Context, written: Mapping[str, Any], generation: int) -> Object:
    """Make the record of an accepted spec; its name says what is in it, for its content can never change."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(context, f"spec-{generation}-{digest(written)[:6]}", COMPONENT),
        "data": {"spec": dict(written)},
        "revision": generation,
    }


def newest(revisions: Iterable[Object]) -> Object | None:
    """Return the record of the spec that was accepted last; a StatefulSet's records of itself are none."""
    ours = (each for each in revisions if component_of(each) == COMPONENT)
    return max(ours, key=lambda each: (each.get("revision", 0), each["metadata"]["name"]), default=None)


def written_in(found: Object) -> Mapping[str, Any]:
    """Return the spec in a record."""
    spec: Mapping[str, Any] = found.get("data", {}).get("spec", {})
    return spec
