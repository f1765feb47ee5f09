"""Time: never back within a process, written and read in one form."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, HOUR, MINUTE, SECOND, SteadyClock, iso, parse_date, system_clock


class Source:
    """A clock that shows what it is told to."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_a_steady_clock_stands_still_until_its_source_has_caught_up() -> None:
    source = Source(1_000)
    clock = SteadyClock(source)
    assert (clock(), clock.behind) == (1_000, 0)
    source.now = 400
    assert (clock(), clock.behind) == (1_000, 600)
    source.now = 1_001
    assert (clock(), clock.behind) == (1_001, 0)


@given(st.lists(st.integers(0, 2**50), min_size=1))
def test_a_steady_clock_shows_the_latest_time_that_was(times: list[int]) -> None:
    source = Source(0)
    clock = SteadyClock(source)
    for at, now in enumerate(times):
        source.now = now
        assert clock() == max(times[: at + 1])
        assert clock.behind == max(times[: at + 1]) - now


def test_looking_at_how_far_it_is_behind_does_not_move_it() -> None:
    source = Source(5)
    clock = SteadyClock(source)
    clock()
    source.now = 9
    assert clock.behind == 0
    source.now = 6
    assert clock() == 6


def test_the_system_clock_is_in_milliseconds() -> None:
    before = time.time()
    found = system_clock()
    assert before - 0.001 <= found / 1_000 <= time.time()


def test_units() -> None:
    assert (SECOND, MINUTE, HOUR, DAY) == (1_000, 60_000, 3_600_000, 86_400_000)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_939_800_007, "2026-11-29T08:10:00.007Z"),
        (1_709_164_800_999, "2024-02-29T00:00:00.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_milliseconds(instant: int, text: str) -> None:
    assert iso(instant) == text


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_the_very_instant(instant: int) -> None:
    found = datetime.fromisoformat(iso(instant))
    assert found.tzinfo == UTC
    assert round(found.timestamp() * 1_000) == instant


def test_a_date_means_until_the_end_of_that_day() -> None:
    assert iso(parse_date("2027-12-31")) == "2028-01-01T00:00:00.000Z"
    assert iso(parse_date("2024-02-28")) == "2024-02-29T00:00:00.000Z"


@given(st.dates())
def test_any_day_ends_where_the_next_begins(day: object) -> None:
    end = parse_date(str(day))
    assert end % DAY == 0
    assert iso(end - 1) == f"{day}T23:59:59.999Z"


@pytest.mark.parametrize(
    "text", ["", "2027", "31.12.2027", "2027-13-01", "2027-02-29", "2027-12-31T00:00", "2027-1-1x"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|day is out of range|unconverted"):
        parse_date(text)
