"""Accounts of the hub that a charter names: put in by the hub, heard encrypted only, not removed; nowhere else."""

from dataclasses import replace
from typing import Any

import pytest

from spaces.model import ObservedRoom
from spaces.plan import DONE, AddMember, RemoveMember, plan_room
from spaces.policy.blueprint import CALL_MEMBER
from spaces.policy.decide import decide
from spaces.policy.records import Admission, Charter, RoomKind
from spaces.policy.refusal import Code
from spaces.policy.rules import EventRequest
from tests.policy import BOB, BOT, CAROL, CHARTER, NOW, REACTION, ROSTER, SEALED, SERVER, World, membership
from tests.unit.test_plan import desired, settled

HELPER = f"@conclave-helper:{SERVER}"
CHAT = replace(CHARTER, admits=(Admission(company="northwind", person=BOB),), accounts=(HELPER,))
PROTECTED = f"{HELPER} belongs to the hub and stays as it is"


def refused(request: EventRequest, charter: Charter = CHAT) -> tuple[Code, str] | None:
    found = decide(request, charter, ROSTER, NOW, BOT)
    return None if found is None else (found.code, found.sentence)


@pytest.mark.parametrize(("sender", "value"), [(BOT, "invite"), (HELPER, "join")])
def test_the_hub_puts_its_account_in(sender: str, value: str) -> None:
    assert refused(membership(sender, HELPER, value)) is None


@pytest.mark.parametrize(
    ("sender", "value"),
    [
        *((BOB, value) for value in ("leave", "ban", "invite", "join")),
        *((BOT, value) for value in ("leave", "ban", "join")),
        *((HELPER, value) for value in ("leave", "ban", "knock", "invite")),
    ],
)
def test_nobody_takes_it_out_and_it_does_not_leave(sender: str, value: str) -> None:
    assert refused(membership(sender, HELPER, value)) == (Code.ACCOUNT_PROTECTED, PROTECTED)


def test_it_enters_no_room_whose_charter_does_not_name_it() -> None:
    unknown = (Code.PERSON_UNKNOWN, f"{HELPER} is not enrolled in this hub")
    assert refused(membership(BOT, HELPER, "invite"), CHARTER) == unknown
    assert refused(membership(HELPER, HELPER, "join"), CHARTER) == unknown
    assert refused(EventRequest(sender=HELPER, type="m.room.encrypted", content=SEALED), CHARTER) == unknown


def test_the_hub_takes_it_out_where_no_charter_names_it_any_more() -> None:
    assert refused(membership(BOT, HELPER, "leave"), CHARTER) is None


@pytest.mark.parametrize(("kind", "content"), [("m.room.encrypted", SEALED), ("m.reaction", REACTION)])
def test_it_speaks_encrypted(kind: str, content: dict[str, Any]) -> None:
    assert refused(EventRequest(sender=HELPER, type=kind, content=content)) is None


def test_it_speaks_no_clear_text() -> None:
    found = refused(EventRequest(sender=HELPER, type="m.room.message", content={"body": "x"}))
    assert found == (Code.PLAINTEXT, "this room carries encrypted messages only; let your client encrypt")


@pytest.mark.parametrize("kind", ["m.room.name", "m.room.topic", "m.room.power_levels", CALL_MEMBER])
def test_it_changes_no_state(kind: str) -> None:
    found = refused(EventRequest(sender=HELPER, type=kind, state_key=""))
    assert found is not None
    assert found[1] == f"{kind} is fixed by the charter of this room"


def test_it_puts_nobody_in_and_takes_nobody_out() -> None:
    assert refused(membership(HELPER, BOB, "leave")) == (Code.MEMBERSHIP_BY_HUB, "people are removed by the hub")
    assert refused(membership(HELPER, CAROL, "invite")) is not None


def test_it_is_silent_when_the_engagement_is_closed_and_in_a_space() -> None:
    said = EventRequest(sender=HELPER, type="m.room.encrypted", content=SEALED)
    assert refused(said, replace(CHAT, open=False)) == (Code.ENGAGEMENT_CLOSED, "this engagement is closed")
    assert (refused(said, replace(CHAT, kind=RoomKind.SPACE)) or ("",))[0] == Code.SPACE_QUIET


def test_it_is_silent_from_the_millisecond_on_in_which_a_room_is_frozen() -> None:
    said = EventRequest(sender=HELPER, type="m.room.encrypted", content=SEALED)
    assert refused(said, replace(CHAT, frozen_from=NOW + 1)) is None
    assert (refused(said, replace(CHAT, frozen_from=NOW)) or ("",))[0] == Code.ROOM_FROZEN


def test_the_plan_puts_it_in_before_the_person_and_leaves_it_there() -> None:
    world = World(CHAT, ROSTER)
    room = settled(world)
    alone = ObservedRoom(state=room.state, members={BOT: "join"})
    assert plan_room(desired(world), alone, NOW) == [AddMember(user_id=HELPER), AddMember(user_id=BOB)]
    both = ObservedRoom(state=room.state, members={BOT: "join", HELPER: "join", BOB: "join"})
    assert plan_room(desired(world), both, NOW) == []


def test_the_plan_takes_it_out_where_the_charter_does_not_name_it() -> None:
    world = World(replace(CHAT, accounts=()), ROSTER)
    room = ObservedRoom(state=settled(world).state, members={BOT: "join", HELPER: "join", BOB: "join"})
    actions = plan_room(desired(world), room, NOW)
    assert [action.user_id for action in actions if isinstance(action, RemoveMember)] == [HELPER]
    assert [action.reason for action in actions if isinstance(action, RemoveMember)] == [DONE]


def test_nobody_else_is_taken_for_an_account_of_the_hub() -> None:
    world = World(replace(CHAT, accounts=()), ROSTER)
    strangers = (f"@conclaver:{SERVER}", "@conclave-helper:evil.example", f"@my.conclave-helper:{SERVER}")
    members = {BOT: "join", BOB: "join", **dict.fromkeys(strangers, "join")}
    actions = plan_room(desired(world), ObservedRoom(state=settled(world).state, members=members), NOW)
    reasons = [action.reason for action in actions if isinstance(action, RemoveMember)]
    assert len(reasons) == 3
    assert all("is not enrolled in this hub" in reason for reason in reasons)
