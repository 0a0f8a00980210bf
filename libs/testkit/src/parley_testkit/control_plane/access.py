"""How somebody reaches the API server: a kubeconfig, and kubectl, helm and HTTP with what is in it."""

import json
import os
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from parley_testkit.control_plane.programs import Program, find_program

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

_COMMAND_S: Final = 60.0
_NOT_FOUND: Final = 404
_APPLY: Final = {"fieldManager": "parley-test", "force": "true", "fieldValidation": "Strict"}
_THE_USERS: Final = ("HELM_", "KUBE", "XDG_")


class CommandFailedError(Exception):
    """kubectl or helm ended with an error, or an object was refused; the message is what was said."""


class Access:
    """One user's way to the API server."""

    def __init__(self, kubeconfig: Path, http: httpx.Client) -> None:
        """Use this kubeconfig, and this client that shows the same."""
        self.kubeconfig: Final = kubeconfig
        """For whatever else shall act as this user, as KUBECONFIG."""
        self.http: Final = http
        """For what a test reads in a loop: an answer in a few milliseconds, where kubectl takes 60."""

    def kubectl(self, *words: str, namespace: str | None = None, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Raises:
            CommandFailedError: it ended with an error.
        """
        return self._run("kubectl", *words, namespace=namespace, stdin=stdin)

    def helm(self, *words: str, namespace: str | None = None) -> str:
        """Run helm and return what it prints; its caches and repositories are in the control plane's folder.

        Raises:
            CommandFailedError: it ended with an error.
        """
        return self._run("helm", *words, namespace=namespace, stdin=None)

    def apply(self, *manifests: Object, namespace: str | None = None) -> None:
        """Apply objects as `kubectl apply --server-side` does, one after the other, in a tenth of its time.

        Raises:
            CommandFailedError: the API server refused one; those before it are there.
        """
        for each in manifests:
            meta = each["metadata"]
            path = _path(f"{each['apiVersion']}/{_plural(each['kind'])}", namespace or meta.get("namespace"))
            answer = self.http.patch(
                f"{path}/{meta['name']}",
                params=_APPLY,
                content=json.dumps(each),
                headers={"Content-Type": "application/apply-patch+yaml"},
            )
            if answer.is_error:
                raise CommandFailedError(f"{each['kind']} {meta['name']} was refused: {answer.json()['message']}")

    def annotate(
        self, kind: str, name: str, annotations: Mapping[str, str | None], namespace: str | None = None
    ) -> None:
        """Write annotations, and remove those that are None.

        Raises:
            httpx.HTTPStatusError: the API server refused.
        """
        answer = self.http.patch(
            f"{_path(kind, namespace)}/{name}",
            content=json.dumps({"metadata": {"annotations": annotations}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        answer.raise_for_status()

    def remove(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Begin to delete an object; one that is not there is as good.

        Raises:
            httpx.HTTPStatusError: the API server refused.
        """
        answer = self.http.delete(f"{_path(kind, namespace)}/{name}", params={"propagationPolicy": "Background"})
        if answer.status_code != _NOT_FOUND:
            answer.raise_for_status()

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Return an object; an empty one if there is none.

        Args:
            kind: its version and resource, as `v1/pods` or `apps/v1/deployments`.
            name: its name.
            namespace: its namespace, if it is in one.

        Raises:
            httpx.HTTPStatusError: the API server refused to tell.
        """
        answer = self.http.get(f"{_path(kind, namespace)}/{name}")
        return {} if answer.status_code == _NOT_FOUND else dict(answer.raise_for_status().json())

    def find(self, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind that a label and a field selector choose, in one namespace or in all.

        Raises:
            httpx.HTTPStatusError: the API server refused to tell.
        """
        answer = self.http.get(_path(kind, namespace), params={"labelSelector": labels, "fieldSelector": fields})
        return list(answer.raise_for_status().json()["items"])

    def _run(self, program: Program, *words: str, namespace: str | None, stdin: str | None) -> str:
        where = [f"--namespace={namespace}"] if namespace else []
        # The user's own helm and kubectl, and what they know of clusters, are none of ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_THE_USERS)}
        done = subprocess.run(
            [find_program(program), *where, *words],
            env={**environment, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_S,
        )
        if done.returncode:
            raise CommandFailedError(
                f"{program} {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout


def trusting(authority: Path) -> ssl.SSLContext:
    """Return what makes a client believe the control plane, and nobody else."""
    return ssl.create_default_context(cafile=str(authority))


def _plural(kind: str) -> str:
    """Return the resource of a kind as apimachinery guesses it (`meta.UnsafeGuessKindToResource`)."""
    name = kind.lower()
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return f"{name}{'es' if name.endswith('s') else 's'}"


def _path(kind: str, namespace: str | None) -> str:
    version, _, resource = kind.rpartition("/")
    group = "/api" if "/" not in version else "/apis"
    return f"{group}/{version}/{f'namespaces/{namespace}/' if namespace else ''}{resource}"
