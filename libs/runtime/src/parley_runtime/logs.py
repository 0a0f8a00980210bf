"""Structured logs: JSON lines, or colours on a terminal, with the trace id of the current span.

Called once by the lifecycle. What a person said is never logged, at any level.
"""

import logging
import sys
from typing import Any

import structlog

from parley_runtime.telemetry import current_trace_id


def configure_logs(service: str, level: str) -> None:
    """Route structlog and the standard library's loggers to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace_id,
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "uvicorn", "opentelemetry", "websockets", "faster_whisper"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _add_trace_id(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
    if trace_id := current_trace_id():
        event.setdefault("trace_id", trace_id)
    return event
