"""What was asked of the API server and what it said: its audit log, read as events.

Kubernetes' own parts and kwok are left out (`arguments`); bodies are never in it. A line may come a moment after the
answer that it tells of, so whoever waits for one asks again.
"""

from pathlib import Path
from typing import Final

import msgspec


class AuditedUser(msgspec.Struct, frozen=True):
    """Who asked."""

    username: str = ""
    """Empty for somebody whose token was refused."""


class AuditedObject(msgspec.Struct, frozen=True, rename="camel"):
    """What was asked for; fields that the request does not have are empty."""

    resource: str = ""
    api_group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class AuditedAnswer(msgspec.Struct, frozen=True):
    """What was answered."""

    code: int = 0
    message: str = ""


class AuditEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One request; a watch appears when it begins and when it ends."""

    verb: str
    stage: str
    user: AuditedUser
    request_uri: str = msgspec.field(name="requestURI")
    object_ref: AuditedObject = AuditedObject()
    response_status: AuditedAnswer = AuditedAnswer()
    user_agent: str = ""
    annotations: dict[str, str] = {}

    @property
    def resource(self) -> str:
        """What was asked for, as RBAC names it: `deployments.apps`, `pods/log`."""
        ref = self.object_ref
        group = f".{ref.api_group}" if ref.api_group else ""
        return f"{ref.resource}{group}{f'/{ref.subresource}' if ref.subresource else ''}"

    @property
    def code(self) -> int:
        """The HTTP status."""
        return self.response_status.code

    @property
    def was_allowed(self) -> bool:
        """Whether RBAC let it pass."""
        return self.annotations.get("authorization.k8s.io/decision") == "allow"


_EVENTS: Final = msgspec.json.Decoder(AuditEvent)


class AuditLog:
    """The log of one API server."""

    def __init__(self, path: Path) -> None:
        """Read this file, which appears with the first request."""
        self._path = path

    def position(self) -> int:
        """Return where the log ends now; `events` begins there if told."""
        return self._path.stat().st_size if self._path.exists() else 0

    def events(self, since: int = 0, *, user: str | None = None) -> list[AuditEvent]:
        """Return the requests after a position, the oldest first; those of one user if told.

        Args:
            since: what `position` returned.
            user: a user's name; of a ServiceAccount `system:serviceaccount:<namespace>:<name>`.
        """
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(since)
            whole = log.read().rpartition(b"\n")[0]  # the last line may be half written
        events = [_EVENTS.decode(line) for line in whole.splitlines()]
        return [event for event in events if user in (None, event.user.username)]
