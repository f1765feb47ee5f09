"""SQL of committees, on an open connection; the caller owns the transaction."""

from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from spaces.committee import Committee, Declared, LateMembers, Member, Phase, Vendor
from spaces.tables import committee, committee_member, committee_vendor, engagement, room

_CHANGING = ("phase", "pitch_at", "clear_at", "decided_at", "winner", "standstill_until")


class CommitteeStore:
    """Committees with their members and vendors."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    async def add(self, item: Committee) -> None:
        """Store a new committee; its engagement and rooms are there."""
        fixed = {"id": item.id, "title": item.title, "chair": item.chair, "contact": item.contact}
        fixed["late_members"] = item.late_members.value
        await self._tx.execute(insert(committee).values(**fixed, **_changing(item)))
        await self._save_parts(item)

    async def save(self, item: Committee) -> None:
        """Store what changed of a committee."""
        await self._tx.execute(
            update(committee).where(committee.c.id == item.id).values(chair=item.chair, **_changing(item))
        )
        await self._save_parts(item)

    async def _save_parts(self, item: Committee) -> None:
        members = [
            {
                "committee": item.id,
                "person": member.person,
                "user_id": member.user_id,
                "declared": None if member.declared is None else member.declared.value,
                "declared_at": member.declared_at,
            }
            for member in item.members
        ]
        statement = self._dialect.insert(committee_member)
        changes = {name: statement.excluded[name] for name in ("declared", "declared_at")}
        keys = ["committee", "person"]
        await self._tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), members)
        left = [member.person for member in item.members]
        gone = and_(committee_member.c.committee == item.id, committee_member.c.person.not_in(left))
        await self._tx.execute(delete(committee_member).where(gone))
        vendors = [
            {"committee": item.id, "company": vendor.company, "pitch": vendor.pitch, "debrief": vendor.debrief}
            for vendor in item.vendors
        ]
        if vendors:
            found = self._dialect.insert(committee_vendor)
            debrief = {"debrief": found.excluded["debrief"]}
            await self._tx.execute(
                found.on_conflict_do_update(index_elements=["committee", "company"], set_=debrief), vendors
            )

    async def get(self, committee_id: str, *, lock: bool = False) -> Committee | None:
        """One committee; ``lock`` keeps others from changing it until the transaction ends."""
        statement = select(committee, engagement.c.partner).join(engagement, engagement.c.id == committee.c.id)
        statement = statement.where(committee.c.id == committee_id)
        row = (await self._tx.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else await self._whole(row)

    async def page(self, *, after: str, limit: int, member: str | None = None) -> list[Committee]:
        """Up to ``limit`` committees in the order of their ids, from behind ``after`` on, of one member where asked."""
        statement = select(committee, engagement.c.partner).join(engagement, engagement.c.id == committee.c.id)
        if member is not None:
            own = select(committee_member.c.committee).where(committee_member.c.person == member)
            statement = statement.where(committee.c.id.in_(own))
        rows = await self._tx.execute(statement.where(committee.c.id > after).order_by(committee.c.id).limit(limit))
        return [await self._whole(row) for row in rows.all()]

    async def due(self, now: Millis) -> list[str]:
        """The ids of committees whose next phase has begun by time and is not recorded yet."""
        columns = committee.c
        begun = and_(columns.phase == Phase.OPEN.value, columns.pitch_at <= now)
        cleared = and_(columns.phase == Phase.PITCH.value, columns.clear_at <= now)
        return list(await self._tx.scalars(select(columns.id).where(or_(begun, cleared)).order_by(columns.id)))

    async def _whole(self, row: Row[Any]) -> Committee:
        keys = select(room.c.key).where(room.c.engagement == row.id, room.c.position < 2).order_by(room.c.position)
        space, deliberation = await self._tx.scalars(keys)
        members = select(committee_member).where(committee_member.c.committee == row.id)
        vendors = select(committee_vendor).where(committee_vendor.c.committee == row.id)
        return Committee(
            id=row.id,
            title=row.title,
            buyer=row.partner,
            chair=row.chair,
            contact=row.contact,
            space=space,
            deliberation=deliberation,
            late_members=LateMembers(row.late_members),
            members=tuple(
                Member(
                    person=item.person,
                    user_id=item.user_id,
                    declared=None if item.declared is None else Declared(item.declared),
                    declared_at=item.declared_at,
                )
                for item in await self._tx.execute(members.order_by(committee_member.c.person))
            ),
            vendors=tuple(
                Vendor(company=item.company, pitch=item.pitch, debrief=item.debrief)
                for item in await self._tx.execute(vendors.order_by(committee_vendor.c.company))
            ),
            phase=Phase(row.phase),
            **{name: getattr(row, name) for name in _CHANGING if name != "phase"},
        )


def _changing(item: Committee) -> dict[str, Any]:
    return {**{name: getattr(item, name) for name in _CHANGING}, "phase": item.phase.value}
