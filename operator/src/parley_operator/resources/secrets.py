"""Secrets: a seed per service, made once; whoever deletes one rotates it. Also where pods find what they read."""

import base64
from typing import Final, NamedTuple

from parley_contract.services import SERVICES, Service
from parley_operator.resources.objects import PUBLIC_KEY, Context, Object, child_name, metadata

SEED_KEY: Final = "seed.nk"


class NkeyPair(NamedTuple):
    """A new user of the broker."""

    seed: str
    """`SU…`; secret."""
    public_key: str
    """`U…`."""


def seed_name(context: Context, service: Service) -> str:
    """Return the name of the Secret that holds a service's seed."""
    return child_name(context, f"nats-{service}")


def seed(context: Context, service: Service, pair: NkeyPair) -> Object:
    """Make the Secret of a new seed."""
    made = metadata(context, f"nats-{service}", "nats")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**made, "annotations": {PUBLIC_KEY: pair.public_key}},
        "type": "Opaque",
        "immutable": True,
        "data": {SEED_KEY: base64.b64encode(pair.seed.encode()).decode()},
    }


def values_read(context: Context) -> frozenset[tuple[str, str]]:
    """Return every value that some pod reads, by Secret and key: what the operator has to look up."""
    return frozenset(value for component in context.components for value in read_by(context, component.service))


def read_by(context: Context, service: Service | None) -> tuple[tuple[str, str], ...]:
    """Return the values that one service reads, by Secret and key; what is no service of ours reads none."""
    if service is None:
        return ()
    component = context.all_components[service]
    return (bus_key(context, service), *((need.ref.name, need.ref.key) for need in component.secrets))


def bus_key(context: Context, service: Service) -> tuple[str, str]:
    """Return what lets a service into its broker: a seed of ours, or credentials that the broker's admin made."""
    credentials = context.assistant.spec.nats.credentials_secret_ref
    return (credentials.name, f"{service}.creds") if credentials else (seed_name(context, service), SEED_KEY)


def missing_seeds(context: Context) -> tuple[Service, ...]:
    """Return the services of which the broker needs a key and has none."""
    if not any(part.name == "nats" for part in context.components):
        return ()
    return tuple(service for service in SERVICES if service not in context.broker_keys)
