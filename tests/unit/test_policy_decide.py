"""The decision: one example for each code, and what holds whatever is asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spaces.policy.blueprint import CALL_MEMBER, creation_content, fixed_state
from spaces.policy.decide import decide
from spaces.policy.records import Charter, MappingRoster, RoomKind, Standing
from spaces.policy.refusal import EXPLANATIONS, Code, Refusal
from spaces.policy.rules import SPACE_LINKS, EventRequest
from tests.policy import (
    ACT_EXAMPLES,
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    JSON,
    NOW,
    REACTION,
    RESTRICTIONS,
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
    said,
    stated,
    without,
    worlds,
)

Example = tuple[EventRequest, Charter | None, MappingRoster]
SAYS = event("m.room.encrypted", SEALED)
MEMBERS = ["membership", "reason", "algorithm", "ciphertext", "session_id", "m.relates_to", "redacts", "topic"]
ELSEWHERE = "@erin.northwind:partner.example"
BY_GUARD = {Code.GUARD_FAILED, Code.ROOM_EXISTS}
FOR_ROOMS_OF_TWO = {Code.DIRECT_NOT_ALLOWED}
"""Has its examples in test_policy_direct."""
BY_ENGAGEMENT = {Code.WALL_STANDS}  # said before there is a charter: see tests/unit/test_walls.py

REDACTS = event("m.room.redaction", {"redacts": "$e"})

EXAMPLES: dict[Code, Example] = {
    Code.ACCOUNT_PROTECTED: (membership(BOB, BOT, "leave"), CHARTER, ROSTER),
    Code.ADDRESS_CLOSED: (event("m.room.canonical_alias", {}, ""), CHARTER, ROSTER),
    Code.CHARTER_MISSING: (SAYS, None, ROSTER),
    Code.COMPANY_ENDED: (SAYS, CHARTER, changed(company("northwind", not_after=NOW))),
    Code.COMPANY_NOT_ADMITTED: (replace(SAYS, sender=CAROL), CHARTER, ROSTER),
    Code.COMPANY_SUSPENDED: (SAYS, CHARTER, changed(company("northwind", standing=Standing.SUSPENDED))),
    Code.COMPANY_UNKNOWN: (SAYS, CHARTER, without("northwind")),
    Code.ENCRYPTION_FIXED: (event("m.room.encryption", {}, ""), CHARTER, ROSTER),
    Code.ENGAGEMENT_CLOSED: (SAYS, replace(CHARTER, open=False), ROSTER),
    Code.HELD: (REDACTS, replace(CHARTER, held=True), ROSTER),
    Code.HISTORY_FIXED: (event("m.room.history_visibility", {}, ""), CHARTER, ROSTER),
    Code.INVITE_BY_EMAIL: (event("m.room.third_party_invite", {}, "token"), CHARTER, ROSTER),
    Code.INVITE_BY_HUB: (membership(BOB, ALICE, "invite"), CHARTER, ROSTER),
    Code.JOIN_RULES_FIXED: (event("m.room.join_rules", {}, ""), CHARTER, ROSTER),
    Code.KNOCK_CLOSED: (membership(CAROL, CAROL, "knock"), CHARTER, ROSTER),
    Code.MALFORMED: (event(CALL_MEMBER, {}, f"_{BOB}_\0"), CHARTER, ROSTER),
    Code.MEMBERSHIP_BY_HUB: (membership(BOB, ALICE, "ban"), CHARTER, ROSTER),
    Code.NOT_IN_PHASE: (
        SAYS,
        replace(CHARTER, admits=tuple(replace(item, not_after=NOW) for item in CHARTER.admits)),
        ROSTER,
    ),
    Code.PERSON_SUSPENDED: (SAYS, CHARTER, changed(person(BOB, standing=Standing.SUSPENDED))),
    Code.PERSON_UNKNOWN: (replace(SAYS, sender=STRANGER), CHARTER, ROSTER),
    Code.PLAINTEXT: (event("m.room.message", {"body": "x"}), CHARTER, ROSTER),
    Code.POWER_FIXED: (event("m.room.power_levels", {}, ""), CHARTER, ROSTER),
    Code.REDACTION_BY_SENDER: (replace(REDACTS, sender=BOT), CHARTER, ROSTER),
    Code.ROOM_BY_HUB: (event("m.room.create", {}, ""), None, ROSTER),
    Code.SERVER_ACL_FIXED: (event("m.room.server_acl", {}, ""), CHARTER, ROSTER),
    Code.SERVER_NOT_ADMITTED: (replace(SAYS, sender=ELSEWHERE), CHARTER, changed(person(ELSEWHERE))),
    Code.ROOM_FROZEN: (SAYS, replace(CHARTER, frozen_from=NOW), ROSTER),
    Code.SPACE_QUIET: (SAYS, SPACE, ROSTER),
    Code.STATE_FIXED: (event("m.room.name", {"name": "x"}, ""), CHARTER, ROSTER),
    Code.UPGRADE_BY_HUB: (event("m.room.tombstone", {}, ""), CHARTER, ROSTER),
}


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_code_is_given_for_its_reason(code: Code) -> None:
    request, charter, roster = EXAMPLES[code]
    refusal = decide(request, charter, roster, NOW, BOT)
    assert refusal is not None
    assert refusal.code is code


def test_no_code_is_without_an_example_or_the_guards_own() -> None:
    assert EXAMPLES.keys() | BY_GUARD | BY_ENGAGEMENT | FOR_ROOMS_OF_TWO | ACT_EXAMPLES.keys() == set(Code)
    guard = Path("bridge/guard/module.py").read_text()
    assert all(f"Code.{code.name}" in guard for code in BY_GUARD)


def test_every_code_is_explained() -> None:
    assert EXPLANATIONS.keys() == set(Code)
    for explanation in EXPLANATIONS.values():
        assert explanation.meaning == explanation.meaning.strip()
        assert not explanation.meaning.endswith(".")
        assert explanation.lifted_by.startswith(
            ("nobody: ", "a partner manager ", "the operator, ", "a compliance officer ")
        )


def test_a_refusal_says_whom_to_ask_only_where_asking_helps() -> None:
    unknown = Refusal(Code.PERSON_UNKNOWN, "@m:x is not enrolled in this hub")
    assert unknown.text() == "Conclave: @m:x is not enrolled in this hub (PERSON_UNKNOWN)."
    assert unknown.text("Dana Fox") == "Conclave: @m:x is not enrolled in this hub (PERSON_UNKNOWN). Ask Dana Fox."
    assert Refusal(Code.PLAINTEXT, "sealed only").text("Dana Fox") == "Conclave: sealed only (PLAINTEXT)."
    assert Refusal(Code.GUARD_FAILED, "no").text("Dana Fox") == "Conclave: no (GUARD_FAILED)."


# --- examples of yes, so that the properties below are not true of a policy that refuses everything

ADMITTED: dict[str, EventRequest] = {
    "a sealed message": SAYS,
    "a reaction": event("m.reaction", REACTION),
    "a redaction": event("m.room.redaction", {"redacts": "$e"}),
    "one's place in a call": event(CALL_MEMBER, {}, BOB),
    "joining": membership(BOB, BOB, "join"),
    "leaving": membership(BOB, BOB, "leave"),
    "the hub adding": membership(BOT, ALICE, "invite"),
    "the hub removing": membership(BOT, CAROL, "leave"),
    "the hub joining": membership(BOT, BOT, "join"),
    "the hub creating": event("m.room.create", {**creation_content(CHARTER), "room_version": "12"}, "", sender=BOT),
    "the hub naming": event("m.room.name", {"name": CHARTER.name}, "", sender=BOT),
}


@pytest.mark.parametrize("name", ADMITTED)
def test_what_is_needed_is_admitted_in_an_open_room(name: str) -> None:
    assert decide(ADMITTED[name], CHARTER, ROSTER, NOW, BOT) is None


# --- what holds whatever is asked


@settings(max_examples=300)
@given(requests(*USERS, BOT), worlds)
def test_nothing_is_admitted_without_a_charter_but_that_the_hub_takes_people_out(
    request: EventRequest, world: World
) -> None:
    if decide(request, None, world.roster, world.now, BOT) is None:
        assert (request.sender, request.type) == (BOT, "m.room.member")
        assert request.content["membership"] == "leave"
        assert request.state_key not in (None, BOT)


@settings(max_examples=1_000)
@given(requests(*USERS), worlds)
def test_who_may_not_be_in_a_room_gets_nothing_through_but_the_own_leave(request: EventRequest, world: World) -> None:
    assume(not world.entitled(request.sender))
    if world.decide(request) is None:
        assert (request.type, request.state_key) == ("m.room.member", request.sender)
        assert request.content["membership"] == "leave"


@settings(max_examples=1_000)
@given(stated(*USERS), worlds)
def test_people_set_no_state_but_their_own_membership_and_place_in_a_call(request: EventRequest, world: World) -> None:
    if world.decide(request) is None:
        assert request.type in ("m.room.member", CALL_MEMBER)
        if (world.charter.kind, request.content.get("membership")) == (RoomKind.DIRECT, "invite"):
            assert world.entitled(str(request.state_key))  # the two of a direct room may ask each other back in
            return
        assert request.sender in str(request.state_key)
        if request.type == "m.room.member":
            assert request.state_key == request.sender
            assert request.content["membership"] in ("join", "leave")


@settings(max_examples=500)
@given(said(*USERS), worlds)
def test_people_say_nothing_in_the_clear(request: EventRequest, world: World) -> None:
    if world.decide(request) is None:
        assert world.charter.kind is not RoomKind.SPACE
        assert request.type in ("m.room.encrypted", "m.reaction", "m.room.redaction")
        assert not request.content.keys() & {"body", "formatted_body", "msgtype", "url", "file"}


@settings(max_examples=1_000)
@given(stated(BOT), worlds)
def test_the_hub_gets_no_state_through_that_differs_from_the_charter(request: EventRequest, world: World) -> None:
    assume(request.type not in {*SPACE_LINKS, "m.room.create"})
    if world.decide(request) is None:
        if request.type != "m.room.member":
            wanted = fixed_state(world.charter, BOT)[request.type, str(request.state_key)]
            added = {"historical", "m.topic"}
            assert {name: value for name, value in request.content.items() if name not in added} == wanted
        elif request.state_key == BOT:
            assert request.content["membership"] == "join"
        else:
            put_in = request.content["membership"] == "invite" and world.entitled(str(request.state_key))
            assert put_in or request.content["membership"] == "leave"


@settings(max_examples=300)
@given(worlds, st.data())
def test_the_hub_cannot_change_one_thing_of_what_the_charter_fixes(world: World, data: st.DataObject) -> None:
    wanted = fixed_state(world.charter, BOT)
    event_type, key = data.draw(st.sampled_from(sorted(wanted)))
    content: dict[str, Any] = dict(wanted[event_type, key])
    member = data.draw(st.sampled_from([*sorted(content), "more"]))
    value = data.draw(JSON)
    assume(type(value) is not type(content.get(member)) or value != content.get(member))
    assert world.decide(event(event_type, {**content, member: value}, key, sender=BOT)) is not None


@settings(max_examples=1_000)
@given(requests(*USERS), worlds, st.lists(st.sampled_from(sorted(RESTRICTIONS)), min_size=1, max_size=3))
def test_allowing_less_never_turns_no_into_yes(request: EventRequest, world: World, names: list[str]) -> None:
    less = world
    for name in names:
        less = RESTRICTIONS[name](less)
    if world.decide(request) is not None:
        assert less.decide(request) is not None


@pytest.mark.parametrize("name", sorted(RESTRICTIONS.keys() - {"admit one less", "let time pass", "leave the teams"}))
def test_each_way_to_allow_less_silences_a_member(name: str) -> None:
    assert World(CHARTER, ROSTER).decide(SAYS) is None
    assert RESTRICTIONS[name](World(CHARTER, ROSTER)).decide(SAYS) is not None


def test_leaving_the_team_silences_a_member() -> None:
    said = replace(SAYS, sender=ALICE)
    assert World(CHARTER, ROSTER).decide(said) is None
    assert RESTRICTIONS["leave the teams"](World(CHARTER, ROSTER)).decide(said) is not None


def test_a_contract_holds_until_the_millisecond_it_ends() -> None:
    for charter, roster in (
        (replace(CHARTER, not_after=NOW), ROSTER),
        (CHARTER, changed(company("northwind", not_after=NOW))),
    ):
        assert decide(SAYS, charter, roster, NOW - 1, BOT) is None
        assert decide(SAYS, charter, roster, NOW, BOT) is not None


@settings(max_examples=500)
@given(requests(*USERS, BOT), st.sampled_from([*MEMBERS, "x"]), JSON, worlds)
def test_a_decision_never_crashes(request: EventRequest, member: str, value: Any, world: World) -> None:
    asked = replace(request, content={**request.content, member: value})
    for charter in (world.charter, None):
        refusal = decide(asked, charter, world.roster, world.now, BOT)
        assert refusal is None or refusal.text("Dana").startswith("Conclave: ")


@settings(max_examples=100)
@given(TEXT, TEXT | st.none(), st.dictionaries(TEXT, JSON, max_size=3), TEXT | st.just(BOB) | st.just(BOT))
def test_a_decision_on_anything_whatever_is_no(kind: str, key: str | None, content: dict[str, Any], who: str) -> None:
    asked = EventRequest(sender=who, type=kind, content=content, state_key=key)
    assert decide(asked, CHARTER, ROSTER, NOW, BOT) is not None
