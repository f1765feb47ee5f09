"""Partners' own servers in the policy and the plan: who is let in, who drops out, what the hub's own token can do."""

from dataclasses import replace
from typing import Any

import pytest

from spaces.model import ObservedRoom
from spaces.plan import AddMember, Desired, SetState, closes, plan_room
from spaces.policy.blueprint import creation_content, fixed_state
from spaces.policy.decide import decide
from spaces.policy.records import MappingRoster, Standing
from spaces.policy.refusal import Code
from spaces.policy.servers import acl_is_within, is_remote, open_servers, server_acl
from tests.policy import ALICE, BOB, BOT, CHARTER, NOW, SEALED, changed, check, company, event, membership, person

PARTNER = "partner.example"
ERIN = f"@erin.northwind:{PARTNER}"
FRANK = f"@frank.northwind:{PARTNER}"
OPEN = replace(CHARTER, servers=(PARTNER,))
ACL = ("m.room.server_acl", "")


def world(*more: Any, **changes: Any) -> MappingRoster:
    """Northwind with a server of its own, Erin and Frank on it; ``changes`` to the company."""
    return changed(company("northwind", **{"server": PARTNER, **changes}), person(ERIN), person(FRANK), *more)


def test_a_room_is_open_to_other_servers_only_where_its_charter_names_some() -> None:
    assert creation_content(CHARTER)["m.federate"] is False
    assert ACL not in fixed_state(CHARTER, BOT)
    assert creation_content(OPEN)["m.federate"] is True
    wanted = {"allow": ["hub.test", PARTNER], "deny": [], "allow_ip_literals": False}
    assert fixed_state(OPEN, BOT)[ACL] == wanted


def test_ports_do_not_stand_in_an_acl_but_for_the_hubs_own_name() -> None:
    acl = server_acl("@conclave:hub.test:8448", ["partner.example:8449"])
    assert acl["allow"] == ["hub.test", "hub.test:8448", "partner.example"]


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [(BOB, False), (BOT, False), (ERIN, True), ("@x:hub.test:8448", True), ("@x", True), ("", True)],
)
def test_who_is_remote(user_id: str, expected: bool) -> None:
    assert is_remote(user_id, BOT) is expected


# --- who may act


def test_a_person_on_the_server_of_their_company_may_what_others_may() -> None:
    for request in (event("m.room.encrypted", SEALED, sender=ERIN), membership(ERIN, ERIN, "join")):
        assert decide(request, OPEN, world(), NOW, BOT) is None
    assert decide(membership(BOT, ERIN, "invite"), OPEN, world(), NOW, BOT) is None


@pytest.mark.parametrize(
    ("charter", "roster", "sentence"),
    [
        (CHARTER, world(), "the server partner.example has no part in this engagement"),
        (OPEN, world(server=None), "partner.example is not the server of Northwind Trading"),
        (OPEN, world(server="other.example"), "partner.example is not the server of Northwind Trading"),
    ],
)
def test_a_server_that_has_no_part_is_refused(charter: Any, roster: MappingRoster, sentence: str) -> None:
    for request in (event("m.room.encrypted", SEALED, sender=ERIN), membership(ERIN, ERIN, "join")):
        check(decide(request, charter, roster, NOW, BOT), Code.SERVER_NOT_ADMITTED, sentence)


def test_what_others_may_not_a_person_elsewhere_may_not() -> None:
    refusal = decide(event("m.room.message", {"body": "x"}, sender=ERIN), OPEN, world(), NOW, BOT)
    assert refusal is not None
    assert refusal.code is Code.PLAINTEXT
    refusal = decide(membership(f"@x:{PARTNER}", f"@x:{PARTNER}", "join"), OPEN, world(), NOW, BOT)
    assert refusal is not None
    assert refusal.code is Code.PERSON_UNKNOWN


# --- the ACL


def test_a_company_that_is_shut_out_drops_out() -> None:
    assert open_servers(OPEN, world(), NOW) == (PARTNER,)
    for changes in ({"standing": Standing.SUSPENDED}, {"not_after": NOW}):
        assert open_servers(OPEN, world(**changes), NOW) == ()
    assert open_servers(OPEN, world(not_after=NOW + 1), NOW) == (PARTNER,)
    for charter in (replace(OPEN, open=False), replace(OPEN, not_after=NOW)):
        assert open_servers(charter, world(), NOW) == ()
    assert open_servers(OPEN, MappingRoster(companies={}, people={}), NOW) == ()


def test_the_hub_may_let_in_fewer_servers_but_no_other() -> None:
    def said(servers: tuple[str, ...], charter: Any = OPEN) -> Any:
        request = event("m.room.server_acl", server_acl(BOT, servers), "", sender=BOT)
        return decide(request, charter, world(), NOW, BOT)

    assert said(()) is None
    assert said((PARTNER,)) is None
    sentence = "m.room.server_acl is fixed by the charter of this room"
    check(said(("evil.example",)), Code.SERVER_ACL_FIXED, sentence)
    check(said((), CHARTER), Code.SERVER_ACL_FIXED, sentence)


RIGHT = server_acl(BOT, [PARTNER])


@pytest.mark.parametrize(
    "content",
    [
        {},
        {**RIGHT, "allow": ["*"]},
        {**RIGHT, "allow": [PARTNER]},
        {**RIGHT, "allow": "hub.test"},
        {**RIGHT, "allow": ["hub.test", 1]},
        {**RIGHT, "allow": ["hub.test", "partner.*"]},
        {**RIGHT, "allow": []},
        {**RIGHT, "deny": ["hub.test"]},
        {**RIGHT, "allow_ip_literals": True},
        {**RIGHT, "allow_ip_literals": 0},
        {**RIGHT, "more": 1},
        {name: RIGHT[name] for name in ("allow", "deny")},
    ],
)
def test_an_acl_of_another_form_is_not_within(content: dict[str, Any]) -> None:
    assert acl_is_within(RIGHT, OPEN, BOT)
    assert not acl_is_within(content, OPEN, BOT)


# --- the plan


def desired(roster: MappingRoster) -> Desired:
    people = sorted(roster.people.values(), key=lambda one: one.user_id)
    return Desired(charter=OPEN, people=people, roster=roster, bot=BOT, links={})


def settled(**members: str) -> ObservedRoom:
    named = {"alice": ALICE, "bob": BOB, "erin": ERIN, "frank": FRANK}
    return ObservedRoom(
        state=fixed_state(OPEN, BOT), members={BOT: "join", **{named[name]: how for name, how in members.items()}}
    )


def test_who_is_elsewhere_comes_last_for_their_server_may_be_down() -> None:
    actions = plan_room(desired(world()), settled(), NOW)
    assert actions == [AddMember(user_id=user) for user in (ALICE, BOB, ERIN, FRANK)]


def test_an_invitation_is_all_that_can_be_done_for_somebody_elsewhere() -> None:
    room = settled(alice="join", bob="invite", erin="invite", frank="join")
    assert plan_room(desired(world()), room, NOW) == [AddMember(user_id=BOB)]


def test_suspension_takes_people_out_and_closes_the_acl() -> None:
    room = settled(alice="join", bob="leave", erin="invite", frank="join")
    actions = plan_room(desired(world(standing=Standing.SUSPENDED)), room, NOW)
    closed = server_acl(BOT, ())
    assert [getattr(action, "user_id", None) for action in actions] == [ERIN, FRANK, None]
    assert actions[-1] == SetState(type="m.room.server_acl", state_key="", content=closed)
    assert closes(actions[-1])


def acl_found(content: dict[str, Any]) -> ObservedRoom:
    return ObservedRoom(
        state={**fixed_state(OPEN, BOT), ("m.room.server_acl", ""): content},
        members={BOT: "join", ALICE: "join", BOB: "join", ERIN: "join", FRANK: "join"},
    )


def test_to_let_a_server_back_in_opens_a_door() -> None:
    (action,) = plan_room(desired(world()), acl_found(server_acl(BOT, ())), NOW)
    assert action == SetState(type="m.room.server_acl", state_key="", content=RIGHT, widens=True)
    assert not closes(action)


@pytest.mark.parametrize("allow", [["*"], ["hub.test", "evil.example"], [PARTNER, "evil.example"], None])
def test_to_shut_a_server_out_closes_one_whatever_else_it_does(allow: list[str] | None) -> None:
    (action,) = plan_room(desired(world()), acl_found({**RIGHT, "allow": allow}), NOW)
    assert closes(action)
