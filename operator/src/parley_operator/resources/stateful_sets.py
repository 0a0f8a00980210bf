"""StatefulSets: the assistant's broker, a single nats-server with a volume of its own."""

from collections.abc import Iterator
from typing import Final

from parley_contract.services import PORTS
from parley_operator.resources import pods
from parley_operator.resources.config_maps import CONFIG_FILE, MONITOR_PORT, STORE_DIR, broker_text, has_broker
from parley_operator.resources.deployments import replicas
from parley_operator.resources.objects import Context, Object, child_name, digest, metadata, selector
from parley_operator.resources.pods import Container, http_probe

_CONFIG_FOLDER: Final = "/etc/parley"


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    if not has_broker(context):
        return
    config: Object = {"name": "config", "configMap": {"name": child_name(context, "nats")}}
    data: Object = {"name": "data", "persistentVolumeClaim": {"claimName": child_name(context, "nats")}}
    container = Container(
        component="nats",
        image=pods.foreign_image(context, context.installation.nats_image),
        command=("nats-server", "--config", f"{_CONFIG_FOLDER}/{CONFIG_FILE}"),
        mounts=((config, _CONFIG_FOLDER, True), (data, STORE_DIR, False)),
        port=PORTS["nats"],
        port_name="nats",
        probes={
            # Until its streams are read again it is alive, but nobody shall connect.
            "startupProbe": _health("js-enabled-only=true", periodSeconds=1, failureThreshold=120, timeoutSeconds=2),
            "livenessProbe": _health("js-enabled-only=true", periodSeconds=10, failureThreshold=3, timeoutSeconds=5),
            "readinessProbe": _health("js-server-only=true", periodSeconds=2, failureThreshold=3, timeoutSeconds=2),
        },
        reads={"configuration": digest(broker_text(context))},
    )
    yield {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(context, "nats", "nats"),
        "spec": {
            **replicas(context, None),
            "serviceName": child_name(context, "nats"),
            # In turn, a pod that never gets ready would also keep the one from coming that mends it: an image's name
            # with a mistake in it could never be corrected (StatefulSets, "Forced rollback").
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 2,
            "updateStrategy": {"type": "RollingUpdate"},
            "selector": {"matchLabels": selector(context, "nats")},
            "template": pods.template(context, container),
        },
    }


def _health(question: str, **timing: int) -> Object:
    return http_probe(f"/healthz?{question}", port=MONITOR_PORT, **timing)
