"""A control plane from its start to its end, and what tests ask of it.

It belongs to one test session; with pytest-xdist every worker is a session and has its own, on its own port and in its
own folder, for 0.6 GB of memory each. Tests share it and each has a namespace; what is in no namespace a test names
after itself, and removes.
"""

import contextlib
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx

from parley_cli.launches import LOOPBACK
from parley_testkit.control_plane import arguments, volumes
from parley_testkit.control_plane.access import Access, Object, trusting
from parley_testkit.control_plane.audit import AuditLog
from parley_testkit.control_plane.certificates import Authority, Identity
from parley_testkit.control_plane.children import Children, children
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.nodes import Node
from parley_testkit.control_plane.observing import is_ready
from parley_testkit.control_plane.programs import find_program
from parley_testkit.control_plane.stages import fate_policy
from parley_testkit.control_plane.waiting import until

STORAGE_CLASS: Final = "local-path"
"""The default class, as on k3s: a volume is made on the node of the first pod that uses it."""

_START_S: Final = 60.0
_GONE_S: Final = 30.0
_POLL_S: Final = 0.05
_TOKEN_S: Final = 24 * 3600
_MASTERS: Final = "system:masters"


class ControlPlane:
    """One running control plane; `running_control_plane` is the way in."""

    def __init__(
        self, running: Children, url: str, authority: Path, admin: Access, open_clients: contextlib.ExitStack
    ) -> None:
        """Speak of one that is ready."""
        self.url: Final = url
        self.authority: Final = authority
        """The certificate that the API server is known by."""
        self.admin: Final = admin
        self.audit: Final = AuditLog(running.folder / arguments.AUDIT_LOG)
        self.folder: Final = running.folder
        """Logs and kubeconfigs, while it lasts."""
        self._children = running
        self._open_clients = open_clients

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of its parts, by name."""
        return self._children.pids

    def check(self) -> None:
        """Look whether every part still runs.

        Raises:
            ChildDiedError: one does not; the message has the end of its log.
        """
        self._children.check()

    def log(self, part: str) -> str:
        """Return the end of the log of `kube-apiserver`, `kube-scheduler` and so on."""
        return self._children.log(part)

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Have no API server while the block lasts; after it the same one answers on the same port.

        Every watch breaks with it. What tests read by `admin.http` may fail once until it is back.

        Raises:
            TimeoutError: it did not come back.
        """
        self._children.kill("kube-apiserver")
        try:
            yield
        finally:
            self._children.start_again("kube-apiserver")
            _until_ready(self)

    @contextlib.contextmanager
    def namespace(self, name: str | None = None) -> Iterator[Namespace]:
        """Have a namespace while the block lasts; after that it is being deleted.

        Nobody waits for its end: the namespace controller itself waits five seconds before it begins.
        """
        name = name or f"test-{secrets.token_hex(4)}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        until(lambda: self.admin.get("v1/serviceaccounts", "default", name), bool)
        try:
            yield Namespace(name, self.admin)
        finally:
            self.admin.remove("v1/namespaces", name)

    @contextlib.contextmanager
    def node(self, node: Node) -> Iterator[None]:
        """Have a node that is ready while the block lasts, without the pods of a test that had one of that name."""
        until(lambda: self.admin.find("v1/pods", fields=f"spec.nodeName={node.name}"), _is_empty, within_s=_GONE_S)
        # Made and not applied: only whoever makes a node writes its capacity with it.
        self.admin.http.post("/api/v1/nodes", json=node.manifest()).raise_for_status()
        until(lambda: self.admin.get("v1/nodes", node.name), _is_usable)
        try:
            yield
        finally:
            self.admin.remove("v1/nodes", node.name)

    def token(self, namespace: str, name: str, *, while_there: str = "") -> str:
        """Return a token of a ServiceAccount that is there, for a day.

        Args:
            namespace: of the ServiceAccount.
            name: of the ServiceAccount.
            while_there: a Secret beside it, with which the token ends; empty for none.

        Raises:
            httpx.HTTPStatusError: the API server gives none.
        """
        bound = {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": while_there}} if while_there else {}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _TOKEN_S, **bound},
        }
        answer = self.admin.http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", json=request)
        return str(answer.raise_for_status().json()["status"]["token"])

    def service_account(self, namespace: str, name: str) -> Access:
        """Return the access of a ServiceAccount that is there, with nobody's rights but its own; errors as `token`."""
        token = self.token(namespace, name)
        path = self._children.folder / f"{namespace}-{name}.kubeconfig"
        kubeconfig = arguments.kubeconfig(path, self.url, self.authority, {"token": token})
        client = httpx.Client(
            base_url=self.url,
            verify=trusting(self.authority),
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        return Access(kubeconfig, self._open_clients.enter_context(client))


@contextlib.contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """Run a control plane while the block lasts: no nodes, one storage class, fates from namespaces.

    Raises:
        ToolMissingError: a program is missing; the message says what to run.
        ChildDiedError: a part did not start; the message has the end of its log.
        TimeoutError: it was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(children())
        port = stack.enter_context(_claimed_port())
        url = f"https://{LOOPBACK}:{port}"
        authority = Authority(running.folder / "pki")
        server = authority.server("kube-apiserver", "localhost", "kubernetes.default.svc")
        pki = arguments.Pki(authority.certificate, server, authority.token_key())

        def kubeconfig(user: str, *groups: str) -> tuple[Path, Identity]:
            identity = authority.client(user, *groups)
            shown = {"client-certificate": str(identity.certificate), "client-key": str(identity.key)}
            path = running.folder / f"{user.replace(':', '-')}.kubeconfig"
            return arguments.kubeconfig(path, url, authority.certificate, shown), identity

        running.start("etcd", find_program("etcd"), *arguments.etcd(running.folder))
        running.start(
            "kube-apiserver", find_program("kube-apiserver"), *arguments.kube_apiserver(running.folder, port, pki)
        )
        path, identity = kubeconfig(arguments.ADMIN, _MASTERS)
        trust = trusting(authority.certificate)
        trust.load_cert_chain(*identity)
        http = stack.enter_context(httpx.Client(base_url=url, verify=trust, trust_env=False))
        plane = ControlPlane(running, url, authority.certificate, Access(path, http), stack)
        _until_ready(plane)

        path, _ = kubeconfig("system:kube-controller-manager")
        running.start(
            "kube-controller-manager",
            find_program("kube-controller-manager"),
            *arguments.kube_controller_manager(path, pki),
        )
        path, _ = kubeconfig("system:kube-scheduler")
        running.start("kube-scheduler", find_program("kube-scheduler"), *arguments.kube_scheduler(path))
        path, _ = kubeconfig("kwok", _MASTERS)
        running.start("kwok", find_program("kwok"), *arguments.kwok(running.folder, path))
        _, identity = kubeconfig("volume-provisioner", _MASTERS)
        running.start(
            "volumes", sys.executable, "-m", volumes.__name__, url, str(authority.certificate), *map(str, identity)
        )
        plane.admin.apply(_storage_class(), *fate_policy())
        _until_controllers_work(plane)
        yield plane


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": volumes.PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


@contextlib.contextmanager
def _claimed_port() -> Iterator[int]:
    """Hold a loopback port that only a socket of ours that asks to share it can have too, and that nothing hears."""
    with socket.socket() as claim:
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        claim.bind((LOOPBACK, 0))
        port: int = claim.getsockname()[1]
        yield port


def _until_ready(plane: ControlPlane) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        plane.check()
        with contextlib.suppress(httpx.TransportError):
            if plane.admin.http.get("/readyz").is_success:
                return
        time.sleep(_POLL_S)
    raise TimeoutError(
        f"the API server was not ready in {_START_S:g} s; the end of its log:\n{plane.log('kube-apiserver')}"
    )


def _until_controllers_work(plane: ControlPlane) -> None:
    deadline = time.monotonic() + _START_S
    while not plane.admin.get("v1/serviceaccounts", "default", "default"):
        plane.check()
        if time.monotonic() > deadline:
            log = plane.log("kube-controller-manager")
            raise TimeoutError(f"no controller worked in {_START_S:g} s; the end of their log:\n{log}")
        time.sleep(_POLL_S)


def _is_empty(found: list[Object]) -> bool:
    return not found


def _is_usable(node: Object) -> bool:
    """Whether a node is ready, and the taint is off that it was born with."""
    return is_ready(node) and all(
        taint["key"] != "node.kubernetes.io/not-ready" for taint in node["spec"].get("taints", [])
    )
