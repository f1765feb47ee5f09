"""SQL of published answers, on an open connection; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from config.clock import Millis
from spaces.answer import PATIENCE, Answer, Delivery, Errand, VendorDelivery
from spaces.committee import Committee, Phase
from spaces.committee_entries import draft
from spaces.tables import answer_delivery, committee_answer, observed_member, room

_FIELDS = ("id", "committee", "number", "question", "answer", "published_by", "published_at", "key")


class AnswerStore:
    """Answers, and how each fares in each vendor's room."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def next_number(self, committee_id: str) -> int:
        """The number of the next answer of a committee, which the caller has locked."""
        columns = committee_answer.c
        last = await self._tx.scalar(select(func.max(columns.number)).where(columns.committee == committee_id))
        return 1 if last is None else int(last) + 1

    async def add(self, item: Answer) -> None:
        """Store a new answer with its deliveries."""
        await self._tx.execute(insert(committee_answer).values({name: getattr(item, name) for name in _FIELDS}))
        rows = [{"answer": item.id, "attempts": 0, "retry_at": 0, **_delivery_row(one)} for one in item.deliveries]
        await self._tx.execute(insert(answer_delivery), rows)

    async def get(self, answer_id: str) -> Answer | None:
        """One answer."""
        return await self._one(committee_answer.c.id == answer_id)

    async def by_key(self, key: str) -> Answer | None:
        """The answer that was asked for under this key."""
        return await self._one(committee_answer.c.key == key)

    async def _one(self, where: Any) -> Answer | None:
        rows = (await self._tx.execute(select(committee_answer).where(where))).all()
        found = await self._whole(rows)
        return found[0] if found else None

    async def page(self, committee_id: str, *, after: int, limit: int) -> list[Answer]:
        """Up to ``limit`` answers of a committee in their order, from behind number ``after`` on."""
        columns = committee_answer.c
        where = (columns.committee == committee_id, columns.number > after)
        statement = select(committee_answer).where(*where).order_by(columns.number).limit(limit)
        return await self._whole((await self._tx.execute(statement)).all())

    async def _whole(self, rows: Sequence[Row[Any]]) -> list[Answer]:
        where = answer_delivery.c.answer.in_([row.id for row in rows])
        deliveries: dict[str, list[VendorDelivery]] = {}
        for row in await self._tx.execute(select(answer_delivery).where(where).order_by(answer_delivery.c.vendor)):
            deliveries.setdefault(row.answer, []).append(_delivery(row))
        return [
            Answer(**{name: getattr(row, name) for name in _FIELDS}, deliveries=tuple(deliveries.get(row.id, ())))
            for row in rows
        ]

    # --- what is still to be said

    async def errands(self, helper: str, now: Millis) -> list[Errand]:
        """The first answer that waits for each vendor's room, where it is due; ``inside``: the helper is there."""
        there = observed_member.alias()
        is_there = (there.c.room_id == room.c.room_id) & (there.c.user_id == helper)
        statement = (
            select(answer_delivery, room.c.room_id, room.c.problem.label("obstacle"), there.c.membership)
            .join(committee_answer, committee_answer.c.id == answer_delivery.c.answer)
            .join(room, room.c.key == answer_delivery.c.pitch)
            .outerjoin(there, is_there)
            .where(answer_delivery.c.state == Delivery.WAITING.value, committee_answer.c.published_at > now - PATIENCE)
            .order_by(committee_answer.c.committee, committee_answer.c.number, answer_delivery.c.vendor)
        )
        first: dict[str, Row[Any]] = {}
        for row in await self._tx.execute(statement):
            first.setdefault(row.pitch, row)
        due = [row for row in first.values() if row.retry_at <= now]
        answers = {row.answer: await self.get(row.answer) for row in due}
        return [
            Errand(
                answer=answer,
                delivery=_delivery(row),
                room_id=row.room_id,
                inside=row.membership == "join",
                obstacle=row.obstacle or "",
                attempts=row.attempts,
            )
            for row in due
            if (answer := answers[row.answer]) is not None
        ]

    async def waits(self, pitch: str) -> bool:
        """Whether anything is still to be said in a vendor's room."""
        columns = answer_delivery.c
        where = (columns.pitch == pitch, columns.state == Delivery.WAITING.value)
        return await self._tx.scalar(select(columns.answer).where(*where).limit(1)) is not None

    async def unsaid(self, committee_id: str) -> list[tuple[str, VendorDelivery]]:
        """(answer id, delivery) of all that waits in a committee's rooms."""
        statement = (
            select(answer_delivery)
            .join(committee_answer, committee_answer.c.id == answer_delivery.c.answer)
            .where(committee_answer.c.committee == committee_id, answer_delivery.c.state == Delivery.WAITING.value)
            .order_by(committee_answer.c.number, answer_delivery.c.vendor)
        )
        return [(row.answer, _delivery(row)) for row in await self._tx.execute(statement)]

    async def stale(self, now: Millis) -> list[tuple[str, str, VendorDelivery]]:
        """(committee id, answer id, delivery) of all that waited too long, the oldest first."""
        columns = committee_answer.c
        waiting = answer_delivery.c.state == Delivery.WAITING.value
        statement = (
            select(answer_delivery, columns.committee)
            .join(committee_answer, columns.id == answer_delivery.c.answer)
            .where(waiting, columns.published_at <= now - PATIENCE)
            .order_by(columns.committee, columns.number, answer_delivery.c.vendor)
        )
        return [(row.committee, row.answer, _delivery(row)) for row in await self._tx.execute(statement)]

    async def put_off(self, answer_id: str, vendor: str, problem: str, until: Millis) -> None:
        """Have it looked at again at ``until``."""
        columns = answer_delivery.c
        values = {"attempts": columns.attempts + 1, "retry_at": until, "problem": problem}
        await self._update(answer_id, vendor, values, (Delivery.WAITING,))

    async def conclude(self, answer_id: str, item: VendorDelivery, *before: Delivery) -> bool:
        """Store how it ended, where it was in one of the states ``before``; whether it was."""
        return await self._update(answer_id, item.vendor, _delivery_row(item), before)

    async def _update(self, answer_id: str, vendor: str, values: dict[str, Any], states: Sequence[Delivery]) -> bool:
        columns = answer_delivery.c
        state = columns.state.in_([one.value for one in states])
        statement = update(answer_delivery).where(columns.answer == answer_id, columns.vendor == vendor, state)
        return (await self._tx.execute(statement.values(values))).rowcount == 1


async def drop_unsaid(tx: AsyncConnection, committee: Committee, now: Millis) -> list[Draft]:
    """Drop what waits to be said in rooms in which nothing is said any more; the entries that tell of it."""
    if committee.phase in (Phase.OPEN, Phase.PITCH):
        return []
    store, drafts = AnswerStore(tx), []
    for answer_id, item in await store.unsaid(committee.id):
        reason = "the room was cleared before it was known to be said"
        dropped = replace(item, state=Delivery.DROPPED, at=now, problem=reason)
        await store.conclude(answer_id, dropped, Delivery.WAITING)
        drafts.append(ended("answer.dropped", committee, answer_id, item.vendor, reason=reason))
    return drafts


def ended(kind: str, committee: Committee, answer_id: str, vendor: str, **data: str) -> Draft:
    """The entry of how an answer fared with one vendor."""
    entry = draft(kind, committee, "", {"answer": answer_id, "vendor": vendor, **data}, vendor=vendor)
    return replace(entry, actor=system_actor("hub"))


def _delivery(row: Row[Any]) -> VendorDelivery:
    return VendorDelivery(
        vendor=row.vendor,
        pitch=row.pitch,
        tag=row.tag,
        state=Delivery(row.state),
        at=row.at,
        event_id=row.event_id,
        problem=row.problem,
    )


def _delivery_row(item: VendorDelivery) -> dict[str, Any]:
    return {
        "vendor": item.vendor,
        "pitch": item.pitch,
        "tag": item.tag,
        "state": item.state.value,
        "at": item.at,
        "event_id": item.event_id,
        "problem": item.problem,
    }
