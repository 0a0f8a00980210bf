"""A namespace for one test: its pods must keep to the restricted level of Pod Security, as our product's do."""

from collections.abc import Callable
from typing import Final

from parley_testkit.control_plane.access import Access, Object
from parley_testkit.control_plane.stages import FATE_OF_COMPONENT, Fate
from parley_testkit.control_plane.waiting import WAIT_S, until


class Namespace:
    """One namespace and its owner's access to it; `ControlPlane.namespace` makes it and removes it."""

    def __init__(self, name: str, access: Access) -> None:
        """Speak of a namespace that is there."""
        self.name: Final = name
        self._access = access

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl here; errors as `Access.kubectl`."""
        return self._access.kubectl(*words, namespace=self.name, stdin=stdin)

    def helm(self, *words: str) -> str:
        """Run helm here; errors as `Access.helm`."""
        return self._access.helm(*words, namespace=self.name)

    def apply(self, *manifests: Object) -> None:
        """Apply objects here; errors as `Access.apply`."""
        self._access.apply(*manifests, namespace=self.name)

    def get(self, kind: str, name: str) -> Object:
        """Return an object of a kind such as `v1/pods` or `apps/v1/deployments`; an empty one if there is none."""
        return self._access.get(kind, name, self.name)

    def until(self, kind: str, name: str, holds: Callable[[Object], object], *, within_s: float = WAIT_S) -> Object:
        """Wait until an object is as it should be, and return it; errors as `waiting.until`."""
        return until(lambda: self.get(kind, name), holds, within_s=within_s)

    def find(self, kind: str, *, labels: str = "") -> list[Object]:
        """Return the objects of a kind that a label selector chooses."""
        return self._access.find(kind, self.name, labels=labels)

    def pod(self, labels: str) -> Object:
        """Return the latest pod that a label selector chooses; those that are being deleted do not count."""
        living = [pod for pod in self.find("v1/pods", labels=labels) if "deletionTimestamp" not in pod["metadata"]]
        return max(living, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default={})

    def events(self, reason: str) -> list[str]:
        """Return the messages of the events of one reason."""
        return [event.get("message", "") for event in self.find("v1/events") if event["reason"] == reason]

    def doom(self, component: str, fate: Fate, says: str = "") -> None:
        """Decide what becomes of all pods that are made from now on for a component.

        Args:
            component: the value of their label `app.kubernetes.io/component`.
            fate: what kwok plays.
            says: what the container says as it ends, or the kubelet's reason.
        """
        value = f"{fate}: {says}" if says else fate
        self._access.annotate("v1/namespaces", self.name, {f"{FATE_OF_COMPONENT}{component}": value})

    def spare(self, component: str) -> None:
        """Let the pods that are made from now on for a component be well again."""
        self._access.annotate("v1/namespaces", self.name, {f"{FATE_OF_COMPONENT}{component}": None})
