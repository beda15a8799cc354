"""Structured logs: one JSON object a line, or a readable line on a terminal."""

import logging
import sys
from typing import Any

import orjson
import structlog

from app.settings import Settings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(settings: Settings) -> None:
    """Sets up what Chatkeep and the libraries under it log, on standard error."""
    level = _LEVELS[settings.log_level]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    render: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    if as_json:
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(level, shared, as_json)


def _adopt_libraries(level: int, shared: list[Any], as_json: bool) -> None:
    render = structlog.processors.JSONRenderer(lambda *a, **k: _dumps(*a, **k).decode())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    for name in ("uvicorn", "uvicorn.error", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.error").addFilter(_is_not_of_a_websocket)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def silence() -> None:
    """Lets nothing be logged from now on: for a command, which says itself what happened."""
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(processors=[], wrapper_class=silent, logger_factory=structlog.ReturnLoggerFactory())
    logging.getLogger().handlers = [logging.NullHandler()]


def _is_not_of_a_websocket(record: logging.LogRecord) -> bool:
    """Uvicorn logs the whole address of a WebSocket, and so the ticket in it; `app.changes` logs a line of its own."""
    return '"WebSocket %s"' not in str(record.msg) and record.msg not in ("connection open", "connection closed")


def _dumps(value: Any, default: Any = str, **_: Any) -> bytes:
    return orjson.dumps(value, default=default)
