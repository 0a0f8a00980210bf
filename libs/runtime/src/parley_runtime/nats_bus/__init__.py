"""The bus on a real nats-server: the only room that imports nats-py.

`bus` is the connection, `streams` makes and mends what is stored, `replays` reads it back, `buckets` compares and
sets. Nothing here knows what a message means.
"""

from parley_runtime.nats_bus.bus import NatsBus, are_credentials

__all__ = ["NatsBus", "are_credentials"]
