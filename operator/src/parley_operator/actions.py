"""What a plan is made of: three things that can be done to an object, and how observed objects are found.

Whoever carries them out stops at the first that fails, unless nothing rests on it; the next look begins with what is
there.
"""

from collections.abc import Iterable, Iterator

import msgspec

from parley_operator.resources.objects import Object


class Create(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make an object that must not be there yet. If it is, somebody else was at work: stop and look again."""

    object: Object


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Apply an object on the server's side, with our field manager, by force."""

    object: Object
    is_needed: bool = True
    """Whether the rest rests on it. If not, and the API server refuses it, the rest is done all the same."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Remove an object, if it still is the one that was seen, and let Kubernetes remove what belongs to it."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str


Action = Create | Apply | Delete


def delete(child: Object) -> Delete:
    """Remove an object that was seen."""
    meta = child["metadata"]
    return Delete(
        api_version=child["apiVersion"],
        kind=child["kind"],
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
    )


def of_kind(there: Iterable[Object], kind: str) -> Iterator[Object]:
    """Return the objects of a kind."""
    return (each for each in there if each["kind"] == kind)


def find(there: Iterable[Object], kind: str, name: str) -> Object | None:
    """Return the object of a kind and name."""
    return next((each for each in of_kind(there, kind) if each["metadata"]["name"] == name), None)
