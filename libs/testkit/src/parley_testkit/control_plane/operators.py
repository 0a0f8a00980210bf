"""The operator as a real process, with a ServiceAccount and exactly the rights that it gets in a cluster.

It finds the API server as a container does: by the variables that Kubernetes sets, and by a folder with a token and the
authority. Only behind a proxy of the tests, which speaks plain HTTP, it is told by a kubeconfig.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from parley_cli.launches import LOOPBACK
from parley_testkit.control_plane.access import Access
from parley_testkit.control_plane.arguments import kubeconfig
from parley_testkit.control_plane.children import Children, children
from parley_testkit.control_plane.plane import ControlPlane

SYSTEM: Final = "parley-system"
"""Where the operator's ServiceAccount is."""
NAME: Final = "parley-operator"
USER: Final = f"system:serviceaccount:{SYSTEM}:{{}}"
"""A ServiceAccount's user name, by its own."""
_START_S: Final = 60.0
_END_S: Final = 20.0
_MOUNT: Final = "serviceaccount"
_NOWHERE: Final = f"http://{LOOPBACK}:9/{{namespace}}/{{name}}"
"""Of agents that do not answer: nothing listens on the discard port."""


class OperatorProcess:
    """One operator that runs; `running_operator` is the way in."""

    def __init__(self, running: Children) -> None:
        """Speak of one that listens."""
        self._running = running

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pids[NAME]

    def check(self) -> None:
        """Look whether it still runs; errors as `Children.check`."""
        self._running.check()

    def log(self) -> list[dict[str, Any]]:
        """Return what it logged."""
        return _lines(self._running.folder)

    def get(self, what: str, path: str) -> httpx.Response:
        """Ask its `health` or its `metrics`, where it listens now: it begins anew where its reach changes."""
        return httpx.get(f"http://{LOOPBACK}:{_ports(self.log())[what]}{path}", trust_env=False, timeout=10)

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value; 0 for one that is not there."""
        chosen = ",".join(f'{key}="{value}"' for key, value in labels.items())
        wanted = f"{name}{{{chosen}}}" if labels else name
        lines = self.get("metrics", "/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == wanted), 0.0)

    def rss_mib(self) -> float:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def mount(self, token: str) -> None:
        """Replace its token, as a kubelet does before one expires: all at once."""
        _mount(self._running.folder / _MOUNT, token)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._running.kill(NAME)

    def start_again(self) -> None:
        """Start it after `kill`, and wait until it watches."""
        (self._running.folder / f"{NAME}.log").unlink()
        self._running.start_again(NAME)
        _until_watching(self._running)


def install_account(plane: ControlPlane, rights: Path, namespace: str | None = None, *, name: str = NAME) -> None:
    """Make the operator's ServiceAccount, with rights in one namespace or in all.

    Args:
        plane: where.
        rights: a YAML file with the rules.
        namespace: where they hold; None for everywhere.
        name: the account's.
    """
    rules = yaml.safe_load(rights.read_text())
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}]
    kind = "ClusterRole" if namespace is None else "Role"
    where = {} if namespace is None else {"namespace": namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    plane.admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM}},
        {"apiVersion": rbac, "kind": kind, "metadata": {"name": name, **where}, "rules": rules},
        {
            "apiVersion": rbac,
            "kind": f"{kind}Binding",
            "metadata": {"name": name, **where},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": subjects,
        },
    )


def _mount(folder: Path, token: str) -> None:
    new = folder / "token.new"
    new.write_text(token)
    new.replace(folder / "token")


def account(plane: ControlPlane, name: str = NAME) -> Access:
    """Return the access of the operator's ServiceAccount."""
    return plane.service_account(SYSTEM, name)


@contextlib.contextmanager
def running_operator(
    plane: ControlPlane,
    *,
    name: str = NAME,
    namespaces: str = "",
    through: str = "",
    agents: str = _NOWHERE,
    token: str = "",
) -> Iterator[OperatorProcess]:
    """Run an operator while the block lasts; after it SIGKILL ends it.

    Args:
        plane: whose assistants it looks after.
        name: the account that `install_account` made.
        namespaces: WATCH_NAMESPACES.
        through: URL of a proxy before the API server; empty for none.
        agents: AGENT_STATUS_URL.
        token: the account's; empty for one that lasts.

    Raises:
        ChildDiedError: it did not start; the message has the end of its log.
        TimeoutError: it did not watch in time.
    """
    token = token or plane.token(SYSTEM, name)
    with children() as running:
        folder = running.folder / _MOUNT
        folder.mkdir()
        api_server = httpx.URL(plane.url)
        if through:
            kubeconfig(folder / "kubeconfig", through, plane.authority, {"token": token})
        else:
            shutil.copy(plane.authority, folder / "ca.crt")
            _mount(folder, token)
        running.start(
            NAME,
            "/usr/bin/env",
            f"SERVICE_ACCOUNT={folder}",
            f"KUBERNETES_SERVICE_HOST={api_server.host}",
            f"KUBERNETES_SERVICE_PORT={api_server.port}",
            f"KUBECONFIG={folder}/kubeconfig",
            f"WATCH_NAMESPACES={namespaces}",
            f"AGENT_STATUS_URL={agents}",
            f"HOST={LOOPBACK}",
            "HEALTH_PORT=0",
            "METRICS_PORT=0",
            f"POD_NAMESPACE={SYSTEM}",
            "IMAGE_REGISTRY=registry.test/parley",
            "WAIT_FOR_OTHERS_S=1",
            "PYTHONSAFEPATH=1",
            sys.executable,
            "-m",
            "parley_operator",
            "run",
        )
        _until_watching(running)
        yield OperatorProcess(running)


def _until_watching(running: Children) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        running.check()
        if any(line.get("event") == "watching" for line in _lines(running.folder)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"the operator did not watch within {_START_S:g} s; the end of its log:\n{running.log(NAME)}")


def _ports(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Return where it said last that it listens."""
    return {line["what"]: line["port"] for line in lines if line.get("event") == "listening"}


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / f"{NAME}.log"
    whole = path.read_text(errors="replace").splitlines() if path.exists() else []
    return [json.loads(line) for line in whole if line.startswith("{") and line.endswith("}")]
