"""The one error tree. Every error says what was wrong, where, and what to do about it.

    ParleyError
    ├── RetryableError            the same call may succeed later: nak with delay, Temporary in kopf
    │   ├── BusUnavailableError   no broker, or no acknowledgement in time
    │   └── LeaseLostError        another agent owns the session now
    └── PermanentError            trying again changes nothing: term, Permanent in kopf
        ├── MalformedMessageError bytes that are not what their subject promises
        ├── UnknownMessageError   a message of a newer contract: ignored and counted, never an alarm
        └── InvalidDocumentError  a manifest or an environment with problems, all of them listed

Vendor exceptions are translated into these once, where the vendor is called.
"""

from collections.abc import Iterable


class ParleyError(Exception):
    """Whatever Parley raises on purpose."""


class RetryableError(ParleyError):
    """The same call may succeed later."""


class BusUnavailableError(RetryableError):
    """The broker is away or did not acknowledge in time."""


class LeaseLostError(RetryableError):
    """Another agent holds the session's lease."""


class PermanentError(ParleyError):
    """Trying again changes nothing."""


class MalformedMessageError(PermanentError):
    """Bytes that do not decode; `path` is where in the message decoding failed, never what stood there."""

    def __init__(self, reason: str, *, path: str = "$") -> None:
        """Keep the path apart from the sentence, so that a dead letter can carry it alone."""
        super().__init__(f"malformed message at {path}: {reason}")
        self.path = path


class UnknownMessageError(PermanentError):
    """A well-formed message whose tag this version does not know."""


class InvalidDocumentError(PermanentError):
    """A manifest or an environment that does not fit; `problems` lists every one as `path: what to do`."""

    def __init__(self, what: str, problems: Iterable[str]) -> None:
        """Join all problems into one message, a line each."""
        self.problems = tuple(problems)
        super().__init__("\n".join((f"{what}:", *(f"  {problem}" for problem in self.problems))))
