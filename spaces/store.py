"""SQL of engagements, rooms and documents, on an open connection; the caller owns the transaction."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.due_store import DueStore
from spaces.model import Engagement, EngagementKind, EngagementStatus, ManagedRoom
from spaces.policy.documents import Document, DocumentKind, Record, charter_of, company_of, document_of, person_of
from spaces.policy.records import Charter, CompanyRecord, PersonRecord, RoomKind
from spaces.tables import committee_vendor, document, engagement, room


class DocumentStore:
    """Charters and roster, each with a version that only grows."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def put(self, record: Record, now: Millis) -> None:
        """Store ``record`` as the newest version, to be pushed to the guard.

        The version is the time unless that would not grow: so that after the database was put back from a backup,
        new versions are still newer than what the guard has.
        """
        shape = document_of(record, 1)
        where = (document.c.kind == shape.kind.value, document.c.key == shape.key)
        stored = await self._tx.scalar(select(document.c.version).where(*where))
        row = {
            "kind": shape.kind.value,
            "key": shape.key,
            "company": None if isinstance(record, Charter) else record.company,
            "version": now if stored is None else max(stored + 1, now),
            "body": json.dumps(shape.body),
            "gone": False,
            "pushed_version": 0,
        }
        statement = self._dialect.insert(document).values(row)
        changes = {name: statement.excluded[name] for name in ("version", "body", "gone")}
        await self._tx.execute(statement.on_conflict_do_update(index_elements=["kind", "key"], set_=changes))
        await self._mark(record, now)

    async def _mark(self, record: Record, now: Millis) -> None:
        """Have the rooms looked at that the record concerns, in the same transaction."""
        due = DueStore(self._tx)
        if isinstance(record, Charter):
            await due.charter_put(record, now)
        elif isinstance(record, CompanyRecord):
            await due.company_put(record, now)
        else:
            await due.person_put(record, now)

    async def put_company(self, record: CompanyRecord, now: Millis) -> None:
        """Store what is known of a company beside its partnerships; the Spaces that these listed with it stay."""
        stored = await self._locked_company(record.company)
        await self.put(record if stored is None else replace(record, direct=stored.direct), now)

    async def list_direct(self, company: str, space: str, now: Millis, *, listed: bool) -> None:
        """Have a Space, by its charter's key, among those whose people may talk to the company's directly, or not."""
        stored = await self._locked_company(company)
        if stored is None or (space in stored.direct) is listed:
            return
        others = tuple(key for key in stored.direct if key != space)
        await self.put(replace(stored, direct=(*others, space) if listed else others), now)

    async def _locked_company(self, company: str) -> CompanyRecord | None:
        """The record, nobody else's to change until the transaction ends."""
        where = (document.c.kind == DocumentKind.COMPANY.value, document.c.key == company, ~document.c.gone)
        body = await self._tx.scalar(select(document.c.body).where(*where).with_for_update())
        return None if body is None else company_of(json.loads(body))

    async def charter(self, key: str) -> Charter | None:
        """The charter of the room ``key``."""
        body = await self._body(DocumentKind.CHARTER, key)
        return None if body is None else charter_of(body)

    async def company(self, company: str) -> CompanyRecord | None:
        """The record of one company."""
        body = await self._body(DocumentKind.COMPANY, company)
        return None if body is None else company_of(body)

    async def person(self, user_id: str) -> PersonRecord | None:
        """The record of one enrolled person."""
        body = await self._body(DocumentKind.PERSON, user_id)
        return None if body is None else person_of(body)

    async def charters(self, keys: Sequence[str]) -> dict[str, Charter]:
        """The charters of the rooms ``keys``, by key."""
        where = (document.c.kind == DocumentKind.CHARTER.value, document.c.key.in_(keys), ~document.c.gone)
        rows = await self._tx.execute(select(document.c.key, document.c.body).where(*where))
        return {row.key: charter_of(json.loads(row.body)) for row in rows}

    async def people(self, user_ids: Sequence[str]) -> dict[str, PersonRecord]:
        """The enrolled people among ``user_ids``, by Matrix user id."""
        if not user_ids:
            return {}
        where = (document.c.kind == DocumentKind.PERSON.value, document.c.key.in_(user_ids), ~document.c.gone)
        rows = await self._tx.execute(select(document.c.key, document.c.body).where(*where))
        return {row.key: person_of(json.loads(row.body)) for row in rows}

    async def people_of(self, company: str) -> list[PersonRecord]:
        """The enrolled people of one company."""
        where = (document.c.kind == DocumentKind.PERSON.value, document.c.company == company, ~document.c.gone)
        rows = await self._tx.scalars(select(document.c.body).where(*where).order_by(document.c.key))
        return [person_of(json.loads(body)) for body in rows]

    async def unpushed(self, limit: int) -> list[Document]:
        """Up to ``limit`` documents whose newest version the guard does not have yet: roster first, then charters."""
        statement = select(document).where(document.c.pushed_version < document.c.version)
        rows = await self._tx.execute(statement.order_by(document.c.kind.desc(), document.c.version).limit(limit))
        return [
            Document(
                kind=DocumentKind(row.kind),
                key=row.key,
                version=row.version,
                body=json.loads(row.body),
                gone=row.gone,
            )
            for row in rows
        ]

    async def mark_pushed(self, documents: Sequence[Document]) -> None:
        """Note that the guard has these versions."""
        for item in documents:
            await self._tx.execute(
                update(document)
                .where(document.c.kind == item.kind.value, document.c.key == item.key)
                .values(pushed_version=item.version)
            )

    async def mark_all_unpushed(self) -> None:
        """Have everything pushed again: the guard's database is not the one that it was."""
        await self._tx.execute(update(document).values(pushed_version=0))

    async def pushed(self) -> dict[str, tuple[int, int]]:
        """How many documents of each kind the guard was given, and the sum of the versions that it was given."""
        columns = (document.c.kind, func.count(), func.sum(document.c.pushed_version))
        statement = select(*columns).where(document.c.pushed_version > 0).group_by(document.c.kind)
        return {row[0]: (int(row[1]), int(row[2])) for row in await self._tx.execute(statement)}

    async def _body(self, kind: DocumentKind, key: str) -> dict[str, Any] | None:
        where = (document.c.kind == kind.value, document.c.key == key, ~document.c.gone)
        body = await self._tx.scalar(select(document.c.body).where(*where))
        return None if body is None else dict(json.loads(body))


_IS_PARTNERSHIP = engagement.c.kind == EngagementKind.PARTNERSHIP.value


class EngagementStore:
    """Engagements."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, item: Engagement) -> None:
        """Store a new engagement."""
        await self._tx.execute(insert(engagement).values(**_engagement_row(item)))

    async def save(self, item: Engagement) -> None:
        """Store what changed of an engagement."""
        await self._tx.execute(update(engagement).where(engagement.c.id == item.id).values(**_engagement_row(item)))

    async def get(self, engagement_id: str) -> Engagement | None:
        """One engagement."""
        row = (await self._tx.execute(select(engagement).where(engagement.c.id == engagement_id))).one_or_none()
        return None if row is None else _engagement(row)

    async def of_partner(self, partner: str) -> list[Engagement]:
        """The partnerships of one company, the oldest first."""
        where = (engagement.c.partner == partner, _IS_PARTNERSHIP)
        statement = select(engagement).where(*where).order_by(engagement.c.opened_at)
        return [_engagement(row) for row in await self._tx.execute(statement)]

    async def open_with(self, companies: Collection[str]) -> list[Engagement]:
        """The open engagements of these companies, vendors of committees among them, in the order of their ids."""
        vendor = committee_vendor.c
        heard = select(vendor.committee).where(vendor.company.in_(companies))
        takes_part = or_(engagement.c.partner.in_(companies), engagement.c.id.in_(heard))
        where = (takes_part, engagement.c.status == EngagementStatus.OPEN.value)
        found = [_engagement(row) for row in await self._tx.execute(select(engagement).where(*where).order_by("id"))]
        vendors = await self._vendors([item.id for item in found])
        return [replace(item, vendors=frozenset(vendors.get(item.id, ()))) for item in found]

    async def _vendors(self, engagements: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        columns = committee_vendor.c
        for row in await self._tx.execute(
            select(columns.committee, columns.company).where(columns.committee.in_(engagements))
        ):
            found.setdefault(row.committee, []).append(row.company)
        return found

    async def concerning(self, company: str, teams: Sequence[str], host: str) -> list[str]:
        """The ids of the partnerships whose rooms people of ``company`` (for the host: of these teams) are in."""
        where = engagement.c.team.in_(teams) if company == host else engagement.c.partner == company
        statement = select(engagement.c.id).where(where, _IS_PARTNERSHIP).order_by(engagement.c.id)
        return list(await self._tx.scalars(statement))

    async def chats(self, company: str, person: str | None) -> list[str]:
        """The ids of the engagements of a company's people, or of one person, with the helper."""
        where = [engagement.c.kind == EngagementKind.HELPER.value, engagement.c.partner == company]
        if person is not None:
            where.append(engagement.c.opened_by == person)
        return list(await self._tx.scalars(select(engagement.c.id).where(*where).order_by(engagement.c.id)))

    async def page(self, *, after: str, limit: int) -> list[Engagement]:
        """Up to ``limit`` partnerships in the order of their ids, from behind ``after`` on."""
        where = (engagement.c.id > after, _IS_PARTNERSHIP)
        statement = select(engagement).where(*where).order_by(engagement.c.id).limit(limit)
        return [_engagement(row) for row in await self._tx.execute(statement)]


class RoomStore:
    """Managed rooms."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, rooms: Sequence[ManagedRoom]) -> None:
        """Store new rooms."""
        await self._tx.execute(insert(room), [_room_row(item) for item in rooms])

    async def save(self, item: ManagedRoom) -> None:
        """Store what changed of a room; where more has happened to it since ``item`` was read, it stays due."""
        current = room.c.changes == item.changes
        row = {name: value for name, value in _room_row(item).items() if name not in ("changes", "asked_at")}
        changes = {
            **row,
            "due_at": case((current, item.due_at), else_=0),
            "settled": case((current, item.settled), else_=and_(room.c.settled, literal(item.settled))),
        }
        await self._tx.execute(update(room).where(room.c.key == item.key).values(**changes))

    async def settle(self, items: Sequence[ManagedRoom]) -> None:
        """Store that nothing is to do to these rooms; one to which more has happened since stays as it is, and due."""
        if not items:
            return
        names = ("settled", "problem", "attempts", "retry_at", "due_at", "stuck_since", "waiting")
        statement = (
            update(room)
            .where(room.c.key == bindparam("the_key"), room.c.changes == bindparam("seen"))
            .values({name: bindparam(f"new_{name}") for name in names})
        )
        rows = [
            {"the_key": item.key, "seen": item.changes, **{f"new_{name}": getattr(item, name) for name in names}}
            for item in items
        ]
        await self._tx.execute(statement, rows)

    async def get(self, key: str) -> ManagedRoom | None:
        """One room by its key."""
        row = (await self._tx.execute(select(room).where(room.c.key == key))).one_or_none()
        return None if row is None else room_of(row)

    async def by_room_ids(self, room_ids: Sequence[str]) -> dict[str, ManagedRoom]:
        """The managed rooms among ``room_ids``, by Matrix room id."""
        rows = await self._tx.execute(select(room).where(room.c.room_id.in_(room_ids)))
        return {row.room_id: room_of(row) for row in rows}

    async def of_engagement(self, engagement_id: str) -> list[ManagedRoom]:
        """The rooms of an engagement, its Space first."""
        statement = select(room).where(room.c.engagement == engagement_id).order_by(room.c.position)
        return [room_of(row) for row in await self._tx.execute(statement)]

    async def next_position(self, engagement_id: str) -> int:
        """The place behind the last room of an engagement."""
        last = await self._tx.scalar(select(func.max(room.c.position)).where(room.c.engagement == engagement_id))
        return 0 if last is None else int(last) + 1

    async def page(self, *, after: tuple[str, int], limit: int) -> list[ManagedRoom]:
        """Up to ``limit`` rooms in the order of (engagement, position), from behind ``after`` on."""
        place = tuple_(room.c.engagement, room.c.position)
        statement = select(room).where(place > after).order_by(room.c.engagement, room.c.position).limit(limit)
        return [room_of(row) for row in await self._tx.execute(statement)]

    async def room_ids(self) -> list[str]:
        """The Matrix ids of every managed room that exists."""
        statement = select(room.c.room_id).where(room.c.room_id.is_not(None)).order_by(room.c.room_id)
        return [room_id for room_id in await self._tx.scalars(statement) if room_id is not None]


def _engagement_row(item: Engagement) -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind.value,
        "partner": item.partner,
        "template": item.template,
        "team": item.team,
        "status": item.status.value,
        "opened_at": item.opened_at,
        "opened_by": item.opened_by,
        "closed_at": item.closed_at,
    }


def _engagement(row: Row[Any]) -> Engagement:
    values = row._asdict()
    return Engagement(
        **{**values, "kind": EngagementKind(values["kind"]), "status": EngagementStatus(values["status"])}
    )


def _room_row(item: ManagedRoom) -> dict[str, Any]:
    return {
        "key": item.key,
        "engagement": item.engagement,
        "kind": item.kind.value,
        "position": item.position,
        "room_id": item.room_id,
        "settled": item.settled,
        "problem": item.problem,
        "attempts": item.attempts,
        "retry_at": item.retry_at,
        "changes": item.changes,
        "asked_at": item.asked_at,
        "due_at": item.due_at,
        "stuck_since": item.stuck_since,
        "waiting": item.waiting,
    }


def room_of(row: Row[Any]) -> ManagedRoom:
    """The room in a row of its table."""
    values = row._asdict()
    return ManagedRoom(**{**values, "kind": RoomKind(values["kind"])})
