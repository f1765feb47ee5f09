"""The service's log: one JSON object a line, no secret in it, and it does not grow for ever."""

import json
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from config.logging import BACKUPS, configure_logging


@pytest.fixture
def log(tmp_path: Path, hub_log: Path) -> Iterator[Path]:
    path = tmp_path / "hub.log"
    configure_logging("info", path)
    yield path
    configure_logging("info", hub_log)


def test_everything_is_one_object_a_line(log: Path) -> None:
    structlog.get_logger("bridge.feed").info("something_happened", room="!r", count=2)
    structlog.get_logger("bridge.feed").debug("too_much")
    logging.getLogger("another.library").warning("a %s\nwarning", "foreign")
    logging.getLogger("another.library").info("too much")
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["event"], first["room"], first["count"], first["level"]) == ("something_happened", "!r", 2, "info")
    assert (second["event"], second["logger"]) == ("a foreign\nwarning", "another.library")


def test_what_the_web_server_cannot_read_is_not_quoted(log: Path) -> None:
    try:
        raise ValueError("Invalid method encountered: b'get /enrol/SECRET'")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "127.0.0.1")
    text = log.read_text()
    assert "request not served: ValueError" in text
    assert "SECRET" not in text


def test_it_is_bounded(log: Path) -> None:
    found = [one for one in logging.getLogger().handlers if isinstance(one, logging.handlers.RotatingFileHandler)]
    (handler,) = found
    assert (handler.baseFilename, handler.backupCount) == (str(log), BACKUPS)
    assert 0 < handler.maxBytes <= 20_000_000
