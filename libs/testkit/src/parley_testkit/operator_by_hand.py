"""What the operator decides, carried out on a real control plane by a test: look, judge, plan, apply, report, once.

It has no watches, no queue and no retries: a test says when it looks. So what is wrong here is wrong in what decides.
"""

import base64
import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from typing import Final

from parley_contract.resource.status import Status
from parley_contract.services import SERVICES
from parley_operator.actions import Action, Create, Delete
from parley_operator.failures import failures
from parley_operator.judgement import Facts, judge, values_to_read
from parley_operator.plan import Observed, plan
from parley_operator.resources.objects import (
    FIELD_MANAGER,
    PUBLIC_KEY,
    Installation,
    Object,
    all_labels,
    value_hash,
)
from parley_operator.resources.secrets import SEED_KEY, NkeyPair
from parley_operator.seen import Seen
from parley_operator.status import as_document, status
from parley_runtime.broker import new_seed, public_key
from parley_testkit.control_plane.access import Access
from parley_testkit.control_plane.waiting import WAIT_S

KIND: Final = "parley.dev/v1alpha1/voiceassistants"
_RESOURCES: Final[Mapping[tuple[str, str], str]] = {
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "PersistentVolumeClaim"): "persistentvolumeclaims",
    ("v1", "Secret"): "secrets",
    ("v1", "Service"): "services",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("apps/v1", "ControllerRevision"): "controllerrevisions",
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("batch/v1", "Job"): "jobs",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
}
_APPLY: Final = {"Content-Type": "application/apply-patch+yaml"}
_ROUND_S: Final = 0.1


class Hand:
    """Does for one assistant what the operator does for all."""

    def __init__(self, access: Access, namespace: str, name: str, installation: Installation | None = None) -> None:
        """Act with somebody's access on an assistant that is there."""
        self._access = access
        self._namespace = namespace
        self._name = name
        self._installation = installation or Installation()

    def look_and_act(self) -> tuple[tuple[Action, ...], Status]:
        """Do what is to be done now, report, and return both.

        Raises:
            httpx.HTTPStatusError: the API server refused something.
        """
        resource = self._access.get(KIND, self._name, self._namespace)
        children = self.children()
        revisions = [each for each in children if each["kind"] == "ControllerRevision"]
        values = {value: found for value in values_to_read(resource, revisions) if (found := self._value(*value))}
        uid, now = resource["metadata"]["uid"], dt.datetime.now(dt.UTC)
        seeds = {service: self._seed(f"{self._name}-nats-{service}") for service in SERVICES}
        new = {service: new_seed() for service, seed in seeds.items() if not seed}
        judgement = judge(
            resource, revisions, Facts(values=frozenset(values), secrets=frozenset(name for name, _ in values))
        )
        made = plan(
            judgement,
            Observed(
                uid=uid,
                children=children,
                broker_keys={
                    service: seed["metadata"]["annotations"][PUBLIC_KEY] for service, seed in seeds.items() if seed
                },
                new_keys={service: NkeyPair(seed, public_key(seed)) for service, seed in new.items()},
                hashes={
                    **{value: value_hash(uid, found) for value, found in values.items()},
                    **{
                        (seed["metadata"]["name"], SEED_KEY): value_hash(uid, base64.b64decode(seed["data"][SEED_KEY]))
                        for seed in seeds.values()
                        if seed
                    },
                },
            ),
            self._installation,
            now,
        )
        for action in made.actions:
            self._do(action)
        seen = self._seen(made.actions, children)
        pods = tuple(self._list("v1/pods", labels=f"app.kubernetes.io/instance={self._name}"))
        told = failures(pods=pods, children=seen, events=self._events())
        current = status(
            Seen(judgement=judgement, context=made.context, children=seen, pods=pods, failures=told),
            resource.get("status", {}),
            now,
        )
        self._report(current)
        return made.actions, current

    def until(self, holds: Callable[[Status], object], *, within_s: float = 2 * WAIT_S) -> Status:
        """Look and act until the status is as it should be and there is nothing left to do.

        Raises:
            AssertionError: it never was; the message is the status seen last.
        """
        deadline = time.monotonic() + within_s
        while True:
            actions, current = self.look_and_act()
            if not actions and holds(current):
                return current
            if time.monotonic() > deadline:
                said = json.dumps(as_document(current), indent=2)
                raise AssertionError(f"not within {within_s:g} s; {len(actions)} actions are left; the status:\n{said}")
            time.sleep(_ROUND_S)

    def children(self) -> tuple[Object, ...]:
        """Return everything that says that it is the assistant's, but Secrets and pods."""
        labels = ",".join(f"{key}={value}" for key, value in all_labels(self._name).items())
        return tuple(
            # A list says once for all what its items are.
            {"apiVersion": version, "kind": kind, **item}
            for (version, kind), resource in _RESOURCES.items()
            if kind != "Secret"
            for item in self._list(f"{version}/{resource}", labels=labels)
        )

    def _seen(self, actions: tuple[Action, ...], before: tuple[Object, ...]) -> tuple[Object, ...]:
        return self.children() if actions else before

    def _list(self, kind: str, *, labels: str = "") -> list[Object]:
        return self._access.find(kind, self._namespace, labels=labels)

    def _events(self) -> list[Object]:
        events = [
            each for each in self._list("v1/events") if each["type"] == "Warning" or each["reason"] == "FailedBinding"
        ]
        return sorted(events, key=lambda each: str(each["metadata"]["creationTimestamp"]))

    def _seed(self, name: str) -> Object:
        return self._access.get("v1/secrets", name, self._namespace)

    def _value(self, secret: str, key: str) -> bytes:
        return base64.b64decode(self._seed(secret).get("data", {}).get(key, ""))

    def _do(self, action: Action) -> None:
        http = self._access.http
        if isinstance(action, Delete):
            options = {"preconditions": {"uid": action.uid}, "propagationPolicy": "Background"}
            path = f"{self._path(action.api_version, action.kind)}/{action.name}"
            http.request("DELETE", path, json=options).raise_for_status()
            return
        made = action.object
        path = self._path(made["apiVersion"], made["kind"])
        if isinstance(action, Create):
            http.post(path, json=made, params={"fieldManager": FIELD_MANAGER}).raise_for_status()
            return
        http.patch(
            f"{path}/{made['metadata']['name']}",
            content=json.dumps(made),
            headers=_APPLY,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        ).raise_for_status()

    def _report(self, current: Status) -> None:
        version, _, resource = KIND.rpartition("/")
        document = {
            "apiVersion": version,
            "kind": "VoiceAssistant",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "status": as_document(current),
        }
        self._access.http.patch(
            f"/apis/{version}/namespaces/{self._namespace}/{resource}/{self._name}/status",
            content=json.dumps(document),
            headers=_APPLY,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        ).raise_for_status()

    def _path(self, version: str, kind: str) -> str:
        group = "/apis" if "/" in version else "/api"
        return f"{group}/{version}/namespaces/{self._namespace}/{_RESOURCES[version, kind]}"
