"""Who may have a room with whom: each refusal with its words, and what holds for whatever world there is."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.policy.blueprint import DIRECT_PEOPLE, ROOM_KEY, creation_content, fixed_state
from spaces.policy.decide import decide
from spaces.policy.direct import (
    DirectRequest,
    charter_in,
    choose_direct,
    direct_charter,
    direct_key,
    direct_request,
    people_of,
    space_of,
)
from spaces.policy.envelope import MEGOLM
from spaces.policy.records import Admission, Charter, MappingRoster, RoomKind, Standing
from spaces.policy.refusal import Code, Refusal
from tests.policy import (
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    JSON,
    NOW,
    ROSTER,
    SEALED,
    SPACE,
    STRANGER,
    TEXT,
    USERS,
    World,
    changed,
    company,
    event,
    membership,
    person,
    requests,
    rosters,
    without,
)

OPEN = replace(SPACE, key="rm_space", direct=True)
PEOPLE = {ALICE: "contoso", BOB: "northwind"}


def choose(asker: str, other: str, *spaces: Charter, roster: MappingRoster = ROSTER, now: int = NOW) -> Any:
    return choose_direct(DirectRequest(asker=asker, other=other), spaces, roster, now)


def chosen(*spaces: Charter, roster: MappingRoster = ROSTER) -> Charter:
    found = choose(BOB, ALICE, *spaces, roster=roster)
    assert isinstance(found, Charter)
    return found


DIRECT = chosen(OPEN)
CREATION = creation_content(DIRECT)


def not_allowed(other: str) -> Refusal:
    sentence = f"no engagement of yours lets you open a direct chat with {other}"
    return Refusal(Code.DIRECT_NOT_ALLOWED, sentence)


# --- who may

REFUSED: dict[str, tuple[str, str, tuple[Charter, ...], MappingRoster]] = {
    "no Space says so": (BOB, ALICE, (), ROSTER),
    "the Space is without direct rooms": (BOB, ALICE, (replace(OPEN, direct=False),), ROSTER),
    "it is no Space": (BOB, ALICE, (replace(OPEN, kind=RoomKind.ROOM),), ROSTER),
    "the Space is closed": (BOB, ALICE, (replace(OPEN, open=False),), ROSTER),
    "the engagement is over": (BOB, ALICE, (replace(OPEN, not_after=NOW),), ROSTER),
    "with oneself": (BOB, BOB, (OPEN,), ROSTER),
    "with the hub": (BOB, BOT, (OPEN,), ROSTER),
    "with a stranger": (BOB, STRANGER, (OPEN,), ROSTER),
    "with somebody of another company": (BOB, CAROL, (OPEN,), ROSTER),
    "with somebody of another team": (BOB, ALICE, (OPEN,), changed(person(ALICE, teams=frozenset({"legal"})))),
    "with one who is suspended": (
        BOB,
        ALICE,
        (OPEN,),
        changed(person(ALICE, teams=frozenset({"sales"}), standing=Standing.SUSPENDED)),
    ),
    "with one of a suspended company": (
        ALICE,
        BOB,
        (OPEN,),
        changed(company("northwind", standing=Standing.SUSPENDED)),
    ),
    "with one whose company's contract is over": (ALICE, BOB, (OPEN,), changed(company("northwind", not_after=NOW))),
    "with one whose company is not here": (ALICE, BOB, (OPEN,), without("northwind")),
    "by one whom the Space does not admit": (CAROL, BOB, (OPEN,), ROSTER),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whoever_may_not_is_told_the_same(name: str) -> None:
    asker, other, spaces, roster = REFUSED[name]
    assert choose(asker, other, *spaces, roster=roster) == not_allowed(other)


def test_one_who_may_use_nothing_is_told_that() -> None:
    assert choose(BOB, ALICE, OPEN, roster=without(BOB)).code is Code.PERSON_UNKNOWN
    suspended = changed(person(BOB, standing=Standing.SUSPENDED))
    assert choose(BOB, ALICE, OPEN, roster=suspended) == Refusal(Code.PERSON_SUSPENDED, f"{BOB} is suspended")


def test_the_first_space_that_admits_both_has_the_room() -> None:
    later, closed = replace(OPEN, key="rm_later"), replace(OPEN, key="rm_closed", open=False)
    assert space_of(chosen(closed, OPEN, later).key) == "rm_space"
    assert space_of(chosen(later, OPEN).key) == "rm_later"


def test_colleagues_at_the_partner_may_too() -> None:
    dora = "@dora.northwind:hub.test"
    found = choose(BOB, dora, OPEN, roster=changed(person(dora)))
    assert found.companies == ("northwind",)


@settings(max_examples=500)
@given(rosters, st.sampled_from(USERS), st.sampled_from([*USERS, BOT]), st.data())
def test_whom_a_room_is_made_for_may_be_in_it_and_nobody_else(
    roster: MappingRoster, asker: str, other: str, data: st.DataObject
) -> None:
    variants = [
        replace(OPEN, direct=direct, open=is_open, not_after=end)
        for direct, is_open, end in product((True, False), (True, False), (None, NOW, NOW + 1))
    ]
    spaces = data.draw(st.lists(st.sampled_from(variants), max_size=2))
    answer = choose(asker, other, *spaces, roster=roster)
    back = choose(other, asker, *spaces, roster=roster)
    may = [
        space
        for space in spaces
        if space.direct and asker != other and all(World(space, roster).entitled(user) for user in (asker, other))
    ]
    assert isinstance(answer, Charter) == bool(may)
    if isinstance(answer, Charter):
        assert back == answer, "whoever of the two asks, it is the same room"
        assert {user for user in USERS if World(answer, roster).entitled(user)} == {asker, other}
        assert (answer.kind, answer.history_visibility) == (RoomKind.DIRECT, "joined")


# --- what is said does not tell whether there is somebody

OUTSIDERS: dict[str, MappingRoster] = {
    "is there": ROSTER,
    "does not exist": without(CAROL),
    "is suspended": changed(person(CAROL, standing=Standing.SUSPENDED)),
    "is of a suspended company": changed(company("fabrikam", standing=Standing.SUSPENDED)),
    "is of a company whose contract ended": changed(company("fabrikam", not_after=NOW)),
    "is of a company that is not here": without("fabrikam"),
}


@pytest.mark.parametrize("name", OUTSIDERS)
def test_nobody_learns_of_another_companys_people_by_asking(name: str) -> None:
    assert choose(BOB, CAROL, OPEN, roster=OUTSIDERS[name]) == not_allowed(CAROL)


# --- what a client asks for

ASKED: dict[str, tuple[dict[str, Any], str | None]] = {
    "Element": ({"is_direct": True, "preset": "trusted_private_chat", "invite": [ALICE], "initial_state": []}, ALICE),
    "not direct": ({"invite": [ALICE]}, None),
    "direct, in other words": ({"is_direct": 1, "invite": [ALICE]}, None),
    "nobody": ({"is_direct": True}, None),
    "nobody at all": ({"is_direct": True, "invite": []}, None),
    "a third": ({"is_direct": True, "invite": [ALICE, CAROL]}, None),
    "a third by e-mail": ({"is_direct": True, "invite": [ALICE], "invite_3pid": [{}]}, None),
    "no user": ({"is_direct": True, "invite": [{"user": ALICE}]}, None),
    "no user id": ({"is_direct": True, "invite": ["alice"]}, None),
    "no end of it": ({"is_direct": True, "invite": ["@" + "a" * 255]}, None),
    "what no database takes": ({"is_direct": True, "invite": ["@a\0:hub.test"]}, None),
    "nor this": ({"is_direct": True, "invite": ["@a\ud800:hub.test"]}, None),
    "no list": ({"is_direct": True, "invite": {ALICE: 1}}, None),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_counts_as_asking_for_a_direct_room(name: str) -> None:
    config, other = ASKED[name]
    assert direct_request(BOB, config) == (None if other is None else DirectRequest(asker=BOB, other=other))


@given(st.dictionaries(st.sampled_from(["is_direct", "invite", "invite_3pid", "preset"]), JSON))
def test_whatever_is_asked_for_is_answered(config: dict[str, Any]) -> None:
    found = direct_request(BOB, config)
    assert found is None or found.other in config["invite"]


# --- the charter


def test_the_charter_narrows_the_spaces_to_the_two() -> None:
    assert DIRECT.admits == (
        Admission(company="contoso", team="sales", person=ALICE),
        Admission(company="northwind", person=BOB),
    )
    assert (DIRECT.engagement, DIRECT.companies, DIRECT.contact) == (
        "northwind",
        ("contoso", "northwind"),
        SPACE.contact,
    )
    assert DIRECT.name == "direct: alice.contoso, bob.northwind"


def test_a_direct_room_is_encrypted_from_the_start_and_has_no_name_of_its_own() -> None:
    state = fixed_state(DIRECT, BOT)
    assert state["m.room.encryption", ""]["algorithm"] == MEGOLM
    assert ("m.room.name", "") not in state
    assert state["io.element.functional_members", ""] == {"service_members": [BOT]}
    assert state["m.room.power_levels", ""]["invite"] == 0
    assert fixed_state(replace(DIRECT, open=False), BOT)["m.room.power_levels", ""]["invite"] == 100


def test_the_charter_is_found_again_in_the_rooms_first_event() -> None:
    assert charter_in({**CREATION, "room_version": "12"}, OPEN) == DIRECT
    closed = charter_in(CREATION, replace(OPEN, open=False))
    assert closed == replace(DIRECT, open=False), "it closes with its Space"


FORGED: dict[str, dict[str, Any]] = {
    "other people": {**CREATION, DIRECT_PEOPLE: {CAROL: "northwind", BOB: "northwind"}},
    "a third": {**CREATION, DIRECT_PEOPLE: {**PEOPLE, CAROL: "northwind"}},
    "one alone": {**CREATION, DIRECT_PEOPLE: {BOB: "northwind"}},
    "of another company": {**CREATION, DIRECT_PEOPLE: {ALICE: "fabrikam", BOB: "northwind"}},
    "no people": {ROOM_KEY: DIRECT.key},
    "no table": {**CREATION, DIRECT_PEOPLE: [ALICE, BOB]},
    "no texts": {**CREATION, DIRECT_PEOPLE: {ALICE: 1, BOB: 2}},
    "another key": {**CREATION, ROOM_KEY: direct_key("rm_other", PEOPLE)},
    "no key": {DIRECT_PEOPLE: PEOPLE},
}


@pytest.mark.parametrize("name", FORGED)
def test_no_other_first_event_has_a_charter(name: str) -> None:
    assert charter_in(FORGED[name], OPEN) is None
    assert charter_in(FORGED[name], None) is None


@given(st.dictionaries(TEXT, JSON) | st.fixed_dictionaries({DIRECT_PEOPLE: JSON, ROOM_KEY: JSON}))
def test_whatever_a_first_event_says_is_read(content: dict[str, Any]) -> None:
    assert charter_in(content, OPEN) is None
    people_of(content)


def test_keys_name_their_space_and_one_pair() -> None:
    assert space_of(direct_key("rm_space", PEOPLE)) == "rm_space"
    assert direct_key("rm_space", PEOPLE) == direct_key("rm_space", dict(reversed(PEOPLE.items())))
    assert direct_key("rm_space", PEOPLE) != direct_key("rm_space", {ALICE: "contoso", CAROL: "fabrikam"})
    assert direct_key("rm_space", PEOPLE) != direct_key("rm_other", PEOPLE)
    assert [space_of(key) for key in ("rm_space", ".x", "")] == [None, None, None]


def test_a_space_alone_makes_no_room_of_one() -> None:
    assert direct_charter(OPEN, {BOB: "northwind"}) is None


# --- in the room

IN_ROOM: dict[str, tuple[Any, Code | None]] = {
    "they write": (event("m.room.encrypted", SEALED), None),
    "they write in the clear": (event("m.room.message", {"body": "x"}), Code.PLAINTEXT),
    "one invites the other": (membership(BOB, ALICE, "invite", is_direct=True), None),
    "one invites the other, saying more": (membership(BOB, ALICE, "invite", is_direct="come"), Code.PLAINTEXT),
    "one invites a third": (membership(BOB, CAROL, "invite", is_direct=True), Code.PERSON_UNKNOWN),
    "a third joins": (membership(CAROL, CAROL, "join"), Code.COMPANY_NOT_ADMITTED),
    "a third invites": (membership(CAROL, ALICE, "invite"), Code.COMPANY_NOT_ADMITTED),
    "one removes the other": (membership(BOB, ALICE, "leave"), Code.MEMBERSHIP_BY_HUB),
    "one leaves": (membership(BOB, BOB, "leave"), None),
    "one removes the hub": (membership(BOB, BOT, "leave"), Code.ACCOUNT_PROTECTED),
    "they name it": (event("m.room.name", {"name": "x"}, ""), Code.STATE_FIXED),
    "the hub names it": (event("m.room.name", {"name": DIRECT.name}, "", sender=BOT), Code.STATE_FIXED),
    "a person makes it": (event("m.room.create", {**CREATION, "room_version": "12"}, ""), Code.ROOM_BY_HUB),
    "the hub makes it": (event("m.room.create", {**CREATION, "room_version": "12"}, "", sender=BOT), None),
    "the hub makes it for others": (
        event("m.room.create", {**CREATION, DIRECT_PEOPLE: {}, "room_version": "12"}, "", sender=BOT),
        Code.STATE_FIXED,
    ),
}


@pytest.mark.parametrize("name", IN_ROOM)
def test_what_may_be_done_in_a_direct_room(name: str) -> None:
    request, code = IN_ROOM[name]
    refusal = decide(request, DIRECT, ROSTER, NOW, BOT)
    assert (None if refusal is None else refusal.code) is code


def test_the_mark_of_a_direct_invitation_is_for_direct_rooms() -> None:
    refusal = decide(membership(BOT, BOB, "invite", is_direct=True), CHARTER, ROSTER, NOW, BOT)
    assert refusal is not None
    assert refusal.code is Code.PLAINTEXT


@settings(max_examples=500)
@given(rosters, requests(*USERS))
def test_nobody_but_the_two_does_anything_in_a_direct_room_but_leave(roster: MappingRoster, request: Any) -> None:
    if decide(request, DIRECT, roster, NOW, BOT) is not None:
        return
    leaves = request.type == "m.room.member" and request.content.get("membership") == "leave"
    assert leaves or request.sender in PEOPLE
    if request.type == "m.room.member":
        assert request.sender == request.state_key or request.state_key in PEOPLE


def test_people_elsewhere_have_no_direct_rooms() -> None:
    erin = "@erin.northwind:partner.example"
    assert choose(ALICE, erin, OPEN, roster=changed(person(erin))) == not_allowed(erin)


def test_a_hold_on_the_space_holds_the_direct_room() -> None:
    assert not DIRECT.held
    assert chosen(replace(OPEN, held=True)).held
