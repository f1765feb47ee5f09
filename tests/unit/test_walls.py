"""The rule of walls, over any set of companies: two that a wall parts never meet, everyone else may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.policy.refusal import Code
from spaces.policy.walls import Wall, refuse_wall, wall_between

COMPANIES = st.sampled_from(["acme", "contoso", "fabrikam", "northwind", "tailspin"])
PAIRS = st.tuples(COMPANIES, COMPANIES).filter(lambda pair: pair[0] != pair[1])


def test_a_wall_is_the_same_from_both_sides() -> None:
    assert (
        wall_between("b", "a", "rivals")
        == wall_between("a", "b", "rivals")
        == Wall(first="a", second="b", reason="rivals")
    )


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("b", "a")])
def test_what_is_no_wall_cannot_be_made(first: str, second: str) -> None:
    with pytest.raises(ValueError, match="a wall stands between two companies in order"):
        Wall(first=first, second=second, reason="x")


def test_a_refusal_names_the_wall_and_its_reason() -> None:
    walls = [wall_between("tailspin", "acme", "rivals"), wall_between("acme", "fabrikam", "same tender")]
    refusal = refuse_wall({"contoso", "fabrikam", "acme", "tailspin"}, walls)
    assert refusal is not None
    assert refusal.code is Code.WALL_STANDS
    assert refusal.sentence == "a wall stands between acme and fabrikam: same tender"


@given(st.sets(COMPANIES), st.lists(PAIRS))
def test_two_that_a_wall_parts_never_meet_and_everyone_else_may(
    meeting: set[str], pairs: list[tuple[str, str]]
) -> None:
    refused = refuse_wall(meeting, [wall_between(*pair) for pair in pairs]) is not None
    assert refused is any(set(pair) <= meeting for pair in pairs)
