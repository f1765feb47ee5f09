"""What was done and is not in the feed yet: laid over what was seen, until it is seen or takes too long."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spaces.expected import PATIENCE_MS, Expectations
from spaces.model import ObservedRoom

NOW = 1_000_000
NAME = ("m.room.name", "")
EMPTY = ObservedRoom()


def seen(state: Any = None, members: Any = None) -> ObservedRoom:
    return ObservedRoom(state=state or {}, members=members or {})


def expecting() -> Expectations:
    found = Expectations()
    found.expect_state("!r", NAME, {"name": "New"}, NOW)
    found.expect_member("!r", "@bob:hub", "join", NOW)
    return found


def test_what_was_done_counts_before_it_is_seen() -> None:
    old = seen({NAME: {"name": "Old"}, ("m.room.topic", ""): {"topic": "x"}}, {"@bob:hub": "leave", "@eve:hub": "join"})
    assert expecting().over("!r", old, NOW) == seen(
        {NAME: {"name": "New"}, ("m.room.topic", ""): {"topic": "x"}}, {"@bob:hub": "join", "@eve:hub": "join"}
    )


def test_it_counts_for_ten_seconds_and_not_longer() -> None:
    found = expecting()
    assert found.over("!r", EMPTY, NOW + PATIENCE_MS - 1) != EMPTY
    assert found.pending("!r")
    assert found.over("!r", EMPTY, NOW + PATIENCE_MS) == EMPTY
    assert not found.pending("!r")


def test_doing_it_again_makes_the_wait_longer() -> None:
    found = expecting()
    found.expect_member("!r", "@bob:hub", "join", NOW + 5)
    assert found.over("!r", EMPTY, NOW + PATIENCE_MS) == seen(members={"@bob:hub": "join"})


def test_once_seen_it_is_forgotten_so_that_what_comes_after_counts() -> None:
    found = expecting()
    there = seen({NAME: {"name": "New"}}, {"@bob:hub": "join"})
    assert found.over("!r", there, NOW + 1) == there
    assert not found.pending("!r")
    after = seen({NAME: {"name": "Changed"}}, {"@bob:hub": "leave"})
    assert found.over("!r", after, NOW + 2) == after


def test_one_part_seen_leaves_the_other_expected() -> None:
    found = expecting()
    joined = seen(members={"@bob:hub": "join"})
    assert found.over("!r", joined, NOW + 1) == seen({NAME: {"name": "New"}}, {"@bob:hub": "join"})
    assert found.pending("!r")


def test_members_that_the_homeserver_adds_are_no_difference_and_others_are() -> None:
    found = expecting()
    more = seen({NAME: {"name": "New", "added": 1}}, {"@bob:hub": "join"})
    assert found.over("!r", more, NOW + 1) == more
    assert not found.pending("!r")
    found.expect_state("!r", NAME, {"name": "New", "x": 1}, NOW)
    assert found.over("!r", seen({NAME: {"name": "New"}}), NOW + 1).state[NAME] == {"name": "New", "x": 1}


def test_the_last_of_two_expectations_holds() -> None:
    found = expecting()
    found.expect_member("!r", "@bob:hub", "leave", NOW)
    assert found.over("!r", EMPTY, NOW).members == {"@bob:hub": "leave"}


def test_rooms_have_nothing_to_do_with_each_other() -> None:
    found = expecting()
    assert not found.pending("!s")
    assert found.over("!s", EMPTY, NOW) == EMPTY
    assert found.pending("!r")


_USERS = st.sampled_from(["@a:h", "@b:h"])
_VALUES = st.sampled_from(["join", "leave"])


@given(st.dictionaries(_USERS, _VALUES), st.dictionaries(_USERS, _VALUES), st.integers(0, 2 * PATIENCE_MS))
def test_looking_twice_shows_the_same(done: dict[str, str], there: dict[str, str], later: int) -> None:
    found = Expectations()
    for user, value in done.items():
        found.expect_member("!r", user, value, NOW)
    room = seen(members=there)
    first = found.over("!r", room, NOW + later)
    assert found.over("!r", room, NOW + later) == first
    assert found.pending("!r") == (first != room)
