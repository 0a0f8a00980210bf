"""A NATS that somebody else runs: users by JWT and `.creds` (decentralized authentication), as its admin makes them.

The admin's tool is nsc; this page makes the same few documents (operator, account, one user per service) with the
fields that nats-server 2.15 checks. The users' rights are the contract's own.
"""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import nkeys

from parley_contract.permissions import permissions
from parley_contract.services import SERVICES

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


def write_account(folder: Path, assistant: str, *, port: int) -> Path:
    """Write a server's configuration, and `<service>.creds` for each service beside it; return the configuration.

    Args:
        folder: made if missing.
        assistant: as `assistant_key` makes it.
        port: where the server shall listen on loopback.
    """
    folder.mkdir(parents=True, exist_ok=True)
    operator, account = _pair(nkeys.PREFIX_BYTE_OPERATOR), _pair(nkeys.PREFIX_BYTE_ACCOUNT)
    for service in SERVICES:
        user = _pair(nkeys.PREFIX_BYTE_USER)
        rights = permissions(assistant, service)
        claims: dict[str, Any] = {
            "type": "user",
            "version": 2,
            "pub": {"allow": list(rights.publish)},
            "sub": {"allow": list(rights.subscribe)},
            **({"resp": {"max": 1, "ttl": 120_000_000_000}} if rights.may_respond else {}),
            **dict.fromkeys(("subs", "data", "payload"), -1),
        }
        (folder / f"{service}.creds").write_text(_credentials(_token(user, account, service, claims), user))
    config = folder / "nats-server.conf"
    # JetStream itself speaks in an account of its own.
    system = _pair(nkeys.PREFIX_BYTE_ACCOUNT)
    claims = {"type": "account", "version": 2, "limits": {**_UNLIMITED, "wildcards": True}}
    whole = {
        "listen": f"127.0.0.1:{port}",
        "jetstream": {"store_dir": str(folder / "jetstream")},
        "operator": _token(operator, operator, "operator", {"type": "operator", "version": 2}),
        "system_account": _public(system),
        "resolver": "MEMORY",
        "resolver_preload": {
            _public(account): _token(account, operator, "voices", claims),
            _public(system): _token(system, operator, "SYS", {**claims, "limits": _NO_STREAMS}),
        },
    }
    config.write_text(json.dumps(whole, indent=2))
    return config


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
