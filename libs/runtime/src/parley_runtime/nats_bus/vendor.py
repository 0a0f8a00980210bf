"""What the files beside this one need to know of nats-py: its exceptions, turned into ours, and its messages."""

import contextlib
from collections.abc import Iterator
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.errors import APIError

from parley_contract.errors import BusUnavailableError
from parley_runtime.bus import Raw

ACK_TIMEOUT_S: Final = 2.0
"""How long the broker may take to answer; it takes a millisecond."""

VENDOR_ERRORS: Final = (nats.errors.Error, TimeoutError, OSError)
"""Whatever a call to nats-py may raise because of the broker or the network."""


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Run a call to the vendor; what it raises becomes `BusUnavailableError` as `<what>: <reason>`."""
    try:
        yield
    except VENDOR_ERRORS as error:
        # An API error says what JetStream objects to; the others have little more than their name.
        reason = error.description if isinstance(error, APIError) and error.description else type(error).__name__
        raise BusUnavailableError(f"{what}: {reason}") from error


def raw_of(msg: Msg) -> Raw:
    """Return the message without its vendor; headers of the broker's own stay behind: the others are handed on."""
    headers = {name: value for name, value in (msg.headers or {}).items() if not name.startswith("Nats-")}
    return Raw(msg.subject, msg.data, headers, msg.reply)
