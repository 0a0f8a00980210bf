"""Services: a stable address for each component, under its port."""

from collections.abc import Iterator

from parley_operator.resources.objects import Context, Object, metadata, selector


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    for component in context.components:
        port_name = "nats" if component.name == "nats" else "http"
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(context, component.name, component.name),
            "spec": {
                "type": "ClusterIP",
                "selector": selector(context, component.name),
                "ports": [
                    {"name": port_name, "port": component.port, "targetPort": port_name, "protocol": "TCP"},
                ],
            },
        }
