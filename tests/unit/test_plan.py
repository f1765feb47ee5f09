"""The plan for a room: what it does brings the room to what the charter says, in one round, people out first."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.model import ObservedRoom
from spaces.plan import Action, AddMember, CreateRoom, Desired, RemoveMember, SetState, links_of, plan_room
from spaces.policy.blueprint import fixed_state
from spaces.policy.decide import decide
from spaces.policy.records import PersonRecord, RoomKind
from spaces.policy.rules import EventRequest
from tests.policy import (
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    JSON,
    NOW,
    ROSTER,
    SPACE,
    STRANGER,
    USERS,
    World,
    changed,
    person,
    worlds,
)

CHILD = ("m.space.child", "!child")
LINK = {"via": ["hub.test"], "order": "0001", "suggested": True}


def desired(world: World, links: Any = None) -> Desired:
    """What the reconciler wants: the people of the companies that the charter names, whether they may be in or not."""
    companies = {item.company for item in world.charter.admits}
    people = [item for item in world.roster.people.values() if item.company in companies]
    return Desired(charter=world.charter, people=people, roster=world.roster, bot=BOT, links=links or {})


def apply(actions: list[Action], room: ObservedRoom) -> ObservedRoom:
    """The room after the homeserver did what it was told."""
    state, members = dict(room.state), dict(room.members)
    for action in actions:
        if isinstance(action, CreateRoom):
            state, members = dict(action.state), {BOT: "join"}
        elif isinstance(action, SetState):
            state[action.type, action.state_key] = action.content
        elif isinstance(action, AddMember):
            members[action.user_id] = "join"
        else:
            members[action.user_id] = "leave"
    return ObservedRoom(state=state, members=members)


def settled(world: World = World(CHARTER, ROSTER)) -> ObservedRoom:  # noqa: B008  # frozen
    made = apply(plan_room(desired(world), None, NOW), ObservedRoom())
    return apply(plan_room(desired(world), made, NOW), made)


def plan(world: World, room: ObservedRoom | None, links: Any = None) -> list[Action]:
    return plan_room(desired(world, links), room, world.now)


# --- whatever is desired, whatever is there

_MEMBERSHIPS = st.sampled_from(["join", "invite", "knock", "leave", "ban"])
_KEYS = [*fixed_state(CHARTER, BOT), CHILD, ("m.room.avatar", "")]


@st.composite
def rooms(draw: st.DrawFn) -> ObservedRoom:
    """A room in any condition: right, wrong, half there."""
    state: dict[tuple[str, str], Any] = {}
    for key in draw(st.sets(st.sampled_from(_KEYS))):
        right: Any = fixed_state(CHARTER, BOT).get(key, LINK)
        state[key] = draw(st.sampled_from([right, right, {}, {"x": 1}, {**right, "x": 1}]))
    members = draw(st.dictionaries(st.sampled_from(USERS), _MEMBERSHIPS))
    return ObservedRoom(state=state, members={BOT: "join", **members})


links = st.sampled_from([{}, {CHILD: LINK}])


@settings(max_examples=200)
@given(worlds, st.none() | rooms(), links)
def test_one_round_is_enough(world: World, room: ObservedRoom | None, wanted: Any) -> None:
    after = apply(plan(world, room, wanted), room or ObservedRoom())
    if room is None:  # a room is created empty; people come in the round after
        after = apply(plan(world, after, wanted), after)
    assert plan(world, after, wanted) == []


@settings(max_examples=200)
@given(worlds, rooms(), links)
def test_afterwards_those_are_in_who_may_be_in(world: World, room: ObservedRoom, wanted: Any) -> None:
    after = apply(plan(world, room, wanted), room)
    present = {user for user, value in after.members.items() if value in ("join", "invite", "knock")} - {BOT}
    assert all(world.entitled(user) for user in present)
    direct = world.charter.kind is RoomKind.DIRECT  # the guard lets people in there
    expected = {item.user_id for item in desired(world).people if world.entitled(item.user_id) and not direct}
    assert expected <= {user for user, value in after.members.items() if value == "join"}


@settings(max_examples=200)
@given(worlds, rooms(), links)
def test_people_who_may_not_be_in_go_before_anything_else(world: World, room: ObservedRoom, wanted: Any) -> None:
    actions = plan(world, room, wanted)
    removed = [action for action in actions if isinstance(action, RemoveMember)]
    added = [action for action in actions if isinstance(action, AddMember)]
    assert actions[: len(removed)] == removed
    assert actions[len(actions) - len(added) :] == added
    assert not any(world.entitled(action.user_id) for action in removed)
    assert BOT not in {action.user_id for action in removed} | {action.user_id for action in added}


@settings(max_examples=200)
@given(worlds, rooms(), links)
def test_the_guard_admits_everything_that_is_planned(world: World, room: ObservedRoom, wanted: Any) -> None:
    for action in plan(world, room, wanted):
        if isinstance(action, SetState):
            request = EventRequest(sender=BOT, type=action.type, content=action.content, state_key=action.state_key)
        elif isinstance(action, AddMember):
            request = _member("invite", action.user_id)
        else:
            assert isinstance(action, RemoveMember)
            request = _member("leave", action.user_id, reason=action.reason)
        assert decide(request, world.charter, world.roster, world.now, BOT) is None


def _member(value: str, user_id: str, **more: str) -> EventRequest:
    return EventRequest(sender=BOT, type="m.room.member", content={"membership": value, **more}, state_key=user_id)


@settings(max_examples=100)
@given(st.sampled_from(sorted(fixed_state(CHARTER, BOT))), st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_state_that_differs_in_anything_is_set_right(key: tuple[str, str], more: dict[str, Any]) -> None:
    right = fixed_state(CHARTER, BOT)[key]
    room = settled()
    found = replace(room, state={**room.state, key: {**right, **more}})
    wanted = [] if {**right, **more} == right else [SetState(type=key[0], state_key=key[1], content=right)]
    assert plan(World(CHARTER, ROSTER), found) == wanted


# --- examples


@pytest.mark.parametrize("charter", [CHARTER, SPACE, replace(CHARTER, open=False)], ids=["room", "space", "closed"])
def test_a_room_is_created_with_its_whole_state(charter: Any) -> None:
    wanted = {**fixed_state(charter, BOT), CHILD: LINK}
    assert plan(World(charter, ROSTER), None, {CHILD: LINK}) == [CreateRoom(state=wanted)]


def test_a_room_that_is_right_is_left_alone() -> None:
    assert settled().members == {BOT: "join", ALICE: "join", BOB: "join"}
    assert plan(World(CHARTER, ROSTER), settled()) == []


def test_who_is_removed_is_told_why_and_whom_to_ask() -> None:
    room = replace(settled(), members={CAROL: "join", STRANGER: "invite", BOT: "join", ALICE: "join", BOB: "join"})
    ask = "Ask Dana Fox (Contoso)."
    stranger = f"Conclave: {STRANGER} is not enrolled in this hub (PERSON_UNKNOWN). {ask}"
    assert plan(World(CHARTER, ROSTER), room) == [
        RemoveMember(
            user_id=CAROL,
            reason=f"Conclave: {CAROL} has no part in this engagement (COMPANY_NOT_ADMITTED). {ask}",
        ),
        RemoveMember(user_id=STRANGER, reason=stranger),
    ]


def test_closing_an_engagement_empties_the_room_and_freezes_it() -> None:
    world = World(replace(CHARTER, open=False), ROSTER)
    actions = plan(world, settled())
    assert [action.user_id for action in actions if isinstance(action, RemoveMember)] == [ALICE, BOB]
    (frozen,) = (action for action in actions if isinstance(action, SetState))
    assert (frozen.type, frozen.content["events_default"], frozen.content["events"]) == ("m.room.power_levels", 100, {})
    assert apply(actions, settled()).members == {BOT: "join", ALICE: "leave", BOB: "leave"}


def test_the_hub_is_never_removed_even_when_it_is_nobody() -> None:
    assert ROSTER.person(BOT) is None
    assert plan(World(CHARTER, ROSTER), settled()) == []


def test_one_who_left_is_added_again_and_one_in_twice_is_not() -> None:
    room = settled()
    left = replace(room, members={**room.members, BOB: "leave"})
    assert plan(World(CHARTER, ROSTER), left) == [AddMember(user_id=BOB)]
    invited = replace(room, members={**room.members, BOB: "invite"})
    assert plan(World(CHARTER, ROSTER), invited) == [AddMember(user_id=BOB)]


def test_people_come_and_go_with_their_team() -> None:
    gone = changed(person(ALICE))
    assert [type(action) for action in plan(World(CHARTER, gone), settled())] == [RemoveMember]
    empty = replace(settled(), members={BOT: "join", BOB: "join"})
    assert plan(World(CHARTER, ROSTER), empty) == [AddMember(user_id=ALICE)]
    assert plan(World(CHARTER, gone), empty) == []


def test_people_of_no_concern_are_not_even_looked_at() -> None:
    everyone: list[PersonRecord] = list(ROSTER.people.values())
    asked = Desired(charter=CHARTER, people=everyone, roster=ROSTER, bot=BOT, links={})
    assert plan_room(asked, settled(), NOW) == []


# --- links


def test_a_space_lists_its_rooms_in_order() -> None:
    assert links_of(SPACE, "!space", [(1, "!a"), (12, "!b")], "hub.test") == {
        ("m.space.child", "!a"): {"via": ["hub.test"], "order": "0001", "suggested": True},
        ("m.space.child", "!b"): {"via": ["hub.test"], "order": "0012", "suggested": True},
    }


def test_a_room_names_its_space_once_it_is_there() -> None:
    assert links_of(CHARTER, None, [(1, "!a")], "hub.test") == {}
    assert links_of(CHARTER, "!space", [(1, "!a")], "hub.test") == {
        ("m.space.parent", "!space"): {"via": ["hub.test"], "canonical": True}
    }


@given(st.lists(st.integers(0, 9_999), min_size=2, max_size=5, unique=True))
def test_rooms_sort_in_a_space_as_their_positions_do(positions: list[int]) -> None:
    found = links_of(SPACE, "!space", [(at, f"!{at}") for at in positions], "hub.test")
    by_order = sorted(found, key=lambda key: str(found[key]["order"]))
    assert by_order == [("m.space.child", f"!{at}") for at in sorted(positions)]
