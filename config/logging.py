"""Structured logs: one JSON object a line, static event names, identifiers only; never content, tokens or keys."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog

OURS = ("audit", "bridge", "config", "partner_onboarding", "spaces")
MAX_BYTES = 20_000_000
BACKUPS = 3


class _Discreet(logging.Filter):
    """Cuts what the web server says of requests that it cannot read: it quotes them, and with them secrets in links."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, without anything of the request."""
        if record.name == "aiohttp.server" and record.exc_info and record.exc_info[0] is not None:
            record.msg, record.args = f"request not served: {record.exc_info[0].__name__}", ()
            record.exc_info = record.exc_text = None
        return True


def configure_logging(level: str, file: Path | None = None) -> None:
    """Send the service's log to ``file`` (appended; the newest 80 MB are kept), or to standard error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file is not None:
        handler = RotatingFileHandler(file, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
    handler.addFilter(_Discreet())
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, stamp],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(number)
