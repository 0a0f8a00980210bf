"""What a way through the Internet does to a stream of packets: a plan made by chance that a seed repeats.

Pure: which packet arrives, how often and how late. Nothing is sent from here.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from parley_testkit.discord.rtp import Packet


class Line(NamedTuple):
    """How bad somebody's connection is, and what his client adds to its packets. The default is perfect and plain."""

    loss: float = 0.0
    """Share of packets that never arrive, from 0 to 1."""
    duplicates: float = 0.0
    """Share that arrive twice."""
    reordered: float = 0.0
    """Share that arrive `late_ms` later than they should, and so behind others."""
    late_ms: float = 50.0
    jitter_ms: float = 0.0
    """Every packet is late by chance, by at most this."""
    padded: float = 0.0
    """Share with RTP padding, of 1 to 255 bytes."""
    extension_words: int | None = None
    """Length of the RTP header extension, without its first word; None for none."""
    csrcs: int = 0
    """How many contributing sources are named, at most 15."""
    seed: int = 0


def travel(line: Line, packet: Packet, chance: random.Random) -> Iterator[tuple[float, Packet]]:
    """Yield what arrives of a packet: how many seconds late, and with what was added on the way."""
    if chance.random() < line.loss:
        return
    body = None if line.extension_words is None else chance.randbytes(4 * line.extension_words)
    changed = packet._replace(
        padding=chance.randint(1, 255) if chance.random() < line.padded else packet.padding,
        extension=packet.extension if body is None else body,
        csrcs=tuple(chance.getrandbits(32) for _ in range(line.csrcs)) or packet.csrcs,
    )
    late_s = chance.uniform(0, line.jitter_ms) / 1000
    if chance.random() < line.reordered:
        late_s += line.late_ms / 1000
    yield late_s, changed
    if chance.random() < line.duplicates:
        yield late_s, changed
