"""NetworkPolicies: each component reaches what it has a connection to, and is reached by who has one to it.

Beside that: names are looked up, services are asked for metrics and by the operator, traces go out, Discord is reached
over HTTPS and its voice servers at the ports that they name, the gateway's web door is open to everybody, and the
transcription API to the assistant's namespace. A service has one port: who may read its metrics reaches all of it.
Kubelets ask their probes past all policies.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from parley_contract.components import Component
from parley_operator.resources.objects import PULL, Context, Object, metadata, selector

_DNS: Final[list[Object]] = [
    # Policies see the pod behind a Service: a DNS server in a pod may listen on any port.
    {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]},
    {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
]
_PORTS_OF_SCHEMES: Final = {"ws": 80, "http": 80, "https": 443, "nats": 4222, "tls": 4222}
_PLACE: Final = re.compile(r"(\w+)://(\[[^]]*\]|[^/:?]*)(?::(\d+))?")
"""Scheme, host and port at the beginning of an address, of which the resource's patterns ask no more."""
_DISCORD: Final[list[Object]] = [
    # Its API and gateway; a voice server names the port of its WebSocket (443, 2053, 2087, 8443 and others were seen:
    # DisnakeDev/disnake#1301) and that of its UDP when a call begins.
    {"protocol": "TCP", "port": 443},
    {"protocol": "TCP", "port": 1024, "endPort": 65535},
    {"protocol": "UDP", "port": 1024, "endPort": 65535},
]


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    for component in context.components:
        yield _policy(context, component.name, list(_into(context, component)), list(_out_of(context, component)))
    if context.needs():
        # Models come from an index, a hub or a registry, by whatever name and port it has.
        yield _policy(context, PULL, [], [*_DNS, {"ports": [{"protocol": "TCP", "port": 1, "endPort": 65535}]}])


def _policy(context: Context, component: str, into: list[Object], out_of: list[Object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(context, component, component),
        "spec": {
            "podSelector": {"matchLabels": selector(context, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": into,
            "egress": out_of,
        },
    }


def _into(context: Context, component: Component) -> Iterator[Object]:
    callers = [
        {"podSelector": {"matchLabels": selector(context, other.name)}}
        for other in context.components
        if any(connection.to == component.name for connection in other.connections)
    ]
    if component.name == "gateway" and context.assistant.spec.doors.web.enabled:
        yield {"ports": _ports(component.port)}
        return
    if component.name == "asr":
        callers.append({"podSelector": {}})
    if component.service is not None:
        callers += _lookers_on(context)
    if callers:
        yield {"from": callers, "ports": _ports(component.port)}


def _lookers_on(context: Context) -> Iterator[Object]:
    """Who asks every service: the operator, and whoever collects metrics."""
    installation = context.installation
    yield {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": installation.namespace}},
        "podSelector": {"matchLabels": dict(installation.labels)},
    }
    if installation.scrape_namespaces is not None:
        labels = dict(installation.scrape_namespaces)
        yield {"namespaceSelector": {"matchLabels": labels} if labels else {}}


def _out_of(context: Context, component: Component) -> Iterator[Object]:
    yield from _DNS if component.service is not None else ()
    for connection in component.connections:
        other = context.all_components[connection.to]
        if other.external_url:
            yield from _to(context, *other.external_url.split(","))
        else:
            yield {
                "to": [{"podSelector": {"matchLabels": selector(context, other.name)}}],
                "ports": _ports(other.port),
            }
    otlp = context.assistant.spec.telemetry.otlp_endpoint
    if otlp and component.service is not None:
        yield from _to(context, otlp)
    door = context.assistant.spec.doors.discord
    if component.name == "gateway" and door is not None:
        # Who has Discord elsewhere may have it at any port.
        elsewhere = [url for url in (door.endpoint.api_base, door.endpoint.gateway_url) if url]
        yield {"ports": [*_ports(*_ports_of(elsewhere)), *_DISCORD]}


def _to(context: Context, *urls: str) -> Iterator[Object]:
    """Let out to what somebody else runs: at its ports wherever it is, and at any in its namespace of this cluster.

    Policies see the pod behind a Service, whose port is its own.
    """
    yield {"ports": _ports(*_ports_of(urls))}
    hosts = (place[2] for url in urls if (place := _PLACE.match(url.strip())))
    if names := sorted({name for host in hosts if (name := _namespace_of(host, context.namespace))}):
        labels = ({"kubernetes.io/metadata.name": name} for name in names)
        yield {"to": [{"namespaceSelector": {"matchLabels": each}} for each in labels]}


def _namespace_of(host: str, own: str) -> str:
    """Return the namespace of a Service by its host name; empty for what is none."""
    if host.startswith("["):
        return ""
    match host.split("."):
        case [_]:
            return own
        case [_, namespace] | [_, namespace, "svc", *_] | [_, _, namespace, "svc", *_]:
            return namespace
    return ""


def _ports(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _ports_of(urls: Iterable[str]) -> list[int]:
    places = [place for url in urls if (place := _PLACE.match(url.strip()))]
    return sorted({int(place[3] or _PORTS_OF_SCHEMES.get(place[1], 443)) for place in places})
