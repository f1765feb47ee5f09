"""What the ledger says of a refusal, and to whom: a room's trail tells its companies of nobody else."""

from typing import Any

import pytest

from bridge.events import RoomContext
from bridge.refused import parse_refusal, refusal_draft
from config.errors import InvalidInputError
from spaces.policy.records import PersonRecord, Standing

BOT, ROOM = "@conclave:hub.example", "!deals:hub.example"
DEALS = RoomContext(engagement="northwind", companies=("contoso", "northwind"))
BOB, EVE = "@bob:hub.example", "@eve:hub.example"
PEOPLE = {
    BOB: PersonRecord(person="prs_bob", user_id=BOB, company="northwind", standing=Standing.ACTIVE),
    EVE: PersonRecord(person="prs_eve", user_id=EVE, company="fabrikam", standing=Standing.ACTIVE),
}
REFUSAL = {"actor": BOB, "room": ROOM, "code": "PERSON_OUTSIDE", "act": "invite", "minute": 7, "count": 2}


def entry(**change: Any) -> Any:
    return refusal_draft(parse_refusal(REFUSAL | change), DEALS, PEOPLE, BOT)


def test_an_act_of_the_rooms_own_people_is_an_entry_of_the_room() -> None:
    draft = entry()
    assert (draft.room, draft.engagement, draft.companies) == (ROOM, "northwind", ("contoso", "northwind"))
    assert draft.data == {"act": "invite", "count": 2, "minute": 7, "code": "PERSON_OUTSIDE"}


@pytest.mark.parametrize("actor", [EVE, "@who:elsewhere.example"])
def test_an_act_of_an_outsider_is_none(actor: str) -> None:
    draft = entry(actor=actor)
    assert (draft.room, draft.engagement) == (None, None)
    assert draft.companies == (("fabrikam",) if actor == EVE else ())
    assert draft.data["place"] == ROOM


def test_whom_it_was_about_is_the_same_entry_whether_there_is_such_a_person_or_not() -> None:
    known, unknown = entry(subject=EVE), entry(subject="@mallory:hub.example")
    assert "subject" not in known.data
    assert known.data == unknown.data
    assert (known.companies, known.room) == (unknown.companies, unknown.room)
    assert known.disclose == {"subject": EVE}
    assert entry(subject=BOB).data["subject"] == {"person": "prs_bob"}
    assert entry(subject=BOT).data["subject"] == {"system": "conclave"}


def test_the_hubs_own_acts_and_those_of_nobody_stay_with_the_room() -> None:
    assert entry(actor=BOT).room == ROOM
    assert entry(actor="").room == ROOM


def test_outside_of_rooms_a_refusal_is_that_of_the_company() -> None:
    draft = refusal_draft(parse_refusal(REFUSAL | {"room": "", "subject": EVE}), RoomContext(), PEOPLE, BOT)
    assert (draft.room, draft.companies, draft.data["subject"]) == (None, ("northwind",), {"person": "prs_eve"})


def test_a_crash_says_nothing_of_a_subject() -> None:
    draft = entry(code="GUARD_FAILED", subject=EVE)
    assert (draft.kind, draft.disclose) == ("guard.crashed", {})
    assert draft.data == {"act": "invite", "count": 2, "minute": 7}


@pytest.mark.parametrize("item", [None, {}, {**REFUSAL, "count": "many"}, [1]])
def test_what_is_no_refusal_is_said_to_be_none(item: Any) -> None:
    with pytest.raises(InvalidInputError, match="a refusal has actor"):
        parse_refusal(item)


def test_in_a_room_that_the_hub_knows_nothing_of_an_act_is_an_entry_of_no_room() -> None:
    """Else the company of whoever asked would read in its trail whether there is such a person."""
    for subject in (EVE, "@mallory:hub.example"):
        draft = refusal_draft(parse_refusal(REFUSAL | {"subject": subject}), RoomContext(), PEOPLE, BOT)
        assert (draft.room, draft.companies, draft.data["place"]) == (None, ("northwind",), ROOM)
