"""Structured logs: JSON lines, or colours on a terminal, with the trace id of the current span.

Called once by the lifecycle. What a person said is never logged, at any level.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

from parley_runtime.telemetry import current_trace_id


def configure_logs(service: str, level: str) -> None:
    """Route structlog and the standard library's loggers to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
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
    # One line for each batch that a receiver did not take is enough; every attempt of it would be four.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)


def _add_service(service: str) -> Processor:
    """Say who logs. Not a context variable: threads that a library starts have none."""

    def add(_: object, __: str, event: EventDict) -> EventDict:
        return {**event, "service": service}

    return add


def _add_trace_id(_: object, __: str, event: EventDict) -> EventDict:
    if trace_id := current_trace_id():
        event.setdefault("trace_id", trace_id)
    return event
