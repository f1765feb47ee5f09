"""Charters, rosters and requests for tests of the policy: one plain world, and hypothesis' idea of all others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hypothesis import strategies as st

from spaces.policy.acts import refuse_deactivation, refuse_shutdown, refuse_sight, refuse_upload
from spaces.policy.blueprint import CALL_MEMBER, fixed_state
from spaces.policy.decide import decide
from spaces.policy.envelope import MEGOLM
from spaces.policy.records import (
    Admission,
    Charter,
    CompanyRecord,
    MappingRoster,
    PersonRecord,
    RoomKind,
    Standing,
)
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import SPACE_LINKS, EventRequest

SERVER = "hub.test"
BOT = f"@conclave:{SERVER}"
ALICE = f"@alice.contoso:{SERVER}"
BOB = f"@bob.northwind:{SERVER}"
CAROL = f"@carol.fabrikam:{SERVER}"
STRANGER = "@mallory:evil.example"
NOW = 1_800_000_000_000

SEALED: dict[str, Any] = {
    "algorithm": MEGOLM,
    "ciphertext": "AwgAEnB",
    "session_id": "c2Vzc2lvbg",
    "device_id": "D",
    "sender_key": "k",
}
REACTION: dict[str, Any] = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$e", "key": "👍"}}

COMPANIES = {"contoso": "Contoso", "northwind": "Northwind Trading", "fabrikam": "Fabrikam"}
TEAMS = ("sales", "legal")

CHARTER = Charter(
    key="rm_1",
    engagement="northwind",
    kind=RoomKind.ROOM,
    name="Deals",
    topic="Prices, quotes, tenders.",
    admits=(Admission(company="contoso", team="sales"), Admission(company="northwind")),
    companies=("contoso", "northwind"),
    contact="Dana Fox (Contoso)",
)
SPACE = replace(CHARTER, kind=RoomKind.SPACE)


def company(name: str, **changes: Any) -> CompanyRecord:
    return replace(CompanyRecord(company=name, name=COMPANIES[name], standing=Standing.ACTIVE), **changes)


def person(user_id: str, **changes: Any) -> PersonRecord:
    """An active person of the company that the user id names."""
    of = user_id.partition(".")[2].partition(":")[0]
    record = PersonRecord(user_id=user_id, person=f"prs_{user_id[1]}", company=of, standing=Standing.ACTIVE)
    return replace(record, **changes)


def roster(*records: CompanyRecord | PersonRecord) -> MappingRoster:
    return MappingRoster(
        companies={item.company: item for item in records if isinstance(item, CompanyRecord)},
        people={item.user_id: item for item in records if isinstance(item, PersonRecord)},
    )


ROSTER = roster(
    *(company(name) for name in COMPANIES),
    person(ALICE, teams=frozenset({"sales"})),
    person(BOB),
    person(CAROL),
)


def changed(*records: CompanyRecord | PersonRecord) -> MappingRoster:
    """The plain roster with ``records`` in place of its own."""
    new = roster(*records)
    return MappingRoster(companies={**ROSTER.companies, **new.companies}, people={**ROSTER.people, **new.people})


def without(*keys: str) -> MappingRoster:
    """The plain roster without some companies or people."""
    return MappingRoster(
        companies={key: value for key, value in ROSTER.companies.items() if key not in keys},
        people={key: value for key, value in ROSTER.people.items() if key not in keys},
    )


def event(
    event_type: str, content: Mapping[str, Any] | None = None, state_key: str | None = None, *, sender: str = BOB
) -> EventRequest:
    return EventRequest(sender=sender, type=event_type, content=content or {}, state_key=state_key)


def membership(sender: str, target: str, value: Any, **more: Any) -> EventRequest:
    return event("m.room.member", {"membership": value, **more}, target, sender=sender)


Case = tuple[Any, Code | None, str]
"""Something to judge, and the code and sentence that it is refused with, if it is."""


def check(refusal: Refusal | None, code: Code | None, sentence: str) -> None:
    assert refusal == (None if code is None else Refusal(code, sentence))


# --- what is no event

ACT_EXAMPLES: dict[Code, Refusal | None] = {
    Code.DEACTIVATION_BY_HUB: refuse_deactivation(BOB, ROSTER, BOT, by_admin=False),
    Code.NOT_SHARED: refuse_sight(BOB, CAROL, [CHARTER], ROSTER, NOW),
    Code.ROOM_KEPT: refuse_shutdown(CHARTER.key, CHARTER),
    Code.UPLOAD_TOO_LARGE: refuse_upload(BOB, 11, changed(company("northwind", max_upload=10)), NOW),
}
"""For each code that only an act beside events is refused with: a refusal with it."""

# --- what hypothesis draws from


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision depends on but the request."""

    charter: Charter
    roster: MappingRoster
    now: int = NOW

    def decide(self, request: EventRequest) -> Refusal | None:
        return decide(request, self.charter, self.roster, self.now, BOT)

    def entitled(self, user_id: str) -> bool:
        """Whether ``user_id`` may be in the room: the rules once more, in other words."""
        found = self.roster.people.get(user_id)
        employer = self.roster.companies.get(found.company) if found else None
        if found is None or employer is None:
            return False
        over = [end for end in (employer.not_after, self.charter.not_after) if end is not None and end <= self.now]
        invited = {(item.company, item.team, item.person) for item in self.charter.admits}
        ways = set(product((found.company,), (None, *found.teams), (None, user_id)))
        return (
            self.charter.open
            and not over
            and {found.standing, employer.standing} == {Standing.ACTIVE}
            and bool(ways & invited)
        )


USERS = (ALICE, BOB, CAROL, STRANGER)

TEXT = st.text(st.characters(), max_size=20)
"""Any text, lone surrogates and control characters included."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)

# Each of these is one draw from a list of all combinations: quick, and nothing is rare.

_ENDS = (None, NOW - 1, NOW, NOW + 1)
_ADMITS = (
    (),
    CHARTER.admits,
    (Admission(company="northwind", team="legal"),),
    (Admission(company="northwind", person=BOB),),
    tuple(Admission(company=name) for name in COMPANIES),
)
_CHARTERS = [
    replace(CHARTER, kind=kind, admits=admits, open=is_open, not_after=end, room_version=version)
    for kind, admits, is_open, end, version in product(RoomKind, _ADMITS, (True, False), _ENDS, ("11", "12"))
]
_TEAM_SETS = (frozenset[str](), frozenset({"sales"}), frozenset({"legal", "sales"}))
_ALICES, _BOBS = (
    [None, *(person(user, standing=standing, teams=teams) for standing, teams in product(Standing, _TEAM_SETS))]
    for user in (ALICE, BOB)
)
_CONTOSOS, _NORTHWINDS = (
    [None, *(company(name, standing=standing, not_after=end) for standing, end in product(Standing, _ENDS))]
    for name in ("contoso", "northwind")
)
_OTHERS = (company("fabrikam"), person(CAROL))
_ROSTERS = [
    roster(*(item for item in items if item is not None), *_OTHERS)
    for items in product(_ALICES, _BOBS, _CONTOSOS, _NORTHWINDS)
]
charters = st.sampled_from(_CHARTERS) | st.just(CHARTER)
rosters = st.sampled_from(_ROSTERS) | st.just(ROSTER)
worlds = st.builds(World, charters, rosters)

_TYPES = (
    *sorted({event_type for event_type, _ in fixed_state(CHARTER, BOT)}),
    *sorted(SPACE_LINKS),
    *("m.room.create", "m.room.member", "m.room.encrypted", "m.room.message", "m.reaction", "m.room.redaction"),
    *("m.room.server_acl", "m.room.tombstone", "m.room.pinned_events", "m.room.third_party_invite", "m.room.avatar"),
    *(CALL_MEMBER, "m.call.member", "", "M.ROOM.MEMBER", "com.example.\ud800"),
)
_EXTRAS: tuple[Mapping[str, Any], ...] = (
    {},
    {"body": "clear"},
    {"reason": "x" * 300},
    {"x": [1, {"y": 0.5}]},
    {"m.relates_to": []},
    {"historical": "clear"},
)
STATE_KEYS = ("", *USERS, BOT, *(f"{user}_D" for user in USERS), f"_{BOB}_D", "!room", "\0", "\ud800")


def _request(sender: str, event_type: str, state_key: str | None, extra: Mapping[str, Any]) -> EventRequest:
    """A request with the content that its type usually has, and ``extra`` beside it."""
    usual: dict[str, dict[str, Any]] = {"m.room.encrypted": SEALED, "m.reaction": REACTION}
    wanted = fixed_state(CHARTER, BOT).get((event_type, ""), usual.get(event_type, {}))
    return EventRequest(sender=sender, type=event_type, content={**wanted, **extra}, state_key=state_key)


def said(*senders: str) -> st.SearchStrategy[EventRequest]:
    """What is no state."""
    return st.sampled_from([_request(*parts) for parts in product(senders, _TYPES, (None,), _EXTRAS)])


def stated(*senders: str) -> st.SearchStrategy[EventRequest]:
    """State, memberships now and then."""
    others = [_request(*parts) for parts in product(senders, _TYPES, STATE_KEYS, _EXTRAS)]
    moves = [
        membership(sender, target, value, **extra)
        for sender, target, value, extra in product(
            senders, (*USERS, BOT), ("join", "leave", "invite", "ban", "knock", "banana", ["join"]), _EXTRAS
        )
    ]
    return st.sampled_from(others) | st.sampled_from(moves)


def requests(*senders: str) -> st.SearchStrategy[EventRequest]:
    """Everything that anybody may want to send."""
    return said(*senders) | stated(*senders)


# --- ways to allow less

Restriction = Callable[[World], World]


def _suspend_person(world: World) -> World:
    people = {key: replace(value, standing=Standing.SUSPENDED) for key, value in world.roster.people.items()}
    return replace(world, roster=replace(world.roster, people=people))


def _suspend_company(world: World) -> World:
    companies = {key: replace(value, standing=Standing.SUSPENDED) for key, value in world.roster.companies.items()}
    return replace(world, roster=replace(world.roster, companies=companies))


def _leave_teams(world: World) -> World:
    people = {key: replace(value, teams=frozenset()) for key, value in world.roster.people.items()}
    return replace(world, roster=replace(world.roster, people=people))


def _end_contracts(world: World) -> World:
    companies = {key: replace(value, not_after=NOW) for key, value in world.roster.companies.items()}
    return replace(world, roster=replace(world.roster, companies=companies))


RESTRICTIONS: dict[str, Restriction] = {
    "suspend the people": _suspend_person,
    "suspend the companies": _suspend_company,
    "leave the teams": _leave_teams,
    "end the contracts": _end_contracts,
    "forget the people": lambda world: replace(world, roster=replace(world.roster, people={})),
    "forget the companies": lambda world: replace(world, roster=replace(world.roster, companies={})),
    "close the engagement": lambda world: replace(world, charter=replace(world.charter, open=False)),
    "end the engagement": lambda world: replace(world, charter=replace(world.charter, not_after=NOW)),
    "admit nobody": lambda world: replace(world, charter=replace(world.charter, admits=())),
    "admit one less": lambda world: replace(world, charter=replace(world.charter, admits=world.charter.admits[1:])),
    "let time pass": lambda world: replace(world, now=world.now + 1),
}
