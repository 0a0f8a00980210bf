"""What any process says when it cannot read something."""

from parley_contract.messages.base import Count, Message, Number


class DeadLetter(Message, frozen=True, kw_only=True):
    """A message that could not be read: where it was, how large, its hash and the failing path. Never its content."""

    subject: str
    service: str
    size: Count
    sha256: str
    path: str
    at: Number
    """Unix seconds."""
