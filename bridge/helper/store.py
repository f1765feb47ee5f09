"""SQL of the helper, on an open connection; the caller owns the transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, delete, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.tables import helper_mail, helper_notice
from config.clock import Millis
from partner_onboarding.tables import company, person
from spaces.tables import engagement, observed_member, room

PREFIX = "helper."
"""The id of a person's engagement with the helper is this and the person's id: no company's id has a dot."""


class MailKind(StrEnum):
    """What lies in the helper's box."""

    TO_DEVICE = "to-device"
    DEVICES = "devices"
    GREETING = "greeting"
    MESSAGE = "message"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Something that the helper has to deal with; ``tag`` makes a repeated answer the same event."""

    kind: MailKind
    user_id: str
    body: Mapping[str, Any]
    tag: str
    at: Millis
    room_id: str | None = None
    id: int = 0
    attempts: int = 0
    retry_at: Millis = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Somebody who enrolled and has no chat with the helper yet."""

    person: str
    company: str
    user_id: str


class HelperStore:
    """The helper's box, and what it told whom when."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._dialect = postgresql if tx.dialect.name == "postgresql" else sqlite

    # --- the box

    async def put(self, items: Sequence[Mail]) -> None:
        """Add ``items``, in order."""
        if items:
            await self._tx.execute(insert(helper_mail), [_row(item) for item in items])

    async def due(self, now: Millis, limit: int) -> list[Mail]:
        """Up to ``limit`` things to deal with now, the oldest first."""
        statement = select(helper_mail).where(helper_mail.c.retry_at <= now).order_by(helper_mail.c.id).limit(limit)
        return [_mail(row) for row in await self._tx.execute(statement)]

    async def put_off(self, mail: Mail, until: Millis) -> None:
        """Have ``mail`` looked at again at ``until``."""
        values = {"attempts": helper_mail.c.attempts + 1, "retry_at": until}
        await self._tx.execute(update(helper_mail).where(helper_mail.c.id == mail.id).values(**values))

    async def hurry(self, user_id: str) -> None:
        """Have everything that concerns a person looked at now."""
        await self._tx.execute(update(helper_mail).where(helper_mail.c.user_id == user_id).values(retry_at=0))

    async def remove(self, ids: Sequence[int]) -> None:
        """Drop what was dealt with."""
        await self._tx.execute(delete(helper_mail).where(helper_mail.c.id.in_(ids)))

    async def counts(self) -> dict[str, int]:
        """How many of each kind lie in the box."""
        statement = select(helper_mail.c.kind, func.count()).group_by(helper_mail.c.kind)
        return {row[0]: row[1] for row in await self._tx.execute(statement)}

    # --- what was said

    async def notice(self, user_id: str, code: str, now: Millis, every: Millis) -> bool:
        """Note that ``code`` is told to a person now; false when that was so less than ``every`` ago."""
        statement = self._dialect.insert(helper_notice).values(user_id=user_id, code=code, at=now)
        changed = await self._tx.execute(
            statement.on_conflict_do_update(
                index_elements=["user_id", "code"], set_={"at": now}, where=helper_notice.c.at <= now - every
            )
        )
        return changed.rowcount == 1

    # --- people and rooms

    async def newcomers(self, limit: int) -> list[Newcomer]:
        """Up to ``limit`` enrolled people without a chat; those with an account on another server get none."""
        missing = ~select(engagement.c.id).where(engagement.c.id == literal(PREFIX).concat(person.c.id)).exists()
        here = person.c.company.in_(select(company.c.id).where(company.c.server.is_(None)))
        where = (person.c.user_id.is_not(None), ~person.c.suspended, here, missing)
        statement = select(person.c.id, person.c.company, person.c.user_id).where(*where).order_by(person.c.id)
        rows = await self._tx.execute(statement.limit(limit))
        return [Newcomer(person=row.id, company=row.company, user_id=row.user_id) for row in rows]

    async def chat_of(self, user_id: str, helper: str) -> str | None:
        """The room of a person's chat with the helper, when both are in it."""
        mine, its = observed_member.alias("mine"), observed_member.alias("its")
        statement = (
            select(room.c.room_id)
            .join(person, room.c.engagement == literal(PREFIX).concat(person.c.id))
            .join(mine, (mine.c.room_id == room.c.room_id) & (mine.c.user_id == user_id))
            .join(its, (its.c.room_id == room.c.room_id) & (its.c.user_id == helper))
            .where(person.c.user_id == user_id, mine.c.membership == "join", its.c.membership == "join")
        )
        return await self._tx.scalar(statement)

    async def rooms_of(self, user_id: str) -> list[str]:
        """The keys of the managed rooms that a person is in, their chats with the helper apart."""
        statement = (
            select(room.c.key)
            .join(observed_member, observed_member.c.room_id == room.c.room_id)
            .where(observed_member.c.user_id == user_id, observed_member.c.membership == "join")
            .where(~room.c.engagement.like(PREFIX + "%"))
            .order_by(room.c.engagement, room.c.position)
        )
        return list(await self._tx.scalars(statement))

    async def room_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """The Matrix ids of rooms, by key."""
        rows = await self._tx.execute(select(room.c.key, room.c.room_id).where(room.c.key.in_(keys)))
        return {row.key: row.room_id for row in rows}

    async def company_names(self, ids: Sequence[str]) -> dict[str, str]:
        """The names of companies, by id."""
        rows = await self._tx.execute(select(company.c.id, company.c.name).where(company.c.id.in_(ids)))
        return {row.id: row.name for row in rows}

    async def people_in(self, room_id: str) -> list[tuple[str, str]]:
        """(name, company's name) of everyone who is in a room, in order."""
        statement = (
            select(person.c.name, company.c.name.label("company"))
            .join(observed_member, observed_member.c.user_id == person.c.user_id)
            .join(company, company.c.id == person.c.company)
            .where(observed_member.c.room_id == room_id, observed_member.c.membership == "join")
            .order_by(company.c.name, person.c.name)
        )
        return [(row.name, row.company) for row in await self._tx.execute(statement)]


def _row(item: Mail) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "user_id": item.user_id,
        "room_id": item.room_id,
        "body": json.dumps(item.body),
        "tag": item.tag,
        "at": item.at,
        "attempts": 0,
        "retry_at": item.retry_at,
    }


def _mail(row: Row[Any]) -> Mail:
    values = row._asdict()
    return Mail(**{**values, "kind": MailKind(values["kind"]), "body": json.loads(values["body"])})
