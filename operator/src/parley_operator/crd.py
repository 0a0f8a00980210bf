"""The CustomResourceDefinition, made from the typed model: `python -m parley_operator.crd > crds/…` (`make crds`).

The operator never calls this; a test holds the file and the model equal.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from parley_contract.profiles import LANGUAGES, PROFILES
from parley_contract.resource import API_VERSION, KIND, Spec
from parley_contract.resource.status import Status
from parley_operator.rules import NAME_RULE, SPEC_RULES, Rule
from parley_operator.schemas import Filled, Schema, schema_of

GROUP: Final = API_VERSION.partition("/")[0]
VERSION: Final = API_VERSION.partition("/")[2]
PLURAL: Final = "voiceassistants"

_NAME_MAX_LENGTH: Final = 253
"""What Kubernetes itself allows: the bound makes the rule about names cheap, and lets the rule speak."""


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["va"],
                "categories": ["parley"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _whole()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(_columns()),
                }
            ],
        },
    }


def text() -> str:
    """Return the definition as YAML."""
    head = "# Made from parley_contract.resource by `make crds`; do not edit.\n"
    return head + yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def governed() -> frozenset[str]:
    """Return the paths below spec that a profile or a language fills in: the schema must not come before them."""
    return frozenset(path for table in (*PROFILES.values(), *LANGUAGES.values()) for path in _leaves(table))


def _leaves(table: Mapping[str, object], path: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def _whole() -> Schema:
    spec = schema_of(Spec, Filled(elsewhere=governed()))
    spec["description"] = "What you want. Everything has a value without a word: `status.effective` shows what holds."
    # So that the defaults of its fields, which columns show, are written where nothing is.
    spec["default"] = {}
    spec["x-kubernetes-validations"] = _validations(SPEC_RULES)
    return {
        "type": "object",
        "description": "A voice assistant: one that hears, thinks and speaks, with all that it runs.",
        "x-kubernetes-validations": _validations((NAME_RULE,)),
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": _NAME_MAX_LENGTH}},
            },
            "spec": spec,
            "status": schema_of(Status, Filled(with_defaults=False)),
        },
    }


def _validations(rules: Iterable[Rule]) -> list[dict[str, str]]:
    return [
        {"rule": rule.cel, "message": rule.message, **({"fieldPath": rule.path} if rule.path else {})} for rule in rules
    ]


def _columns() -> Iterator[dict[str, Any]]:
    yield _column("Ready", "string", _condition("Ready", "status"), "Whether all of it can do its work.")
    yield _column("Phase", "string", ".status.phase", "Where it stands, in one word.")
    yield _column("Language", "string", ".spec.language", "What is spoken.")
    yield _column("E2FT", "integer", ".status.e2ft.p50Ms", "From the end of speech to the first token: median, in ms.")
    yield _column("VRAM", "integer", ".status.vram.plannedMiB", "What the models are reckoned to take, in MiB.")
    yield _column("Age", "date", ".metadata.creationTimestamp", "How long it has been there.")
    wide = 1
    yield _column("Models", "string", ".status.effective.models", "Who hears, thinks and speaks.", wide)
    yield _column("Nodes", "string", ".status.effective.nodes", "Where the pods run.", wide)
    yield _column("Reason", "string", _condition("Ready", "reason"), "Why it is ready, or is not.", wide)


def _column(name: str, kind: str, path: str, description: str, priority: int = 0) -> dict[str, Any]:
    wide = {"priority": priority} if priority else {}
    return {"name": name, "type": kind, "jsonPath": path, "description": description, **wide}


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


class _Dumper(yaml.SafeDumper):
    """Writes everything out: Kubernetes' own tools write no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # yaml's signature
        return True


if __name__ == "__main__":
    sys.stdout.write(text())
