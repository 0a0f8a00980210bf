"""A NATS that somebody else runs: users by JWT and `.creds` (decentralized authentication), as its admin makes them.

The admin's tool is nsc; this page makes the same few documents (operator, account, one user per service) with the
fields that nats-server 2.15 checks. The rights are the contract's own, and stand in the account: each service has a
role there (a scoped signing key), and its user, whom that key signed, says nothing of rights. They could stand in the
user itself, but what a client shows has to fit a line of 4096 bytes (docs/decisions/0022).
"""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import nkeys

from parley_cli.ports import free_port
from parley_contract.permissions import permissions
from parley_contract.services import SERVICES, Service
from parley_runtime.nats_bus import NatsBus
from parley_runtime.telemetry import Telemetry
from parley_testkit.nats_server import start_nats

_ISSUED_AT: Final = 1_700_000_000
_UNLIMITED: Final = dict.fromkeys(
    (
        "subs",
        "data",
        "payload",
        "imports",
        "exports",
        "conn",
        "leaf",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    ),
    -1,
)

_NO_STREAMS: Final = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
    "wildcards": True,
}


class Account:
    """A running NATS of somebody else's, and the credentials that it knows; `running_account` is the way in."""

    def __init__(self, folder: Path, assistant: str, port: int) -> None:
        """Speak of one that listens."""
        self.url: Final = f"nats://127.0.0.1:{port}"
        self._folder = folder
        self._assistant = assistant

    def credentials(self, service: Service) -> str:
        """Return what lets a service in: the text of its `.creds`."""
        return (self._folder / f"{service}.creds").read_text()

    def bus(self, service: Service) -> contextlib.AbstractAsyncContextManager[NatsBus]:
        """Connect as one of the services."""
        telemetry = Telemetry(service, self._assistant)
        return NatsBus.connect(service, self._assistant, telemetry, url=self.url, seed=self.credentials(service))


@contextlib.asynccontextmanager
async def running_account(folder: Path, assistant: str) -> AsyncIterator[Account]:
    """Run a NATS with an account for one assistant while the block lasts.

    Raises:
        TimeoutError: it did not start; the message says where its log is.
    """
    port = free_port()
    process = await start_nats(write_account(folder, assistant, port=port), port, folder / "nats-server.log")
    try:
        yield Account(folder, assistant, port)
    finally:
        process.kill()
        await process.wait()


def write_account(folder: Path, assistant: str, *, port: int) -> Path:
    """Write a server's configuration, and `<service>.creds` for each service beside it; return the configuration.

    Args:
        folder: made if missing.
        assistant: as `assistant_key` makes it.
        port: where the server shall listen on loopback.
    """
    folder.mkdir(parents=True, exist_ok=True)
    operator, account = _pair(nkeys.PREFIX_BYTE_OPERATOR), _pair(nkeys.PREFIX_BYTE_ACCOUNT)
    roles = {service: _pair(nkeys.PREFIX_BYTE_ACCOUNT) for service in SERVICES}
    for service, role in roles.items():
        user = _pair(nkeys.PREFIX_BYTE_USER)
        claims: dict[str, Any] = {"type": "user", "version": 2, "issuer_account": _public(account)}
        (folder / f"{service}.creds").write_text(_credentials(_token(user, role, service, claims), user))
    config = folder / "nats-server.conf"
    # JetStream itself speaks in an account of its own.
    system = _pair(nkeys.PREFIX_BYTE_ACCOUNT)
    claims = {"type": "account", "version": 2, "limits": {**_UNLIMITED, "wildcards": True}}
    scopes = [_scope(_public(role), assistant, service) for service, role in roles.items()]
    whole = {
        "listen": f"127.0.0.1:{port}",
        "jetstream": {"store_dir": str(folder / "jetstream")},
        "operator": _token(operator, operator, "operator", {"type": "operator", "version": 2}),
        "system_account": _public(system),
        "resolver": "MEMORY",
        "resolver_preload": {
            _public(account): _token(account, operator, "voices", {**claims, "signing_keys": scopes}),
            _public(system): _token(system, operator, "SYS", {**claims, "limits": _NO_STREAMS}),
        },
    }
    config.write_text(json.dumps(whole, indent=2))
    return config


def _scope(key: str, assistant: str, service: Service) -> dict[str, Any]:
    """Return the role of a service: what whoever is signed by this key may do."""
    rights = permissions(assistant, service)
    template = {
        "pub": {"allow": list(rights.publish)},
        "sub": {"allow": list(rights.subscribe)},
        **({"resp": {"max": 1, "ttl": 120_000_000_000}} if rights.may_respond else {}),
        **dict.fromkeys(("subs", "data", "payload"), -1),
    }
    return {"kind": "user_scope", "key": key, "role": service, "template": template}


def _pair(prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def _public(pair: nkeys.KeyPair) -> str:
    return bytes(pair.public_key).decode()


def _token(subject: nkeys.KeyPair, issuer: nkeys.KeyPair, name: str, nats: dict[str, Any]) -> str:
    """Sign a JWT as NATS wants it (ADR-14): its id is the hash of its claims."""
    claims = {"iat": _ISSUED_AT, "iss": _public(issuer), "name": name, "sub": _public(subject), "nats": nats}
    identity = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
    parts = [
        _encoded(json.dumps(part).encode())
        for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims | {"jti": identity})
    ]
    signature = bytes(issuer.sign(".".join(parts).encode()))
    return ".".join((*parts, _encoded(signature)))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _credentials(token: str, user: nkeys.KeyPair) -> str:
    seed = bytes(user.seed).decode()
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
