"""What each program of the control plane is started with, and the files that it reads.

Kubernetes' own defaults hold wherever nothing is written here: what a test meets is what a cluster does. All listen on
loopback or on a Unix socket, or not at all.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

from parley_cli.launches import LOOPBACK
from parley_testkit.control_plane.certificates import Identity
from parley_testkit.control_plane.stages import FAKE_NODE, kwok_configuration

ADMIN: Final = "parley-test"
"""The user as whom the tests speak."""

# Networks for measuring network devices (RFC 2544), which no router knows: whoever connects to a pod that kwok plays
# hears nothing from it. Loopback addresses are refused in EndpointSlices, also the API server's own.
_POD_NETWORK: Final = "198.18.0.0/16"
_SERVICE_NETWORK: Final = "198.19.0.0/17"
_API_SERVER: Final = "198.19.255.254"

_SOCKET: Final = "unix://{}/etcd.sock"
_PEER_SOCKET: Final = "unix://{}/etcd-peer.sock"
_ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
AUDIT_LOG: Final = "audit.log"

# A controller that waits for its own rate limit makes a test slow and finds nothing.
_UNHURRIED: Final = ("--kube-api-qps=500", "--kube-api-burst=1000")

_AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Kubernetes' own parts and kwok say ten times what everybody else does.
        {
            "level": "None",
            "users": [
                "system:apiserver",
                "system:kube-controller-manager",
                "system:kube-scheduler",
                "kwok",
                "volume-provisioner",
            ],
        },
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata"},
    ],
}


class Pki(NamedTuple):
    """What the API server proves itself with, and checks others by."""

    authority: Path
    server: Identity
    token_key: Path


def etcd(folder: Path) -> list[str]:
    """Return the arguments of an etcd that nobody but us reaches, and that forgets everything in a crash."""
    client, peer = _SOCKET.format(folder), _PEER_SOCKET.format(folder)
    return [
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={client}",
        "--advertise-client-urls=http://etcd.invalid:2379",  # there must be one, and a lone server tells it to nobody
        f"--listen-peer-urls={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def kube_apiserver(folder: Path, port: int, pki: Pki) -> list[str]:
    """Return the arguments of the API server, and write its audit policy."""
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(_AUDIT_POLICY))
    return [
        f"--etcd-servers={_SOCKET.format(folder)}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={_API_SERVER}",
        f"--secure-port={port}",
        "--permit-port-sharing",  # with whoever claimed it until now
        f"--tls-cert-file={pki.server.certificate}",
        f"--tls-private-key-file={pki.server.key}",
        f"--client-ca-file={pki.authority}",
        "--allow-privileged=true",  # as every distribution has it: Pod Security decides, by namespace
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={_SERVICE_NETWORK}",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={pki.token_key}",
        f"--service-account-signing-key-file={pki.token_key}",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={folder}/{AUDIT_LOG}",
        "--audit-log-maxsize=4000",  # MB: whoever reads it remembers how far, so it must stay one file
        # The one thing that is off by default: `stages.fate_policy` writes into pods what will become of them.
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        "--profiling=false",
    ]


def kube_controller_manager(kubeconfig: Path, pki: Pki) -> list[str]:
    """Return the arguments of the controllers, each of which speaks with its own ServiceAccount as in production."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={pki.token_key}",
        f"--root-ca-file={pki.authority}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        *_UNHURRIED,
    ]


def kube_scheduler(kubeconfig: Path) -> list[str]:
    """Return the arguments of the scheduler."""
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *_UNHURRIED]


def kwok(folder: Path, kubeconfig: Path) -> list[str]:
    """Return the arguments of kwok, and write the stages that it plays."""
    stages = folder / "stages.json"
    stages.write_text(kwok_configuration())
    key, value = FAKE_NODE
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        f"--manage-nodes-with-annotation-selector={key}={value}",
        f"--cidr={_POD_NETWORK}",
        f"--node-ip={LOOPBACK}",
        "--node-port=0",
        "--node-lease-duration-seconds=40",
    ]


def kubeconfig(path: Path, server: str, authority: Path, user: dict[str, str]) -> Path:
    """Write a kubeconfig (in JSON, which is YAML) and return its path.

    Args:
        path: where.
        server: the API server's URL.
        authority: the certificate that it is known by.
        user: what the user shows, as a kubeconfig names it.
    """
    name = "parley-test"
    page = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(page))
    return path
