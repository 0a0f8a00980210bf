"""What looks need: one of each, made by `app`, shared by `reconciling` and `reporting`."""

import datetime as dt
from collections.abc import Callable

import msgspec

from parley_operator.agents import Agents
from parley_operator.cluster import Cluster
from parley_operator.metrics import Metrics
from parley_operator.posts import Posts
from parley_operator.resources.objects import Installation
from parley_operator.secret_values import Secrets
from parley_operator.world import Key, World


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a look needs."""

    world: World
    cluster: Cluster
    secrets: Secrets
    agents: Agents
    posts: Posts
    tell: Callable[[Key], None]
    """Has an assistant looked at."""
    metrics: Metrics
    installation: Installation
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], dt.datetime]
    """Wall clock, with a time zone."""
