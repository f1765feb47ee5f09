"""Structured logs: one JSON object a line, static event names, identifiers only; never content, tokens or keys."""

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog


def configure_logging(level: str, file: Path | None = None) -> None:
    """Send the service's log to ``file`` (appended), or to standard error."""
    stream: TextIO = sys.stderr if file is None else file.open("a", buffering=1, encoding="utf-8")
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=stream, level=max(number, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
