"""Whether an object on the cluster is what it should be: nothing is written where nothing has to change.

The hash of what was applied last finds what we would take away; the comparison finds what somebody else changed. What
others added, and what the API server filled in, is theirs.
"""

from collections.abc import Mapping
from typing import Any, Final

from parley_operator.resources.claims import amount
from parley_operator.resources.objects import APPLIED, Object, digest

_KEYS: Final = ("name", "mountPath", "containerPort", "port", "uid")
"""What tells the entries of a list apart, as far as Kubernetes merges that list; in this order."""


def marked(wanted: Object) -> Object:
    """Return an object as it is applied: with the hash of what is applied."""
    meta = wanted["metadata"]
    return {**wanted, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), APPLIED: digest(wanted)}}}


def differs(wanted: Object, there: Mapping[str, Any]) -> bool:
    """Say whether an object that is there has to be applied again."""
    annotations = there.get("metadata", {}).get("annotations") or {}
    return annotations.get(APPLIED) != digest(wanted) or not covers(there, wanted)


def covers(there: object, wanted: object) -> bool:
    """Say whether everything that is wanted is there; there may be more. Both are made of JSON's own types."""
    if there == wanted:
        return True
    if isinstance(wanted, dict):
        # The API server leaves out what says nothing: false, an empty list.
        return all(covers(there.get(key), wanted[key]) for key in wanted) if isinstance(there, dict) else not wanted
    if isinstance(wanted, list):
        return _covers_list(there if isinstance(there, list) else [], wanted)
    return not wanted if there is None else _is_same_amount(there, wanted)


def _covers_list(there: list[Any], wanted: list[Any]) -> bool:
    key = _key(wanted)
    if key is None:
        return len(there) == len(wanted) and all(map(covers, there, wanted))
    by_key = {entry.get(key): entry for entry in there if isinstance(entry, dict)}
    return all(entry[key] in by_key and covers(by_key[entry[key]], entry) for entry in wanted)


def _key(entries: list[Any]) -> str | None:
    """Return what tells the entries apart; None where nothing does, and their order counts."""
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        return None
    for key in _KEYS:
        values = {entry.get(key) for entry in entries if isinstance(entry.get(key), str | int)}
        if len(values) == len(entries):
            return key
    return None


def _is_same_amount(there: object, wanted: object) -> bool:
    """Say whether two quantities are the same, whichever way they are written."""
    try:
        return _milli(str(there)) == _milli(str(wanted))
    except (KeyError, ValueError):
        return False


def _milli(quantity: str) -> int:
    return round(float(quantity[:-1])) if quantity.endswith("m") else amount(quantity) * 1000
