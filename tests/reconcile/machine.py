"""The model: companies, people, teams and partnerships as plain Python has them, and commands that go at random.

What must hold at every quiet point: who is in a room is who may be, by the model's own reckoning; the ledger's
memberships, replayed, end at the same; nothing is left to do and no drift is open. The machine knows two worlds: the
fake homeserver with crashes and a clock (``fake_world``), and a real Synapse (``live_world``).
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

TEAMS = ("north", "south")
PICK = st.integers(0, 9)


@dataclass(slots=True)
class Company:
    id: str
    suspended: bool = False
    ends_at: int | None = None


@dataclass(slots=True)
class Person:
    id: str
    user_id: str
    company: str
    teams: set[str] = field(default_factory=set)
    suspended: bool = False


@dataclass(slots=True)
class Partnership:
    id: str
    partner: str
    team: str
    open: bool = True


class World(Protocol):
    """What the machine needs of a hub and its homeserver; each call returns when it is done."""

    host: str
    bot: str
    stranger: str

    def api(self, method: str, path: str, body: Any = None) -> Any: ...
    def add_company(self, ends_in: int | None) -> Company: ...
    def add_person(self, company: str, teams: tuple[str, ...]) -> Person: ...
    def team(self, name: str) -> str: ...
    def now(self) -> int: ...
    def settle(self) -> None: ...
    def rooms(self, partnership: str) -> list[str]: ...
    def members(self, room_id: str) -> set[str]: ...
    def entries(self, room_id: str) -> list[dict[str, Any]]: ...
    def send(self, person: Person, room_id: str) -> bool: ...
    def say_in_the_clear(self, person: Person, room_id: str) -> bool: ...
    def join(self, person: Person, room_id: str) -> bool: ...
    def leave(self, person: Person, room_id: str) -> None: ...
    def back_door(self, user_id: str, room_id: str) -> None: ...


class Hubs(RuleBasedStateMachine):
    """Commands and client acts; ``world`` is made by the subclass."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.companies: list[Company] = []
        self.people: list[Person] = []
        self.partnerships: list[Partnership] = []

    @initialize()
    def begin(self) -> None:
        self.people.append(self.world.add_person(self.world.host, (self.world.team("north"),)))
        self.companies.append(self.world.add_company(None))
        self.people.append(self.world.add_person(self.companies[0].id, ()))
        self._open(self.companies[0], "north")

    def able(self) -> bool:
        """Whether commands that need the homeserver can be given."""
        return True

    # --- commands

    @precondition(lambda self: self.able() and len(self.companies) < 3)
    @rule(ends_in=st.sampled_from([None, 1, 20]))
    def add_company(self, ends_in: int | None) -> None:
        self.companies.append(self.world.add_company(ends_in))

    @precondition(lambda self: self.able() and len(self.people) < 7)
    @rule(pick=PICK, team=st.sampled_from(TEAMS))
    def add_person(self, pick: int, team: str) -> None:
        company = ([None, *self.companies])[pick % (len(self.companies) + 1)]
        if company is None:
            self.people.append(self.world.add_person(self.world.host, (self.world.team(team),)))
        elif not company.suspended and not self._ended(company):
            self.people.append(self.world.add_person(company.id, ()))

    @rule(pick=PICK)
    def suspend_or_resume_person(self, pick: int) -> None:
        person = self.people[pick % len(self.people)]
        word = "resume" if person.suspended else "suspend"
        self.world.api("POST", f"/v1/people/{person.id}/{word}", None if person.suspended else {"reason": "x"})
        person.suspended = not person.suspended

    @rule(pick=PICK)
    def suspend_or_resume_company(self, pick: int) -> None:
        company = self.companies[pick % len(self.companies)]
        word = "resume" if company.suspended else "suspend"
        self.world.api("POST", f"/v1/companies/{company.id}/{word}", None if company.suspended else {"reason": "x"})
        company.suspended = not company.suspended

    @rule(pick=PICK, team=st.sampled_from(TEAMS))
    def join_or_leave_team(self, pick: int, team: str) -> None:
        staff = [person for person in self.people if person.company == self.world.host]
        person, name = staff[pick % len(staff)], self.world.team(team)
        word = "leave" if name in person.teams else "join"
        self.world.api("POST", f"/v1/teams/{name}/{word}", {"person": person.id})
        person.teams ^= {name}

    @rule(pick=PICK, team=st.sampled_from(TEAMS))
    def open_partnership(self, pick: int, team: str) -> None:
        company = self.companies[pick % len(self.companies)]
        taken = any(item.partner == company.id and item.open for item in self.partnerships)
        manned = any(self.world.team(team) in person.teams for person in self.people)
        if manned and not (taken or company.suspended or self._ended(company)) and len(self.partnerships) < 4:
            self._open(company, team)

    def _open(self, company: Company, team: str) -> None:
        body = {"partner": company.id, "team": self.world.team(team)}
        found = self.world.api("POST", "/v1/partnerships", body)
        self.partnerships.append(Partnership(found["id"], company.id, self.world.team(team)))

    @rule(pick=PICK)
    def close_partnership(self, pick: int) -> None:
        item = self.partnerships[pick % len(self.partnerships)]
        if item.open:
            self.world.api("POST", f"/v1/partnerships/{item.id}/close", {"reason": "x"})
            item.open = False

    # --- what people do with their clients

    @rule(pick=PICK, place=PICK, act=st.sampled_from(["send", "clear", "join", "leave"]))
    def act(self, pick: int, place: int, act: str) -> None:
        room_id, person = self._room(place), self.people[pick % len(self.people)]
        if room_id is None:
            return
        there = person.user_id in self.world.members(room_id)
        if act == "send" and self.world.send(person, room_id):
            assert there
            assert self._may_act(person), "somebody spoke who may not"
        if act == "clear":
            assert not self.world.say_in_the_clear(person, room_id)
        if act == "join" and not there:
            assert not self.world.join(person, room_id)
        if act == "leave" and there:
            self.world.leave(person, room_id)

    @rule(pick=PICK, place=PICK)
    def come_in_by_the_back_door(self, pick: int, place: int) -> None:
        room_id = self._room(place)
        users = [self.world.stranger, *(person.user_id for person in self.people)]
        if room_id is not None and users[pick % len(users)] not in self.world.members(room_id):
            self.world.back_door(users[pick % len(users)], room_id)

    def _room(self, place: int) -> str | None:
        rooms = [room_id for item in self.partnerships for room_id in self.world.rooms(item.id)]
        return rooms[place % len(rooms)] if rooms else None

    # --- what must hold

    @rule()
    def come_to_rest(self) -> None:
        self.world.settle()
        for partnership in self.partnerships:
            shown = self.world.api("GET", f"/v1/partnerships/{partnership.id}")
            assert shown["settled"], shown
            expected = {self.world.bot, *(item.user_id for item in self.people if self._belongs(item, partnership))}
            for room in shown["rooms"]:
                assert self.world.members(room["room_id"]) == expected
                assert self._told(room["room_id"]) == expected
                assert self.world.api("GET", f"/v1/rooms/{room['key']}")["drift"] == []
            assert self.world.api("GET", f"/v1/plan?engagement={partnership.id}")["rooms"] == []

    def teardown(self) -> None:
        if self.partnerships:
            self.come_to_rest()

    def _told(self, room_id: str) -> set[str]:
        """Who is in the room by the ledger's entries, from the first on."""
        there: set[str] = set()
        names = {person.id: person.user_id for person in self.people}
        for entry in self.world.entries(room_id):
            subject = entry["data"].get("subject", {})
            user = self.world.bot if "system" in subject else names.get(subject.get("person"), subject.get("user", ""))
            if entry["kind"] == "member.joined":
                there.add(user)
            elif entry["kind"] in ("member.left", "member.removed", "member.banned"):
                there.discard(user)
        return there

    def _may_act(self, person: Person) -> bool:
        company = next((item for item in self.companies if item.id == person.company), None)
        shut = company is not None and (company.suspended or self._ended(company))
        return not (person.suspended or shut)

    def _belongs(self, person: Person, partnership: Partnership) -> bool:
        named = person.company == partnership.partner or partnership.team in person.teams
        return partnership.open and named and self._may_act(person)

    def _ended(self, company: Company) -> bool:
        return company.ends_at is not None and self.world.now() >= company.ends_at
