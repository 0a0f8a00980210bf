"""How a pod reaches the API server: by what Kubernetes tells every container, and what a kubelet mounts into it.

`cluster` and `handlers` log in by the same page, so that requests and watches go to one place as one user. The token in
the folder is replaced long before it expires, so it is read whenever one is needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from parley_contract.errors import InvalidDocumentError

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a kubelet mounts the token of a pod's ServiceAccount, and the authority that the API server is known by."""


class PodAccess(NamedTuple):
    """What a pod has."""

    server: str
    """The API server's URL."""
    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate that the API server is known by."""
        return self.folder / "ca.crt"

    def token(self) -> str:
        """Return the token as it is now.

        Raises:
            OSError: it cannot be read.
        """
        return (self.folder / "token").read_text().strip()


def pod_access(folder: Path, environment: Mapping[str, str]) -> PodAccess | None:
    """Return how to reach the API server from this pod; None outside of one.

    Args:
        folder: where the ServiceAccount is mounted.
        environment: the process's.

    Raises:
        InvalidDocumentError: there is a token, but nothing says where the API server is.
    """
    if not (folder / "token").exists():
        return None
    host, port = (environment.get(f"KUBERNETES_SERVICE_{what}", "") for what in ("HOST", "PORT"))
    if not host or not port:
        advice = "Kubernetes sets them in every container: is SERVICE_ACCOUNT meant for this process?"
        problem = f"KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: both are needed beside {folder}/token. {advice}"
        raise InvalidDocumentError("the environment has problems", [problem])
    return PodAccess(f"https://{f'[{host}]' if ':' in host else host}:{port}", folder)
