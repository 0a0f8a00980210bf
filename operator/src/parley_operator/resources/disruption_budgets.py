"""PodDisruptionBudgets, where there is something to keep: of one pod, a budget would only stop a node's drain."""

from collections.abc import Iterator

from parley_operator.resources.objects import Context, Object, metadata, selector


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    for component in context.components:
        if component.replicas is not None and component.replicas > 1:
            yield {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": metadata(context, component.name, component.name),
                "spec": {
                    "maxUnavailable": 1,
                    "unhealthyPodEvictionPolicy": "AlwaysAllow",
                    "selector": {"matchLabels": selector(context, component.name)},
                },
            }
