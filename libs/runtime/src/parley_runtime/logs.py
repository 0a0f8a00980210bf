"""Structured logs: JSON lines, or colours on a terminal, with the trace id of the current span.

Called once by the lifecycle. What a person said is never logged, at any level; so an exception is logged with all
that says where it happened, and without its message, which may repeat what it could not do.
"""

import logging
import sys
import traceback

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
        _replace_exception,
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


def blame(error: BaseException) -> str:
    """Return an exception's traceback and its causes' and its parts', each with its type in the place of its words."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    where = "".join(("Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)))
    own = f"{where}{type(error).__qualname__}"
    return "\n\n".join([*([blame(earlier)] if earlier else []), own, *map(blame, parts)])


def _replace_exception(_: object, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if given is True:
        error = sys.exception()
    return event if error is None else {**event, "exception": blame(error)}


def _add_service(service: str) -> Processor:
    """Say who logs. Not a context variable: threads that a library starts have none."""

    def add(_: object, __: str, event: EventDict) -> EventDict:
        return {**event, "service": service}

    return add


def _add_trace_id(_: object, __: str, event: EventDict) -> EventDict:
    if trace_id := current_trace_id():
        event.setdefault("trace_id", trace_id)
    return event
