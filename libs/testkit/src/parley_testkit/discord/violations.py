"""What a client did that real Discord, or the people in the channel, would not have taken well."""

import time
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "commit",  # an MLS message that real Discord would not broadcast
    "datagram",  # not RTP, or not decryptable with the connection's key
    "heartbeat",  # none in time, or one that acknowledges what was never sent
    "interaction_deadline",  # a slash command without an answer for 3 s
    "pacing",  # frames further than the tolerance from one each 20 ms
    "protocol",  # an opcode that is unknown, or comes when it must not
    "sequence",  # RTP sequence or timestamp that does not go on from the frame before
    "silence",  # speech that ended without five silence frames, or without "speaking 0"
    "speaking",  # sound before "speaking 1"
    "timestamps",  # the RTP clock fell behind across a pause
    "transition",  # a member that is not ready for a transition in time
    "unencrypted",  # speech without DAVE's trailer while the others can only drop it
]


class Violation(NamedTuple):
    """One of them."""

    kind: Kind
    what: str
    """A sentence: who did what, and what was expected."""
    at_s: float
    """By the monotonic clock."""


class Violations:
    """All of them, oldest first."""

    def __init__(self) -> None:
        """Begin with none."""
        self.all: Final[list[Violation]] = []

    def add(self, kind: Kind, what: str) -> None:
        """Record one."""
        self.all.append(Violation(kind, what, time.monotonic()))

    def of(self, *kinds: Kind) -> list[Violation]:
        """Return those of some kinds."""
        return [violation for violation in self.all if violation.kind in kinds]

    def but(self, *kinds: Kind) -> list[Violation]:
        """Return those of all other kinds; `but()` is all of them, what a test of a well-behaved client wants empty."""
        return [violation for violation in self.all if violation.kind not in kinds]
