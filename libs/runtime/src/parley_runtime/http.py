"""The HTTP surface that every service has: /health, /healthz, /readyz, /metrics, /status, described by /openapi.json.

`service_app` makes it; a service may add routes of its own to what it returns. Serving is the lifecycle's.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from parley_runtime.telemetry import Telemetry


class Health:
    """What keeps a service from being ready, in words; empty means ready."""

    def __init__(self, **reasons: str) -> None:
        """Begin with the things that are not there yet, as `thing="why"`."""
        self._reasons: dict[str, str] = dict(reasons)
        self._needs: dict[str, tuple[Callable[[], bool], str]] = {}
        self.draining = False

    def ready(self, thing: str) -> None:
        """Say that this thing is there."""
        self._reasons.pop(thing, None)

    def lacking(self, thing: str, why: str) -> None:
        """Say that this thing is missing, and why."""
        self._reasons[thing] = why

    def needs(self, thing: str, is_there: Callable[[], bool], why: str) -> None:
        """Ask each time whether this thing is there, and say why it is not."""
        self._needs[thing] = is_there, why

    @property
    def reasons(self) -> dict[str, str]:
        """Everything that is missing; a service that drains is never ready."""
        missing = {thing: why for thing, (is_there, why) in self._needs.items() if not is_there()}
        return {**self._reasons, **missing, **({"service": "draining"} if self.draining else {})}


def _described(description: str, content_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema}}}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_NAME: Final = {"type": "string"}
_ALIVE: Final = _described(
    "The process lives.", "application/json", _object(status={"type": "string", "enum": ["ok"]}, service=_NAME)
)
_REASONS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_READINESS: Final = _object(ready={"type": "boolean"}, service=_NAME, pid={"type": "integer"}, reasons=_REASONS)
_READY: Final = _described("It is ready.", "application/json", _READINESS)
_NOT_READY: Final = _described("It is not ready, for these reasons.", "application/json", _READINESS)
_STATUS: Final = _described(
    "What it does now; more fields than these, by service.",
    "application/json",
    _object(service=_NAME, ready={"type": "boolean"}),
)
_METRICS: Final = _described("Prometheus' text format.", "text/plain", {"type": "string"})


Status = Callable[[], Mapping[str, object]]


def service_app(service: str, *, health: Health, telemetry: Telemetry, status: Status) -> FastAPI:
    """Make the common surface.

    Args:
        service: shown in every answer.
        health: decides `/readyz`.
        telemetry: feeds `/metrics`.
        status: returns what `/status` shows as JSON; called for each request, so it must be quick.
    """
    app = FastAPI(title=f"Parley {service}", docs_url=None, redoc_url=None)

    @app.get("/health", responses={200: _ALIVE})
    @app.get("/healthz", responses={200: _ALIVE})
    async def alive() -> JSONResponse:
        """Answer as long as the event loop turns, also while draining."""
        return JSONResponse({"status": "ok", "service": service})

    @app.get("/readyz", responses={200: _READY, 503: _NOT_READY})
    async def ready() -> JSONResponse:
        """Say whether it can do its work, what keeps it from that, and which process says so.

        Whoever started a process can so tell its answer from that of another that has taken its port.
        """
        reasons = health.reasons
        body = {"ready": not reasons, "service": service, "pid": os.getpid(), "reasons": reasons}
        return JSONResponse(body, status_code=503 if reasons else 200)

    @app.get("/metrics", response_class=PlainTextResponse, responses={200: _METRICS})
    async def metrics() -> Response:
        """Count."""
        return Response(telemetry.exposition(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/status", responses={200: _STATUS})
    async def show_status() -> JSONResponse:
        """Tell what it does now."""
        return JSONResponse({"service": service, "ready": not health.reasons, **status()})

    return app
