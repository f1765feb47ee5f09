"""Time as the hub uses it: whole milliseconds since 1970-01-01 UTC, handed to the core as an argument."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Millis = int
Clock = Callable[[], Millis]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def system_clock() -> Millis:
    """Milliseconds since the epoch, as the operating system tells them; may step back."""
    return time.time_ns() // 1_000_000


class SteadyClock:
    """A clock that never steps back within one process: it stands still until its source has caught up."""

    def __init__(self, source: Clock = system_clock) -> None:
        self._source = source
        self._last = 0

    def __call__(self) -> Millis:
        """The time, never less than before."""
        self._last = max(self._last, self._source())
        return self._last

    @property
    def behind(self) -> Millis:
        """How many milliseconds the source is behind what was last told; 0 when all is well."""
        return max(0, self._last - self._source())


def iso(instant: Millis) -> str:
    """``instant`` as RFC 3339 in UTC with milliseconds, such as ``2026-11-29T08:10:00.000Z``."""
    moment = datetime.fromtimestamp(instant / 1_000, UTC)
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{instant % 1_000:03d}Z"


def parse_date(text: str) -> Millis:
    """The end of the calendar day ``text`` (``YYYY-MM-DD``, UTC): the first millisecond that is no longer in it.

    Raises:
        ValueError: ``text`` is not a date of that form.
    """
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return int(day.timestamp()) * 1_000 + DAY
