"""The children of an assistant, one page per kind: pure functions from what was accepted to objects for the API server.

An object is the plain mapping that is applied, so that a page reads like the manifest it makes, and holds exactly the
fields that the operator owns: what is missing here belongs to somebody else. `plan` decides which are applied when.
"""

from collections.abc import Iterator

from parley_operator.resources import (
    claims,
    config_maps,
    deployments,
    disruption_budgets,
    ingresses,
    network_policies,
    service_accounts,
    services,
    stateful_sets,
)
from parley_operator.resources.objects import Context, Object


def children(context: Context) -> Iterator[Object]:
    """Make what an assistant runs with, in the order in which each finds what it needs.

    Policies and identities come before the pods they are for, claims before who mounts them. Seeds, pull Jobs and
    revisions are made once, and are the plan's own business.
    """
    yield from service_accounts.all_of(context)
    yield from network_policies.all_of(context)
    yield from config_maps.all_of(context)
    yield from claims.all_of(context)
    yield from services.all_of(context)
    yield from stateful_sets.all_of(context)
    yield from deployments.all_of(context)


def extras(context: Context) -> Iterator[Object]:
    """Make what an assistant runs without, after everything else: refused, it holds up nothing."""
    yield from disruption_budgets.all_of(context)
    yield from ingresses.all_of(context)
