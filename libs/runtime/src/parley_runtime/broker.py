"""The files of an assistant's own nats-server: a seed per service, made once, and the configuration.

Called by `parley up` and the tests; the operator puts the same things into Secrets and a ConfigMap.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nkeys

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
    """Return the user's public key (`U…`)."""
    return bytes(nkeys.from_seed(seed.encode()).public_key).decode()


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
            seeds[service].touch(mode=0o600)
            seeds[service].write_text(new_seed())
    config = folder / "nats-server.conf"
    config.write_text(
        broker_config(
            assistant,
            public_keys={service: public_key(path.read_text()) for service, path in seeds.items()},
            listen=f"127.0.0.1:{port}",
            store_dir=str(folder / "jetstream"),
        )
    )
    return BrokerFiles(config, seeds)
