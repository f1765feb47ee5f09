"""SQL of what is to be looked at: every change marks the rooms that it may concern, in its own transaction.

A mark counts a room's ``changes`` up and makes it due; a pass that ended before the mark was set does not lift it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.policy.records import Charter, CompanyRecord, PersonRecord, Standing
from spaces.tables import document, leaving, observed_member, room, room_admission, roster_team

NEVER: Millis = 2**62
PRESENT = ("join", "invite", "knock")


class DueStore:
    """Marks and finds what the reconciler has to look at, on an open connection."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    # --- what is wanted has changed

    async def charter_put(self, charter: Charter, now: Millis) -> None:
        """A charter was made or changed: note whom it admits, and look at its room."""
        await self._tx.execute(delete(room_admission).where(room_admission.c.room == charter.key))
        rows = [
            {"room": charter.key, "position": at, "company": item.company, "team": item.team, "person": item.person}
            for at, item in enumerate(charter.admits)
        ]
        if rows:
            await self._tx.execute(insert(room_admission), rows)
        await self._ask(room.c.key == charter.key, now)

    async def company_put(self, company: CompanyRecord, now: Millis) -> None:
        """A company was added or changed: look at every room that it may be in."""
        await self._ask(room.c.key.in_(_admitting(room_admission.c.company == company.company)), now)
        if company.standing is not Standing.ACTIVE:
            people = select(document.c.key).where(document.c.kind == "person", document.c.company == company.company)
            await self._leave(list(await self._tx.scalars(people)))

    async def person_put(self, person: PersonRecord, now: Millis) -> None:
        """A person enrolled or changed: look at the rooms that they may, or might before, be in, and those they are in.

        Rooms of other teams and companies are left alone.
        """
        table, columns = room_admission, roster_team.c
        before = await self._tx.scalars(select(columns.team).where(columns.user_id == person.user_id))
        teams = person.teams | set(before)
        await self._tx.execute(delete(roster_team).where(columns.user_id == person.user_id))
        rows = [{"user_id": person.user_id, "team": team, "company": person.company} for team in sorted(person.teams)]
        if rows:
            await self._tx.execute(insert(roster_team), rows)
        admitted = and_(
            table.c.company == person.company,
            or_(table.c.team.is_(None), table.c.team.in_(sorted(teams))),
            or_(table.c.person.is_(None), table.c.person == person.user_id),
        )
        there = room.c.room_id.in_(_rooms_of(person.user_id))
        await self._ask(or_(room.c.key.in_(_admitting(admitted)), there), now)
        if person.standing is not Standing.ACTIVE:
            await self._leave([person.user_id])

    async def _ask(self, where: ColumnElement[bool], now: Millis) -> None:
        await self._lock(where)
        changes = {"changes": room.c.changes + 1, "due_at": 0, "asked_at": now, "settled": False}
        await self._tx.execute(update(room).where(where).values(**changes))

    async def _leave(self, user_ids: Sequence[str]) -> None:
        if user_ids:
            rows = [{"user_id": user_id} for user_id in user_ids]
            await self._tx.execute(self._dialect.insert(leaving).on_conflict_do_nothing(), rows)

    # --- what is there has changed

    async def seen(self, room_ids: Collection[str]) -> None:
        """The homeserver has something new in these rooms."""
        if room_ids:
            await self._mark(room.c.room_id.in_(sorted(room_ids)))

    async def linked(self, engagement: str) -> None:
        """A room of the engagement came to be: the others and their Space name it."""
        await self._mark(room.c.engagement == engagement)

    async def _mark(self, where: ColumnElement[bool]) -> None:
        await self._lock(where)
        await self._tx.execute(update(room).where(where).values(changes=room.c.changes + 1, due_at=0))

    async def _lock(self, where: ColumnElement[bool]) -> None:
        """On PostgreSQL rows are locked in the order of their keys, so that two marks never wait for each other."""
        if self._dialect is postgresql:
            await self._tx.execute(select(room.c.key).where(where).order_by(room.c.key).with_for_update())

    # --- what is due

    async def due(self, now: Millis, limit: int, *, among: Sequence[str] | None = None) -> list[str]:
        """Up to ``limit`` engagements, of those ``among`` where given, with a room that is due, the longest first."""
        statement = select(room.c.engagement).where(room.c.due_at <= now).group_by(room.c.engagement)
        if among is not None:
            statement = statement.where(room.c.engagement.in_(among))
        return list(await self._tx.scalars(statement.order_by(func.min(room.c.due_at)).limit(limit)))

    async def next_due(self) -> Millis:
        """When the next room is due."""
        return int(await self._tx.scalar(select(func.min(room.c.due_at))) or NEVER)

    async def patrol(self, after: str, limit: int) -> list[str]:
        """Up to ``limit`` engagements in the order of their ids, from behind ``after`` on."""
        statement = select(room.c.engagement).where(room.c.engagement > after).distinct()
        return list(await self._tx.scalars(statement.order_by(room.c.engagement).limit(limit)))

    # --- people who must be nowhere

    async def strays(self, limit: int) -> list[tuple[str, str]]:
        """(room id, user id): people who were shut out and are in a room that is none of the managed ones."""
        unmanaged = ~select(room.c.key).where(room.c.room_id == observed_member.c.room_id).exists()
        statement = (
            select(observed_member.c.room_id, observed_member.c.user_id)
            .join(leaving, leaving.c.user_id == observed_member.c.user_id)
            .where(observed_member.c.membership.in_(PRESENT), unmanaged)
            .order_by(observed_member.c.room_id, observed_member.c.user_id)
            .limit(limit)
        )
        return [(row.room_id, row.user_id) for row in await self._tx.execute(statement)]


def _admitting(where: ColumnElement[bool]) -> Select[tuple[str]]:
    return select(room_admission.c.room).where(where)


def _rooms_of(user_id: str) -> Select[tuple[str]]:
    columns = observed_member.c
    return select(columns.room_id).where(columns.user_id == user_id, columns.membership.in_(PRESENT))
