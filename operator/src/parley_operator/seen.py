"""What was seen of an assistant at one moment: what `conditions` and `status` speak of."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from parley_contract.components import ComponentName, ModelNeed
from parley_operator.actions import find
from parley_operator.judgement import Judgement
from parley_operator.pod_failures import Failure
from parley_operator.resources.objects import Context, Object, child_name, model_key


class Seen(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What was seen of an assistant."""

    judgement: Judgement
    context: Context | None = None
    """What children were made from; None while nothing was ever accepted."""
    children: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    failures: tuple[Failure, ...] = ()
    """Of pods and children, and of what the API server did not take."""
    waits_for: str = ""
    """The assistant, as `namespace/name`, that gets new images first; empty for none."""
    agent: Mapping[str, Any] | None = None
    """The agent's `/status`; None where it was not asked, or did not answer."""

    @property
    def is_suspended(self) -> bool:
        """Whether nothing shall run."""
        return self.context is not None and self.context.assistant.spec.suspend

    @property
    def llm_name(self) -> str:
        """The language model; empty while nothing was ever accepted."""
        return self.context.assistant.spec.llm.model if self.context else ""

    def names(self) -> tuple[ComponentName, ...]:
        """Return what runs in pods."""
        return tuple(component.name for component in self.context.components) if self.context else ()

    def workload(self, name: str) -> Object | None:
        """Return the Deployment or StatefulSet of a component, if it is there."""
        if self.context is None:
            return None
        kind = "StatefulSet" if name == "nats" else "Deployment"
        return find(self.children, kind, child_name(self.context, name))

    def is_ready(self, name: str) -> bool:
        """Whether a pod of the component can do its work."""
        there = self.workload(name) or {}
        return int(there.get("status", {}).get("readyReplicas") or 0) > 0 and not self.is_suspended

    def failure_of(self, *components: str) -> Failure | None:
        """Return what keeps any of these from its work."""
        return next((failure for failure in self.failures if failure.component in components), None)

    def missing(self, name: str | None = None) -> tuple[ModelNeed, ...]:
        """Return the models that are not there yet, of one component or of all."""
        if self.context is None:
            return ()
        needs = [
            need
            for component in self.context.components
            if name in {None, component.name}
            for need in self.context.missing(component)
        ]
        return tuple({model_key(need): need for need in needs}.values())


def node_of(pods: Sequence[Object], component: str) -> str:
    """Return the node of a component's first living pod that has one; empty for none."""
    nodes = sorted(
        str(pod.get("spec", {}).get("nodeName") or "")
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == component
        and "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in {"Failed", "Succeeded"}
    )
    return next((node for node in nodes if node), "")
