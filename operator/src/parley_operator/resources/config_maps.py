"""ConfigMaps: the broker's configuration, which holds public keys and permissions, and so no secret."""

from collections.abc import Iterator
from typing import Final

from parley_contract.permissions import broker_config
from parley_contract.services import PORTS, SERVICES
from parley_operator.resources.objects import Context, Object, metadata

MONITOR_PORT: Final = 8222
CONFIG_FILE: Final = "nats-server.conf"
STORE_DIR: Final = "/data"


def all_of(context: Context) -> Iterator[Object]:
    """Make them; without every service's key there is no configuration yet."""
    if has_broker(context):
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(context, "nats", "nats"),
            "data": {CONFIG_FILE: broker_text(context)},
        }


def has_broker(context: Context) -> bool:
    """Whether the assistant has a broker of its own, and the keys that make its configuration."""
    return any(part.name == "nats" for part in context.components) and set(SERVICES) <= set(context.broker_keys)


def broker_text(context: Context) -> str:
    """Return the configuration file."""
    return broker_config(
        context.assistant.key,
        public_keys=context.broker_keys,
        listen=f"0.0.0.0:{PORTS['nats']}",
        monitor=f"0.0.0.0:{MONITOR_PORT}",
        store_dir=STORE_DIR,
    )
