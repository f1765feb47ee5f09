"""SQL of whose sessions were ended, on an open connection; the caller owns the transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.policy.documents import DocumentKind, company_of, person_of
from spaces.policy.records import CompanyRecord, MappingRoster, PersonRecord
from spaces.policy.rules import refuse_account
from spaces.tables import document, ended_session

_SUSPENDED = '%"standing": "suspended"%'
_ENDLESS = '%"not_after": null%'
CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutOut:
    """Somebody who may not use the hub; ``version`` is that of what says so: a newer one is another case."""

    record: PersonRecord
    version: str


class SessionStore:
    """Who is shut out, and whose sessions were ended for it."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def due(self, now: Millis) -> list[ShutOut]:
        """Those who are shut out at ``now`` and whose sessions were not ended since."""
        companies = await self._restricted()
        people = await self._people(document.c.body.like(_SUSPENDED))
        for at in range(0, len(companies), CHUNK):
            people |= await self._people(document.c.company.in_(sorted(companies)[at : at + CHUNK]))
        employers = companies | await self._companies({record.company for _, record in people.values()})
        found = [_shut_out(version, record, employers, now) for version, record in people.values()]
        return await self._not_ended([item for item in found if item is not None])

    async def note(self, person: ShutOut) -> None:
        """Remember that the sessions of ``person`` were ended."""
        statement = self._dialect.insert(ended_session).values(user_id=person.record.user_id, version=person.version)
        changes = {"version": statement.excluded["version"]}
        await self._tx.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=changes))

    async def _restricted(self) -> dict[str, tuple[int, CompanyRecord]]:
        """The companies that are suspended or have a contract with an end."""
        where = or_(document.c.body.like(_SUSPENDED), document.c.body.not_like(_ENDLESS))
        rows = await self._tx.execute(
            select(document.c.key, document.c.version, document.c.body).where(
                document.c.kind == DocumentKind.COMPANY.value, ~document.c.gone, where
            )
        )
        return {row.key: (row.version, company_of(json.loads(row.body))) for row in rows}

    async def _companies(self, keys: set[str]) -> dict[str, tuple[int, CompanyRecord]]:
        rows = await self._tx.execute(
            select(document.c.key, document.c.version, document.c.body).where(
                document.c.kind == DocumentKind.COMPANY.value, ~document.c.gone, document.c.key.in_(sorted(keys))
            )
        )
        return {row.key: (row.version, company_of(json.loads(row.body))) for row in rows}

    async def _people(self, where: ColumnElement[bool]) -> dict[str, tuple[int, PersonRecord]]:
        rows = await self._tx.execute(
            select(document.c.key, document.c.version, document.c.body).where(
                document.c.kind == DocumentKind.PERSON.value, ~document.c.gone, where
            )
        )
        return {row.key: (row.version, person_of(json.loads(row.body))) for row in rows}

    async def _not_ended(self, people: Sequence[ShutOut]) -> list[ShutOut]:
        ended: dict[str, str] = {}
        for at in range(0, len(people), CHUNK):
            users = [item.record.user_id for item in people[at : at + CHUNK]]
            rows = await self._tx.execute(select(ended_session).where(ended_session.c.user_id.in_(users)))
            ended |= {row.user_id: row.version for row in rows}
        return [item for item in people if ended.get(item.record.user_id) != item.version]


def _shut_out(
    version: int, record: PersonRecord, companies: Mapping[str, tuple[int, CompanyRecord]], now: Millis
) -> ShutOut | None:
    employer_version, employer = companies.get(record.company, (0, None))
    known = {} if employer is None else {record.company: employer}
    roster = MappingRoster(companies=known, people={record.user_id: record})
    if refuse_account(record.user_id, roster, now) is None:
        return None
    return ShutOut(record=record, version=f"{version}/{employer_version}")
