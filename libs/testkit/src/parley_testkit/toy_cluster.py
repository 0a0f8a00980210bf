"""A cluster in memory, as far as plans can tell: it keeps objects, refuses what is there already, and runs nothing.

Not an API server: no schemas, no defaults, no garbage collection, and an object that is applied replaces the one before
but for its status and what others put on it. What is true of a real one is tested on a real one.
"""

import base64
import copy
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

from parley_contract.services import SERVICES, Service
from parley_operator.actions import Action, Apply, Create
from parley_operator.judgement import Facts, Judgement, judge, values_to_read
from parley_operator.plan import Observed, Plan, plan
from parley_operator.resources.objects import PUBLIC_KEY, Object, value_hash
from parley_operator.resources.secrets import SEED_KEY, NkeyPair
from parley_testkit.first_plans import INSTALLATION, NOW, UID, resource

Key = tuple[str, str]


class AlreadyThereError(Exception):
    """Something of this name is there already."""


class ToyCluster:
    """Holds one assistant and its children."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Begin with the assistant alone."""
        self.resource: Object = resource(document)
        self.objects: Final[dict[Key, Object]] = {}
        self.secrets: Final[dict[tuple[str, str], bytes]] = {}
        """Values of the owner's Secrets, by Secret and key."""
        self.now = NOW
        self._uids = itertools.count(1)
        self._seeds = itertools.count(1)

    def write(self, spec: dict[str, Any]) -> None:
        """Change the spec, as somebody does with kubectl."""
        metadata = self.resource["metadata"]
        self.resource = {
            **self.resource,
            "metadata": {**metadata, "generation": metadata["generation"] + 1},
            "spec": spec,
        }

    # --- What the operator does ---------------------------------------------------------------------------------------

    def judgement(self) -> Judgement:
        """Judge the assistant."""
        revisions = [each for (kind, _), each in self.objects.items() if kind == "ControllerRevision"]
        values = values_to_read(self.resource, revisions) & set(self.secrets)
        return judge(self.resource, revisions, Facts(values=values, secrets=frozenset(name for name, _ in values)))

    def observed(self) -> Observed:
        """Look at everything, as an operator that has just started does."""
        keys = {service: found for service in SERVICES if (found := self._seed_of(service)) is not None}
        hashes = {value: value_hash(UID, data) for value, data in self.secrets.items()}
        return Observed(
            uid=UID,
            children=tuple(copy.deepcopy(each) for (kind, _), each in self.objects.items() if kind != "Secret"),
            broker_keys={service: each["metadata"]["annotations"][PUBLIC_KEY] for service, each in keys.items()},
            new_keys={service: self._new_pair(service) for service in SERVICES if service not in keys},
            hashes=hashes
            | {(each["metadata"]["name"], SEED_KEY): value_hash(UID, each["toy"].encode()) for each in keys.values()},
        )

    def plan(self) -> Plan:
        """Plan from what is there."""
        return plan(self.judgement(), self.observed(), INSTALLATION, self.now)

    def do(self, action: Action) -> None:
        """Carry out one action.

        Raises:
            AlreadyThereError: it was to be made, and is there.
        """
        if isinstance(action, Create | Apply):
            self._put(action)
        elif (there := self.objects.get((action.kind, action.name))) and there["metadata"]["uid"] == action.uid:
            del self.objects[action.kind, action.name]

    def do_all(self, actions: Iterable[Action]) -> None:
        """Carry out actions up to the first that fails.

        Raises:
            AlreadyThereError: one was to make what is there.
        """
        for action in actions:
            self.do(action)

    def settle(self, rounds: int = 20) -> list[Action]:
        """Plan and carry out until there is nothing to do, with every Job done at once; return what was done."""
        done: list[Action] = []
        for _ in range(rounds):
            self.finish_jobs()
            actions = self.plan().actions
            if not actions:
                return done
            for action in actions:
                self.do(action)
                done.append(action)
        raise AssertionError(f"after {rounds} rounds there still is {[*map(told, self.plan().actions)]}")

    # --- What the cluster does ----------------------------------------------------------------------------------------

    def of_kind(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind by name."""
        return {name: each for (found, name), each in self.objects.items() if found == kind}

    def finish_jobs(self) -> None:
        """Let every Job be done, and its claim be bound where it ran."""
        for name in self.of_kind("Job"):
            self.end_job(name, "Complete")
        if self.of_kind("Job"):
            for claim in self.of_kind("PersistentVolumeClaim").values():
                claim["status"] = {"phase": "Bound"}

    def end_job(self, name: str, how: str) -> None:
        """Let a Job be `Complete` or `Failed` now."""
        at = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": how, "status": "True", "lastTransitionTime": at}
        self.objects["Job", name].setdefault("status", {}).setdefault("conditions", [condition])

    def _put(self, action: Create | Apply) -> None:
        made = copy.deepcopy(action.object)
        key = made["kind"], made["metadata"]["name"]
        there = self.objects.get(key)
        if there is not None and isinstance(action, Create):
            raise AlreadyThereError(f"{key} is there already")
        made["metadata"]["uid"] = there["metadata"]["uid"] if there else f"uid-{next(self._uids)}"
        if there is not None and "status" in there:
            made["status"] = there["status"]
        if made["kind"] == "Secret":
            made["toy"] = base64.b64decode(made["data"][SEED_KEY]).decode()
        self.objects[key] = made

    def _seed_of(self, service: Service) -> Object | None:
        return self.objects.get(("Secret", f"{self.resource['metadata']['name']}-nats-{service}"))

    def _new_pair(self, service: Service) -> NkeyPair:
        number = next(self._seeds)
        return NkeyPair(seed=f"SU{service}{number}", public_key=f"U{service}{number}")


def told(action: Action) -> str:
    """Name an action: `apply Deployment/libra-asr`."""
    if isinstance(action, Create | Apply):
        return f"{type(action).__name__.lower()} {action.object['kind']}/{action.object['metadata']['name']}"
    return f"delete {action.kind}/{action.name}"


def changed(before: Object, after: Object, path: str = "") -> Iterator[str]:
    """Return the paths at which two objects differ."""
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from changed(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}"
