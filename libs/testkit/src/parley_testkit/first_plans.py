"""What the operator does first for an assistant, as YAML that a person can read: the golden manifests of the samples.

Keys, hashes and times are made up and always the same, so that a difference is one of the plan.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from parley_contract.services import SERVICES, Service
from parley_operator.actions import Action, Delete
from parley_operator.judgement import Facts, judge, values_to_read
from parley_operator.plan import Observed, Plan, plan
from parley_operator.resources.objects import Installation, Object
from parley_operator.resources.secrets import NkeyPair

UID: Final = "11111111-2222-3333-4444-555555555555"
NOW: Final = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
INSTALLATION: Final = Installation(registry="registry.example/parley", tag="0.1.0")


def resource(document: dict[str, Any], *, generation: int = 1, namespace: str = "default") -> Object:
    """Return a manifest as the API server would keep it."""
    names = {"namespace": namespace, "uid": UID, "generation": generation}
    return {**document, "metadata": {**names, **document["metadata"]}, "spec": document.get("spec", {})}


def new_keys() -> dict[Service, NkeyPair]:
    """Return a pair per service that is no pair at all."""
    return {
        service: NkeyPair(seed=f"SU{service.upper():A<56}", public_key=f"U{service.upper():A<55}")
        for service in SERVICES
    }


def first_plan(document: dict[str, Any]) -> Plan:
    """Plan for an assistant of which nothing is there but the Secrets that it names."""
    there = resource(document)
    values = values_to_read(there, ())
    judgement = judge(there, (), Facts(values=values, secrets=frozenset(secret for secret, _ in values)))
    observed = Observed(uid=UID, new_keys=new_keys(), hashes={value: f"hash-of-{value[1]}" for value in values})
    return plan(judgement, observed, INSTALLATION, NOW)


def sample_plans(path: Path) -> str:
    """Return the first plans of all assistants of a file, action by action."""
    documents = yaml.safe_load_all(path.read_text())
    return "".join(line for document in documents for line in _lines(first_plan(document).actions))


def _lines(actions: tuple[Action, ...]) -> Iterator[str]:
    for action in actions:
        assert not isinstance(action, Delete), "the first plan removes something"  # noqa: S101  # this is for tests
        yield f"--- # {type(action).__name__.lower()}\n"
        yield yaml.dump(action.object, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and everything out."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # yaml's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
