"""What every `Bus` must do, as tests: the real one and the fake inherit `BusSuite` and pass all of it.

A subclass gives two fixtures: `broker`, with the assistant's streams, and `bare_broker`, without. Waits are those of
`parley_contract.streams`: instant on virtual time, some seconds on a real nats-server.
"""

from parley_testkit.bus_suite.buckets import BucketSuite
from parley_testkit.bus_suite.outages import OutageSuite
from parley_testkit.bus_suite.recording import RecordingSuite
from parley_testkit.bus_suite.samples import Broker
from parley_testkit.bus_suite.saying import SayingSuite
from parley_testkit.bus_suite.working import WorkingSuite

__all__ = ["Broker", "BusSuite"]


class BusSuite(SayingSuite, RecordingSuite, WorkingSuite, BucketSuite, OutageSuite):
    """Inherit, and give `broker` and `bare_broker`."""
