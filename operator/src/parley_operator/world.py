"""What the watches told of the cluster, by assistant: where a look begins, without asking the API server.

Pure. Objects are kept as JSON without what nobody reads (`keeping`), which takes far less than mappings: two hundred
assistants have ten thousand. `handlers` and `reconciling` put in what they see and what they wrote; whatever is older
than what is there is dropped, so that an answer is not undone by an event that was under way. Who puts something in is
told whether that changed anything: what the operator wrote itself comes back from the watch, and is no news.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from parley_contract.resource import KIND
from parley_operator.keeping import kept as kept_of
from parley_operator.resources.objects import Object, assistant_of

Key = tuple[str, str]
"""Namespace and name of an assistant."""
_Place = tuple[str, str, str]
"""Kind, namespace and name of an object."""

_TELLING_EVENTS: Final = frozenset(
    {
        "FailedAttachVolume",
        "FailedBinding",
        "FailedCreate",
        "FailedCreatePodSandBox",
        "FailedMount",
        "ProvisioningFailed",
    }
)
"""Reasons that `failures` reads."""
_DECODE: Final = msgspec.json.Decoder()
_ENCODE: Final = msgspec.json.Encoder()


class Token(NamedTuple):
    """Where a spec says that a Discord token is."""

    key: Key
    """Whose."""
    secret: str
    secret_key: str
    is_accepted: bool
    """Whether the spec was accepted, or only written."""


class _Kept(NamedTuple):
    uid: str
    version: int
    body: bytes


class World:
    """Everything that is watched."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._objects: dict[_Place, _Kept] = {}
        self._children: dict[Key, set[_Place]] = {}
        self._events: dict[str, dict[str, _Kept]] = {}
        self._claims: dict[Key, str] = {}
        self._tokens: dict[_Place, Token] = {}

    # --- What is told -------------------------------------------------------------------------------------------------

    def put(self, seen: Mapping[str, Any]) -> bool:
        """Keep an object as it is now, unless something newer of it is there; return whether anything happened."""
        meta = seen["metadata"]
        kept = _Kept(meta["uid"], _version(meta), b"")
        if seen["kind"] == "Event":
            return self._put_event(seen, kept)
        place = _place(seen)
        there = self._objects.get(place)
        if there is not None and there.uid == kept.uid and there.version >= kept.version:
            return False
        self._objects[place] = kept = kept._replace(body=_body(seen))
        if there is not None and (there.uid, there.body) == (kept.uid, kept.body):
            return False
        spec = seen.get("spec") or {}
        if seen["kind"] == KIND:
            key = (meta["namespace"], meta["name"])
            self._claims[key] = str((((spec.get("storage") or {}).get("modelCache")) or {}).get("existingClaim") or "")
            self._note_token(place, key, spec)
        elif name := assistant_of(seen):
            key = (meta["namespace"], name)
            self._children.setdefault(key, set()).add(place)
            if seen["kind"] == "ControllerRevision":
                self._note_token(place, key, (seen.get("data") or {}).get("spec") or {})
        return True

    def _put_event(self, seen: Mapping[str, Any], kept: _Kept) -> bool:
        if seen.get("reason") not in _TELLING_EVENTS:
            return False
        meta = seen["metadata"]
        self._events.setdefault(meta["namespace"], {})[meta["name"]] = kept._replace(body=_body(seen))
        return True

    def remove(self, gone: Mapping[str, Any]) -> bool:
        """Forget an object that is gone, unless another one of its name is there; return whether it was held."""
        meta = gone["metadata"]
        if gone["kind"] == "Event":
            self._events.get(meta["namespace"], {}).pop(meta["name"], None)
            return False
        place = _place(gone)
        there = self._objects.get(place)
        if there is None or (meta.get("uid") and there.uid != meta["uid"]):
            return False
        del self._objects[place]
        self._tokens.pop(place, None)
        if gone["kind"] == KIND:
            del self._claims[meta["namespace"], meta["name"]]
            return True
        for key in [key for key, places in self._children.items() if key[0] == meta["namespace"] and place in places]:
            self._children[key].discard(place)
            if not self._children[key]:
                del self._children[key]
        return True

    def keys_of(self, seen: Mapping[str, Any]) -> tuple[Key, ...]:
        """Return the assistants that an object is about."""
        meta = seen["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        if seen["kind"] == KIND:
            return ((namespace, name),)
        if seen["kind"] == "Event":
            if seen.get("reason") not in _TELLING_EVENTS:
                return ()
            about = str((seen.get("involvedObject") or {}).get("name", ""))
            return tuple(key for key in self._claims if key[0] == namespace and about.startswith(f"{key[1]}-"))
        found = {(namespace, assistant)} if (assistant := assistant_of(seen)) else set()
        if seen["kind"] == "PersistentVolumeClaim":
            found |= {key for key, claim in self._claims.items() if key[0] == namespace and name == claim}
        return tuple(found)

    def keys_of_held(self, place: Mapping[str, Any]) -> tuple[Key, ...]:
        """Return the same of an object of which only kind, namespace and name are known."""
        held = self._get(_place(place))
        return () if held is None else self.keys_of(held)

    # --- What is asked ------------------------------------------------------------------------------------------------

    def keys(self) -> tuple[Key, ...]:
        """Return every assistant."""
        return tuple(self._claims)

    def assistant(self, key: Key) -> Object | None:
        """Return an assistant; None if there is none."""
        return self._get((KIND, *key))

    def children(self, key: Key) -> tuple[Object, ...]:
        """Return what has an assistant's labels, but its pods."""
        return tuple(self._of(key, is_pod=False))

    def pods(self, key: Key) -> tuple[Object, ...]:
        """Return an assistant's pods."""
        return tuple(self._of(key, is_pod=True))

    def claim(self, namespace: str, name: str) -> Object | None:
        """Return a claim, whoever's it is."""
        return self._get(("PersistentVolumeClaim", namespace, name))

    def events(self, key: Key) -> list[Object]:
        """Return the events about an assistant's children and pods, the latest last."""
        found = [_decoded(each) for each in self._events.get(key[0], {}).values()]
        about = [each for each in found if str(each["involvedObject"].get("name", "")).startswith(f"{key[1]}-")]
        return sorted(about, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))

    def tokens(self) -> tuple[Token, ...]:
        """Return where assistants have their Discord tokens: by what was written, and by what was accepted."""
        return tuple(self._tokens.values())

    def contenders(self) -> frozenset[Key]:
        """Return the assistants that ask for a Discord token and were not accepted with one."""
        places = self.tokens()
        return frozenset(each.key for each in places) - {each.key for each in places if each.is_accepted}

    def places(self, kind: str) -> dict[_Place, tuple[str, int]]:
        """Return where objects of a kind are held to be, with uid and version."""
        return {place: (kept.uid, kept.version) for place, kept in self._objects.items() if place[0] == kind}

    def __len__(self) -> int:
        """Return how many objects are kept."""
        return len(self._objects)

    def _note_token(self, place: _Place, key: Key, spec: Mapping[str, Any]) -> None:
        ref = ((spec.get("doors") or {}).get("discord") or {}).get("tokenSecretRef")
        self._tokens.pop(place, None)
        if ref:
            self._tokens[place] = Token(key, str(ref.get("name")), str(ref.get("key")), place[0] != KIND)

    def _of(self, key: Key, *, is_pod: bool) -> Iterator[Object]:
        for place in sorted(self._children.get(key, ())):
            if (place[0] == "Pod") == is_pod:
                yield _decoded(self._objects[place])

    def _get(self, place: _Place) -> Object | None:
        kept = self._objects.get(place)
        return None if kept is None else _decoded(kept)


def ghosts(
    held: Mapping[_Place, tuple[str, int]], there: Iterable[Mapping[str, Any]], kind: str
) -> Iterator[Mapping[str, Any]]:
    """Return what is held to be there and is not: a watch that broke for too long tells of no deletion.

    Args:
        held: `World.places`, from before it was asked what is there.
        there: metadata of all objects of the kind.
        kind: of both.
    """
    real = {(kind, each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in there}
    for place, (uid, _) in held.items():
        if place not in real:
            yield {"kind": kind, "metadata": {"namespace": place[1], "name": place[2], "uid": uid}}


def _place(seen: Mapping[str, Any]) -> _Place:
    return seen["kind"], seen["metadata"]["namespace"], seen["metadata"]["name"]


def _version(meta: Mapping[str, Any]) -> int:
    """Return a resourceVersion as a number, which those of one kind are compared by (KEP-5504)."""
    text = str(meta.get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _body(seen: Mapping[str, Any]) -> bytes:
    return _ENCODE.encode(kept_of(seen))


def _decoded(kept: _Kept) -> Object:
    found: Object = _DECODE.decode(kept.body)
    return found
