"""What is wanted of some engagements and what is there: everything that a plan for their rooms rests on. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from spaces.drift import Drift
from spaces.model import MEMBER, ManagedRoom, ObservedRoom
from spaces.plan import Desired, Element, links_of
from spaces.policy.records import Charter, CompanyRecord, PersonRecord, RoomKind

Team = tuple[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterSnapshot:
    """The companies and enrolled people whom some rooms concern; a :class:`spaces.policy.records.Roster`.

    ``teams`` has the people of each (company, team), and the whole company's under (company, ``None``).
    """

    companies: Mapping[str, CompanyRecord]
    people: Mapping[str, PersonRecord]
    teams: Mapping[Team, Sequence[PersonRecord]] = field(default_factory=dict)

    @classmethod
    def of(cls, companies: Iterable[CompanyRecord], people: Iterable[PersonRecord]) -> "RosterSnapshot":
        """The snapshot with its teams."""
        records = sorted(people, key=lambda person: person.user_id)
        teams: defaultdict[Team, list[PersonRecord]] = defaultdict(list)
        for person in records:
            for team in (None, *person.teams):
                teams[person.company, team].append(person)
        return cls(
            companies={item.company: item for item in companies},
            people={item.user_id: item for item in records},
            teams=teams,
        )

    def company(self, company: str) -> CompanyRecord | None:
        """The company with this id."""
        return self.companies.get(company)

    def person(self, user_id: str) -> PersonRecord | None:
        """The person with this Matrix account."""
        return self.people.get(user_id)

    def admitted(self, charter: Charter) -> list[PersonRecord]:
        """The people whom the charter names, in the order of their user ids, in good standing or not."""
        found: dict[str, PersonRecord] = {}
        for item in charter.admits:
            for person in self.teams.get((item.company, item.team), ()):
                if item.person is None or item.person == person.user_id:
                    found[person.user_id] = person
        return [found[user_id] for user_id in sorted(found)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The rooms of some engagements, their charters, the people, what was seen, and which drift is open.

    ``versions`` are those of charters, companies and people by key; ``drifts`` by room.
    """

    rooms: Sequence[ManagedRoom]
    charters: Mapping[str, Charter]
    roster: RosterSnapshot
    seen: Mapping[str, ObservedRoom]
    versions: Mapping[str, int]
    drifts: Mapping[str, Sequence[Drift]]
    bot: str
    links: Mapping[str, Mapping[Element, Mapping[str, Any]]] = field(default_factory=dict)

    def observed(self, room: ManagedRoom) -> ObservedRoom | None:
        """The room as it was seen; ``None`` while it does not exist."""
        return None if room.room_id is None else self.seen.get(room.room_id, ObservedRoom())

    def desired(self, room: ManagedRoom) -> Desired | None:
        """What the room should be; ``None`` when it has no charter."""
        charter = self.charters.get(room.key)
        if charter is None:
            return None
        return Desired(
            charter=charter,
            people=self.roster.admitted(charter),
            roster=self.roster,
            bot=self.bot,
            links=self.links.get(room.key, {}),
        )

    def wanted_digest(self, desired: Desired) -> str:
        """A digest of what is wanted: the versions of the charter and of every company and person it names."""
        charter = desired.charter
        keys = {charter.key, *(item.company for item in charter.admits), *(item.user_id for item in desired.people)}
        return _digest(sorted((key, self.versions.get(key, 0)) for key in keys))


def found_digest(observed: ObservedRoom | None, but: Iterable[Element]) -> str:
    """A digest of what is there, but for the pieces ``but``, which the plan itself is about."""
    if observed is None:
        return _digest(None)
    left = set(but)
    state = sorted((*key, content) for key, content in observed.state.items() if key not in left)
    members = sorted((user, value) for user, value in observed.members.items() if (MEMBER, user) not in left)
    return _digest([state, members])


def links_between(
    rooms: Sequence[ManagedRoom], charters: Mapping[str, Charter], server: str
) -> dict[str, dict[Element, Mapping[str, Any]]]:
    """Room key → the state by which a Space lists its rooms and a room names its Space."""
    spaces = {room.engagement: room for room in rooms if room.kind is RoomKind.SPACE}
    children: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for room in rooms:
        if room.room_id is not None and _is_for_all(room, spaces.get(room.engagement), charters):
            children[room.engagement].append((room.position, room.room_id))
    return {
        room.key: dict(
            links_of(
                charters[room.key],
                _space_for(room, spaces.get(room.engagement), charters),
                children[room.engagement],
                server,
            ).items()
        )
        for room in rooms
        if room.key in charters
    }


def _is_for_all(room: ManagedRoom, space: ManagedRoom | None, charters: Mapping[str, Charter]) -> bool:
    """Whether a Space may list the room: those who are in the Space and not in the room must not see that it exists."""
    own, wider = charters.get(room.key), None if space is None else charters.get(space.key)
    if room.kind is not RoomKind.ROOM or own is None or (space is not None and wider is None):
        return False
    return wider is None or set(wider.admits) <= set(own.admits)


def _space_for(room: ManagedRoom, space: ManagedRoom | None, charters: Mapping[str, Charter]) -> str | None:
    """The id of the Space that a room may name: those who are in the room and not in the Space must not hear of it."""
    wider = None if space is None else charters.get(space.key)
    if space is None or wider is None or not set(charters[room.key].admits) <= set(wider.admits):
        return None
    return space.room_id


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
