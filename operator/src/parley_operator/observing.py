"""One look at an assistant: what the watches told of it, what its Secrets hold, and what is judged of that.

The only part of a look that asks the API server, and only for Secrets.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Final

import msgspec

from parley_contract.errors import PermanentError
from parley_contract.resource import KIND
from parley_operator.actions import of_kind
from parley_operator.cluster import ConflictError
from parley_operator.judgement import Facts, Judgement, Value, judge, values_to_read
from parley_operator.plan import Observed
from parley_operator.resources import secrets as seeds
from parley_operator.resources.objects import Context, Object, value_hash
from parley_operator.resources.secrets import SEED_KEY
from parley_operator.secret_values import Secrets, new_pair, public_key
from parley_operator.world import Key, World

_PROCESS: Final = os.urandom(16)
"""Keys the digests that tokens are compared by: they mean nothing outside of this process."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    judgement: Judgement
    observed: Observed


async def look(world: World, secrets: Secrets, key: Key, resource: Object) -> Look:
    """Look at an assistant.

    Raises:
        ConflictError: an earlier assistant of this name is still being removed.
        RetryableError, PermanentError: a Secret could not be read.
    """
    uid = str(resource["metadata"]["uid"])
    children = world.children(key)
    _look_for_remains(children, uid)
    revisions = tuple(of_kind(children, "ControllerRevision"))
    found = await _values(secrets, key[0], values_to_read(resource, revisions))
    facts = Facts(
        values=frozenset(found.values),
        secrets=found.secrets,
        empty=found.empty,
        token_owner=await _token_owner(world, secrets, key),
    )
    judgement = judge(resource, revisions, facts)
    observed = await _with_seeds(
        secrets,
        judgement,
        Observed(
            uid=uid,
            children=_with_claim(world, key, judgement, children),
            hashes={value: value_hash(uid, data) for value, data in found.values.items()},
        ),
    )
    return Look(judgement=judgement, observed=observed)


class _Found(msgspec.Struct, frozen=True):
    values: Mapping[Value, bytes]
    secrets: frozenset[str]
    empty: frozenset[Value]


async def _values(secrets: Secrets, namespace: str, wanted: frozenset[Value]) -> _Found:
    values: dict[Value, bytes] = {}
    there: set[str] = set()
    empty: set[Value] = set()
    for name, key in sorted(wanted):
        secret = await secrets.read(namespace, name)
        if secret is not None:
            there.add(name)
            if secret.data.get(key, b"").strip():
                values[name, key] = secret.data[key]
            elif key in secret.data:
                empty.add((name, key))
    return _Found(values, frozenset(there), frozenset(empty))


def _look_for_remains(children: tuple[Object, ...], uid: str) -> None:
    for child in children:
        for owner in child["metadata"].get("ownerReferences") or []:
            if owner.get("kind") == KIND and owner.get("uid") != uid:
                where = f"{child['kind']} {child['metadata']['name']}"
                raise ConflictError(f"{where} belongs to an earlier assistant of this name, and is about to go")


def _with_claim(world: World, key: Key, judgement: Judgement, children: tuple[Object, ...]) -> tuple[Object, ...]:
    """Return the children, and the claim of the owner's that holds the models."""
    if judgement.assistant is None:
        return children
    name = judgement.assistant.spec.storage.model_cache.existing_claim
    claim = world.claim(key[0], name) if name else None
    known = {child["metadata"]["uid"] for child in children}
    return children if claim is None or claim["metadata"]["uid"] in known else (*children, claim)


async def _with_seeds(secrets: Secrets, judgement: Judgement, observed: Observed) -> Observed:
    """Return what was observed with the keys of the assistant's own broker, new ones where there are none."""
    if judgement.assistant is None:
        return observed
    bare = Context(assistant=judgement.assistant, uid=observed.uid)
    keys = dict(observed.broker_keys)
    hashes = dict(observed.hashes)
    new = dict(observed.new_keys)
    for service in seeds.missing_seeds(bare):
        name = seeds.seed_name(bare, service)
        secret = await secrets.read(bare.namespace, name)
        if secret is not None and not secret.owners:
            advice = f"the key of {service} belongs into one of this name: keep yours under another, and delete it"
            raise PermanentError(f"the Secret {name} is somebody else's: {advice}")
        if secret is None or observed.uid not in secret.owners:
            new[service] = new_pair()  # one of an earlier assistant's is about to go, until when ours cannot be made
            continue
        seed = secret.data.get(SEED_KEY, b"")
        found = public_key(seed)
        if found is None:
            advice = "delete the Secret, and it is made anew"
            raise PermanentError(f"the Secret {name} holds no seed of an nkey under {SEED_KEY}: {advice}")
        keys[service] = found
        hashes[name, SEED_KEY] = value_hash(observed.uid, seed)
    return msgspec.structs.replace(observed, broker_keys=keys, new_keys=new, hashes=hashes)


async def _token_owner(world: World, secrets: Secrets, key: Key) -> str:
    """Return the assistant that had this one's Discord token first.

    Who runs with it comes before who only asks for it; then, who is older.
    """
    places = world.tokens()
    if not any(place.key == key and not place.is_accepted for place in places):
        return ""
    found: set[tuple[Key, bool, bytes]] = set()
    for place in places:
        secret = await secrets.read(place.key[0], place.secret)
        value = None if secret is None else secret.data.get(place.secret_key)
        if value is not None:
            # With or without the end of the line that it was written in, it is the same bot's.
            found.add((place.key, place.is_accepted, hashlib.blake2b(value.strip(), key=_PROCESS).digest()))
    mine = next((digest for owner, is_accepted, digest in found if owner == key and not is_accepted), None)
    created = {
        owner: str(there["metadata"].get("creationTimestamp", ""))
        for owner, _, digest in found
        if digest == mine and (there := world.assistant(owner)) is not None
    }
    first = min(created, key=lambda owner: ((owner, True, mine) not in found, created[owner], owner), default=key)
    return "" if first == key else "/".join(first)
