"""Who may put whom into a room or take them out: each case, with the words that it is refused in."""

import pytest

from spaces.policy.records import MappingRoster, Standing
from spaces.policy.refusal import Code
from spaces.policy.rules import MAX_REASON, refuse_membership
from tests.policy import (
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    NOW,
    ROSTER,
    STRANGER,
    Case,
    changed,
    check,
    company,
    membership,
    person,
    without,
)

NO_PART = "has no part in this engagement"
STAYS = f"{BOT} belongs to the hub and stays as it is"
BY_HUB = "people are removed by the hub"
KNOCK = "rooms cannot be knocked at; the hub adds the people of an engagement"
NOTE = f"only a reason of at most {MAX_REASON} characters may stand in the clear beside m.room.member"

MEMBERSHIPS: dict[str, Case] = {
    "the hub joins": (membership(BOT, BOT, "join"), None, ""),
    "the hub leaves": (membership(BOT, BOT, "leave"), Code.ACCOUNT_PROTECTED, STAYS),
    "a member removes the hub": (membership(BOB, BOT, "leave"), Code.ACCOUNT_PROTECTED, STAYS),
    "a member bans the hub": (membership(BOB, BOT, "ban"), Code.ACCOUNT_PROTECTED, STAYS),
    "the hub adds a person": (membership(BOT, BOB, "invite"), None, ""),
    "the hub adds a person without a part": (
        membership(BOT, CAROL, "invite"),
        Code.COMPANY_NOT_ADMITTED,
        f"{CAROL} {NO_PART}",
    ),
    "the hub adds a stranger": (
        membership(BOT, STRANGER, "invite"),
        Code.PERSON_UNKNOWN,
        f"{STRANGER} is not enrolled in this hub",
    ),
    "the hub removes a person": (membership(BOT, BOB, "leave", reason="x" * 1_000), None, ""),
    "the hub bans a person": (membership(BOT, BOB, "ban"), Code.MEMBERSHIP_BY_HUB, "the hub adds and removes people"),
    "the hub joins for a person": (
        membership(BOT, BOB, "join"),
        Code.MEMBERSHIP_BY_HUB,
        "the hub adds and removes people",
    ),
    "the hub says nothing": (membership(BOT, BOB, None), Code.MEMBERSHIP_BY_HUB, "the hub adds and removes people"),
    "the hub says more": (membership(BOT, BOB, "leave", body="clear"), Code.PLAINTEXT, NOTE),
    "a person joins": (membership(BOB, BOB, "join", displayname="Bob", avatar_url="mxc://x"), None, ""),
    "a person without a part joins": (
        membership(CAROL, CAROL, "join"),
        Code.COMPANY_NOT_ADMITTED,
        f"{CAROL} {NO_PART}",
    ),
    "a person joins and says more": (membership(BOB, BOB, "join", body="clear"), Code.PLAINTEXT, NOTE),
    "a person leaves": (membership(BOB, BOB, "leave"), None, ""),
    "a stranger leaves": (membership(STRANGER, STRANGER, "leave", reason="no thanks"), None, ""),
    "a person leaves with a long speech": (
        membership(BOB, BOB, "leave", reason="x" * (MAX_REASON + 1)),
        Code.PLAINTEXT,
        NOTE,
    ),
    "a person leaves with a table": (membership(BOB, BOB, "leave", reason=["clear"]), Code.PLAINTEXT, NOTE),
    "a person knocks": (membership(BOB, BOB, "knock"), Code.KNOCK_CLOSED, KNOCK),
    "a person bans himself": (membership(BOB, BOB, "ban"), Code.KNOCK_CLOSED, KNOCK),
    "a person is in no state": (membership(BOB, BOB, ["join"]), Code.KNOCK_CLOSED, KNOCK),
    "a member removes another": (membership(BOB, ALICE, "leave"), Code.MEMBERSHIP_BY_HUB, BY_HUB),
    "a member bans another": (membership(BOB, ALICE, "ban"), Code.MEMBERSHIP_BY_HUB, BY_HUB),
    "a member joins for another": (membership(BOB, ALICE, "join"), Code.MEMBERSHIP_BY_HUB, BY_HUB),
    "a member adds one who may be there": (
        membership(BOB, ALICE, "invite"),
        Code.INVITE_BY_HUB,
        f"{ALICE} is added by the hub, without an invitation",
    ),
    "a member adds a stranger": (
        membership(BOB, STRANGER, "invite"),
        Code.PERSON_UNKNOWN,
        f"{STRANGER} is not enrolled in this hub",
    ),
    "one without a part adds a member": (
        membership(CAROL, BOB, "invite"),
        Code.COMPANY_NOT_ADMITTED,
        f"{CAROL} {NO_PART}",
    ),
}


@pytest.mark.parametrize("name", MEMBERSHIPS)
def test_who_puts_whom_in_or_out(name: str) -> None:
    request, code, sentence = MEMBERSHIPS[name]
    check(refuse_membership(request, CHARTER, ROSTER, NOW, BOT), code, sentence)


OUTSIDERS: dict[str, MappingRoster] = {
    "is there": ROSTER,
    "does not exist": without(CAROL),
    "is suspended": changed(person(CAROL, standing=Standing.SUSPENDED)),
    "is of a suspended company": changed(company("fabrikam", standing=Standing.SUSPENDED)),
    "is of a company whose contract ended": changed(company("fabrikam", not_after=NOW)),
    "is of a company that is not here": without("fabrikam"),
}


@pytest.mark.parametrize("name", OUTSIDERS)
def test_a_member_learns_nothing_of_another_companys_people_by_inviting_them(name: str) -> None:
    refusal = refuse_membership(membership(BOB, CAROL, "invite"), CHARTER, OUTSIDERS[name], NOW, BOT)
    check(refusal, Code.PERSON_UNKNOWN, f"{CAROL} is not enrolled in this hub")


def test_a_member_is_told_what_stands_against_a_colleague() -> None:
    suspended = changed(person(ALICE, standing=Standing.SUSPENDED, teams=frozenset({"sales"})))
    refusal = refuse_membership(membership(BOB, ALICE, "invite"), CHARTER, suspended, NOW, BOT)
    check(refusal, Code.PERSON_SUSPENDED, f"{ALICE} is suspended")
