"""SQL that reads situations: a few queries for a hundred engagements, and only the people whom their rooms concern."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from spaces.drift import Drift
from spaces.model import ObservedRoom
from spaces.observed import ObservedStore
from spaces.policy.documents import DocumentKind, charter_of, company_of, person_of
from spaces.policy.records import Charter, CompanyRecord
from spaces.situation import RosterSnapshot, Situation, links_between
from spaces.store import room_of
from spaces.tables import document, drift, room, roster_team

IN_LIST = 5_000


class SituationStore:
    """Reads everything that plans rest on, on an open connection."""

    def __init__(self, tx: AsyncConnection, *, bot: str) -> None:
        self._tx = tx
        self._bot = bot
        self._versions: dict[str, int] = {}

    async def of(self, engagements: Sequence[str]) -> Situation:
        """The situation of these engagements: one state of the database."""
        statement = select(room).where(room.c.engagement.in_(engagements))
        rows = await self._tx.execute(statement.order_by(room.c.engagement, room.c.position))
        rooms = [room_of(row) for row in rows]
        keys = [item.key for item in rooms]
        charters = await self._charters(keys)
        seen = await ObservedStore(self._tx).rooms([item.room_id for item in rooms if item.room_id is not None])
        return Situation(
            rooms=rooms,
            charters=charters,
            roster=await self._roster(charters.values(), seen),
            seen=seen,
            versions=self._versions,
            drifts=await self._drifts(keys),
            bot=self._bot,
            links=links_between(rooms, charters, self._bot.split(":", 1)[1]),
        )

    async def _charters(self, keys: Sequence[str]) -> dict[str, Charter]:
        bodies = await self._bodies(document.c.kind == DocumentKind.CHARTER.value, document.c.key.in_(keys))
        return {key: charter_of(body) for key, body in bodies.items()}

    async def _roster(self, charters: Collection[Charter], seen: Mapping[str, ObservedRoom]) -> RosterSnapshot:
        """The companies of the charters, the people whom they name, and the people who are there."""
        admits = {item for charter in charters for item in charter.admits}
        people = await self._people(
            whole={item.company for item in admits if item.team is None and item.person is None},
            teams={(item.company, item.team) for item in admits if item.team is not None},
        )
        named = {item.person for item in admits if item.person is not None}
        there = {user_id for found in seen.values() for user_id in found.members}
        missing = sorted((named | there) - people.keys())
        for at in range(0, len(missing), IN_LIST):
            part = missing[at : at + IN_LIST]
            people |= await self._bodies(document.c.kind == DocumentKind.PERSON.value, document.c.key.in_(part))
        records = [person_of(body) for body in people.values()]
        companies = {item.company for item in admits} | {record.company for record in records}
        return RosterSnapshot.of(await self._companies(companies), records)

    async def _people(self, *, whole: set[str], teams: set[tuple[str, str]]) -> dict[str, Any]:
        is_person = document.c.kind == DocumentKind.PERSON.value
        found: dict[str, Any] = {}
        if whole:
            found |= await self._bodies(is_person, document.c.company.in_(sorted(whole)))
        if teams:
            place = tuple_(roster_team.c.company, roster_team.c.team)
            members = select(roster_team.c.user_id).where(place.in_(sorted(teams)))
            found |= await self._bodies(is_person, document.c.key.in_(members))
        return found

    async def _companies(self, companies: set[str]) -> list[CompanyRecord]:
        is_company = document.c.kind == DocumentKind.COMPANY.value
        bodies = await self._bodies(is_company, document.c.key.in_(sorted(companies)))
        return [company_of(body) for body in bodies.values()]

    async def _bodies(self, *where: ColumnElement[bool]) -> dict[str, Any]:
        """The bodies of documents by key; their versions are noted."""
        columns = (document.c.key, document.c.version, document.c.body)
        rows = (await self._tx.execute(select(*columns).where(*where, ~document.c.gone))).all()
        self._versions |= {row.key: row.version for row in rows}
        return {row.key: json.loads(row.body) for row in rows}

    async def _drifts(self, keys: Sequence[str]) -> dict[str, list[Drift]]:
        found: dict[str, list[Drift]] = {}
        rows = await self._tx.execute(select(drift).where(drift.c.room.in_(keys)).order_by(drift.c.room, drift.c.type))
        for row in rows:
            found.setdefault(row.room, []).append(Drift(**row._asdict()))
        return found
