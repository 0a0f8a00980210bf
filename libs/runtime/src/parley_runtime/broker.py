"""The files of an assistant's own nats-server: a seed per service, made once, and the configuration.

Called by `parley up` and the tests; the operator puts the same things into Secrets and a ConfigMap.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nkeys

from parley_contract.errors import PermanentError
from parley_contract.permissions import broker_config
from parley_contract.services import SERVICES, Service


class BrokerFiles(NamedTuple):
    """Where things were written."""

    config: Path
    seeds: Mapping[Service, Path]


def new_seed() -> str:
    """Make the seed (`SU…`) of a new nkey user."""
    return bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)).decode()


def public_key(seed: str) -> str:
    """Return the user's public key (`U…`).

    Raises:
        PermanentError: it is no seed.
    """
    try:
        return bytes(nkeys.from_seed(seed.encode()).public_key).decode()
    except nkeys.NkeysError as error:
        raise PermanentError("not the seed of an nkey user: that begins with SU and is 58 characters long") from error


def write_broker_files(folder: Path, assistant: str, *, port: int) -> BrokerFiles:
    """Write configuration and seeds below `folder`; seeds that exist stay, deleting one rotates it.

    Args:
        folder: made if missing; seeds are readable by their owner alone.
        assistant: as `assistant_key` makes it.
        port: where nats-server shall listen on loopback.
    """
    (folder / "seeds").mkdir(parents=True, exist_ok=True, mode=0o700)
    seeds: dict[Service, Path] = {}
    for service in SERVICES:
        seeds[service] = folder / "seeds" / f"{service}.nk"
        if not seeds[service].exists():
            _write_secret(seeds[service], new_seed())
    config = folder / "nats-server.conf"
    config.write_text(
        broker_config(
            assistant,
            public_keys={service: public_key(path.read_text().strip()) for service, path in seeds.items()},
            listen=f"127.0.0.1:{port}",
            store_dir=str(folder / "jetstream"),
        )
    )
    return BrokerFiles(config, seeds)


def _write_secret(path: Path, secret: str) -> None:
    """Write a file that is its owner's alone from its first byte on, and that is whole once it has its name."""
    partial = path.with_suffix(".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    partial.replace(path)
