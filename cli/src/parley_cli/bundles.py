"""What a bundle about an assistant on a cluster is made of, and what is left out of it. Pure.

Secrets are never asked for. What people said is in no object and no log of ours. What the owner tells the model to be
is in several: it is left out, with whatever looks like a password. `report_command` asks, and writes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

_KINDS: Final = (
    "deployments",
    "statefulsets",
    "pods",
    "jobs",
    "persistentvolumeclaims",
    "services",
    "configmaps",
    "networkpolicies",
    "ingresses",
    "poddisruptionbudgets",
    "serviceaccounts",
    "controllerrevisions",
)
"""What an assistant has, but its Secrets."""
_TAIL: Final = "--tail=2000"
_OPERATOR: Final = "--selector=app.kubernetes.io/name=parley-operator"
_PRIVATE: Final = re.compile(r"systemPrompt|.*PROMPT|.*(TOKEN|SECRET|PASSWORD|PASSWD|_KEY)", re.IGNORECASE)
"""Fields, and environment variables, whose text is left out. What names a Secret is an object, and stays."""
_USER: Final = re.compile(r"(?<=:)//[^\s/@]+@")
"""Whom an address names for its server to let in, mostly with a password."""
_NOISE: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""Who wrote what, and a copy of the manifest as text, in which nothing could be left out."""


class Question(NamedTuple):
    """A file of the bundle, and what kubectl is asked for it."""

    file: str
    words: tuple[str, ...]


def questions(name: str, namespace: str, operator_namespace: str) -> tuple[Question, ...]:
    """Return everything that is asked about an assistant."""
    here, ours = f"--namespace={namespace}", f"--selector=app.kubernetes.io/instance={name}"
    there = f"--namespace={operator_namespace}"
    everything = ("--all-containers", "--prefix", "--ignore-errors", "--max-log-requests=50", _TAIL)
    as_json = "--output=json"
    return (
        Question("versions.json", ("version", as_json)),
        Question("assistant.json", ("get", f"voiceassistants/{name}", here, as_json)),
        *(Question(f"{kind}.json", ("get", kind, here, ours, as_json)) for kind in _KINDS),
        Question("events.json", ("get", "events", here, as_json)),
        Question("pods.log", ("logs", here, ours, *everything)),
        Question("pods-before.log", ("logs", here, ours, "--previous", *everything)),
        Question("nodes.json", ("get", "nodes", as_json)),
        Question("operator.json", ("get", "deployments,pods", there, _OPERATOR, as_json)),
        Question("operator.log", ("logs", there, _OPERATOR, *everything)),
    )


def kept(file: str, said: str, name: str, namespace: str) -> str:
    """Return what goes into the bundle of an answer.

    Args:
        file: as in `Question`.
        said: what kubectl printed.
        name: the assistant's.
        namespace: the assistant's.
    """
    if file == "operator.log":
        said = "".join(line for line in said.splitlines(keepends=True) if not _is_anothers(line, name, namespace))
    if not file.endswith(".json"):
        return _USER.sub("//(left out)@", said)
    try:
        found = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return f"no JSON: {len(said)} characters left out\n"
    if file == "events.json":
        about = [each for each in found["items"] if _is_of(each.get("involvedObject") or {}, name)]
        found = {**found, "items": about}
    return msgspec.json.format(msgspec.json.encode(without_private(found)), indent=2).decode() + "\n"


def without_private(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a document without the texts that nobody else shall read."""
    if isinstance(value, Mapping):
        if isinstance(value.get("value"), str) and _PRIVATE.fullmatch(str(value.get("name", ""))):
            return {**value, "value": _left_out(value["value"])}
        return {
            key: _left_out(each) if isinstance(each, str) and _PRIVATE.fullmatch(key) else without_private(each)
            for key, each in value.items()
            if key not in _NOISE
        }
    if isinstance(value, str):
        return _USER.sub("//(left out)@", value)
    if isinstance(value, Sequence):
        return [without_private(each) for each in value]
    return value


def _left_out(text: str) -> str:
    return f"({len(text)} characters left out)"


def _is_of(about: Mapping[str, Any], name: str) -> bool:
    what = str(about.get("name", ""))
    return what == name or what.startswith(f"{name}-")


def _is_anothers(line: str, name: str, namespace: str) -> bool:
    """Whether the operator speaks of another assistant; kubectl writes the pod's name before each line."""
    begin = line.find("{")
    try:
        said = msgspec.json.decode(line[begin:]) if begin >= 0 else {}
    except msgspec.DecodeError:
        return False
    whose = (said.get("namespace", namespace), said.get("assistant", name))
    return "assistant" in said and whose != (namespace, name)
