"""``conclave hold`` and the limits of ``conclave company``."""

from collections.abc import Callable

import pytest

from bridge.cli.company import size
from bridge.cli.errors import CallFailedError
from tests.cli.test_commands import Run, names, run

__all__ = ["names", "run"]


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("10K", 10_240), ("10M", 10 << 20), ("2g", 2 << 30)])
def test_sizes_as_people_write_them(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "M", "0", "-1", "1.5M", "10MB", "10T", "x"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(CallFailedError, match="is not a size such as 10M"):
        size(text)


def test_a_limit_is_given_changed_and_taken_away(run: Run, names: Callable[[str], str]) -> None:
    company = names("limited")
    assert run("company", "add", company, "--name", "Northwind", "--max-upload", "10M").status == 0
    assert "at most 10,485,760 bytes" in run("company", "show", company).out
    changed = run("company", "change", company, "--max-upload", "25K")
    assert changed.out == "Northwind may share files of at most 25,600 bytes; the homeserver enforces it now.\n"
    changed = run("company", "change", company, "--max-upload", "none")
    assert changed.out == "Northwind may share files as large as the server takes; the homeserver enforces it now.\n"
    wrong = run("company", "change", company, "--max-upload", "lots")
    assert (wrong.status, wrong.err) == (2, "conclave: 'lots' is not a size such as 10M\n")


def test_a_hold_is_of_one_thing(run: Run) -> None:
    ran = run("hold", "place", "--reason", "x")
    assert ran.status == 2
    assert ran.err.startswith(
        "conclave: a hold covers a partnership, a committee or a person: name one of them\n  next: "
    )


def test_an_administrator_places_no_holds(run: Run) -> None:
    ran = run("hold", "place", "--person", "d@c.example", "--reason", "x")
    assert ran.status == 1
    assert "this needs compliance-officer" in ran.err
    assert run("hold", "lift", "hld_x", "--reason", "x", "--yes").status == 1
    assert run("hold", "lift", "hld_x", "--reason", "x").status == 2, "not asked off a terminal"
