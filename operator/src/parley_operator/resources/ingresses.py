"""The Ingress before the web door, where the spec has one. Only what is for clients is behind it.

Health, metrics and status stay in the cluster: they lie beside `/v1` on the gateway's port.
"""

from collections.abc import Iterator
from typing import Final

from parley_operator.resources.objects import Context, Object, child_name, metadata

_FOR_CLIENTS: Final = "/v1"


def all_of(context: Context) -> Iterator[Object]:
    """Make it."""
    wanted = context.assistant.spec.doors.web.ingress
    if wanted is None:
        return
    made = metadata(context, "gateway", "gateway")
    service: Object = {"name": child_name(context, "gateway"), "port": {"name": "http"}}
    path: Object = {"path": _FOR_CLIENTS, "pathType": "Prefix", "backend": {"service": service}}
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**made, **({"annotations": dict(wanted.annotations)} if wanted.annotations else {})},
        "spec": {
            "rules": [{"host": wanted.host, "http": {"paths": [path]}}],
            **({"ingressClassName": wanted.class_name} if wanted.class_name else {}),
            **(
                {"tls": [{"hosts": [wanted.host], "secretName": wanted.tls_secret_ref.name}]}
                if wanted.tls_secret_ref
                else {}
            ),
        },
    }
