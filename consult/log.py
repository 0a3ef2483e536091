"""The log: one line per event, ids and codes alone. Exceptions come as their kind and where, never with their text,
which may quote what somebody wrote."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO, Any

import structlog

QUIET = ("aiohttp.access", "aioice", "aiortc", "pgqueuer", "alembic", "asyncio", "limits")


def where(error: BaseException) -> list[str]:
    """Return the frames of an exception as `file:line function`, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [
        f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in frames
    ]


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return what the log may say about an exception."""
    facts: dict[str, Any] = {"error": type(error).__name__, "where": where(error)}
    for name in ("code", "sqlstate", "detail"):
        value = getattr(error, name, None)
        # Only our own errors promise that their detail names nobody; PostgreSQL's quotes the row.
        if value and (name != "detail" or type(error).__module__.startswith(("consult.", "signaling."))):
            facts[name] = value
    cause = error.__cause__ or error.__context__
    if cause is not None:
        facts["cause"] = type(cause).__name__
    return facts


def _say_where(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`log.exception` gives an exception; the line gets its facts instead of its text."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    return {**facts_of(error), **event} if isinstance(error, BaseException) else event


class _PlainLines(logging.Handler):
    """Records of libraries, passed to our log without the texts of exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        facts = facts_of(error) if error is not None else {}
        message = str(record.msg).splitlines()[0][:200] if record.msg else ""
        self._log.log(record.levelno, "library", logger=record.name, message=message, **facts)


def set_up_log(log_format: str = "json", stream: IO[str] | None = None) -> None:
    """Send all logs to a stream (standard error if none is given), as JSON or as text for people."""
    renderer: Any = structlog.processors.JSONRenderer()
    if log_format == "text":
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _say_where,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_PlainLines()]
    root.setLevel(logging.WARNING)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
