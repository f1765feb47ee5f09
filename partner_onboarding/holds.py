"""Legal holds: placed on a partnership, committee or person, lifted again. A change and its entry are one transaction.

While a hold stands, nothing that it covers is taken back or deleted: the guard refuses it from the charters' and the
person's documents, which say ``held``.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import Clock
from config.db import Database
from config.errors import ConflictError, InvalidInputError, NotFoundError
from partner_onboarding.hold_store import Hold, HoldStore
from partner_onboarding.store import PersonStore
from spaces.store import DocumentStore, EngagementStore, RoomStore


class HoldService:
    """What compliance officers do with holds."""

    def __init__(self, db: Database, inbox: Inbox, clock: Clock, *, host: str, new_id: Callable[[str], str]) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._host = host
        self._new_id = new_id

    async def place(self, *, partnership: str | None, person: str | None, reason: str, actor: str) -> Hold:
        """Begin a hold on a partnership or committee, open or closed, or on a person, by id, address or account.

        ``partnership`` is the id of either of the two.

        Raises:
            InvalidInputError: Not exactly one of the two is named.
            NotFoundError: There is no such partnership, committee or person.
        """
        if (partnership is None) == (person is None):
            raise InvalidInputError(
                "a hold covers a partnership, a committee or a person: name one of them", field="partnership"
            )
        async with self._db.begin() as tx:
            hold = Hold(
                id=self._new_id("hld"),
                partnership=partnership,
                person=None if person is None else await self._person_id(tx, person),
                reason=reason,
                placed_at=self._clock(),
                placed_by=actor,
            )
            await HoldStore(tx).add(hold)
            companies = await self._spread(tx, hold)
            await self._inbox.put(tx, _entry("hold.placed", hold, reason, actor, companies))
        return hold

    async def lift(self, hold_id: str, *, reason: str, actor: str) -> Hold:
        """End a hold; what another hold covers too stays held.

        Raises:
            NotFoundError: No such hold.
            ConflictError: It was lifted already.
        """
        async with self._db.begin() as tx:
            before = await HoldStore(tx).get(hold_id)
            if before is None:
                raise NotFoundError(f"no hold {hold_id!r}", hint="conclave hold list")
            if before.lifted_at is not None:
                raise ConflictError(f"{hold_id} was lifted already", hint="conclave hold list")
            after = replace(before, lifted_at=self._clock(), lifted_by=actor)
            await HoldStore(tx).save(after)
            companies = await self._spread(tx, after)
            await self._inbox.put(tx, _entry("hold.lifted", after, reason, actor, companies))
        return after

    async def page(self, *, after: str, limit: int) -> list[Hold]:
        """Up to ``limit`` holds in the order of their ids, from behind ``after`` on."""
        async with self._db.read() as connection:
            return await HoldStore(connection).page(after=after, limit=limit)

    async def _person_id(self, tx: AsyncConnection, reference: str) -> str:
        found = await PersonStore(tx).find(reference)
        if found is None:
            raise NotFoundError(f"no person {reference!r}", hint="conclave person list")
        return found.id

    async def _spread(self, tx: AsyncConnection, hold: Hold) -> tuple[str, ...]:
        """Have the documents say what holds there are now; returns the companies that it concerns."""
        held = await HoldStore(tx).covers(partnership=hold.partnership, person=hold.person)
        if hold.partnership is not None:
            return await self._spread_rooms(tx, hold.partnership, held=held)
        return await self._spread_person(tx, str(hold.person), held=held)

    async def _spread_rooms(self, tx: AsyncConnection, partnership: str, *, held: bool) -> tuple[str, ...]:
        engagement = await EngagementStore(tx).get(partnership)
        if engagement is None:
            raise NotFoundError(
                f"no partnership or committee {partnership!r}",
                hint="conclave partnership list, or conclave committee list",
            )
        charters = await DocumentStore(tx).charters(
            [room.key for room in await RoomStore(tx).of_engagement(partnership)]
        )
        for charter in charters.values():
            await DocumentStore(tx).put(replace(charter, held=held), self._clock())
        return (self._host, engagement.partner)

    async def _spread_person(self, tx: AsyncConnection, person_id: str, *, held: bool) -> tuple[str, ...]:
        store = PersonStore(tx)
        found = await store.get(person_id)
        if found is None:
            raise NotFoundError(f"no person {person_id!r}", hint="conclave person list")
        after = replace(found, held=held)
        await store.save(after)
        record = after.record(await store.teams(person_id))
        if record is not None:
            await DocumentStore(tx).put(record, self._clock())
        return (found.company,)


def _entry(kind: str, hold: Hold, reason: str, actor: str, companies: tuple[str, ...]) -> Draft:
    target = {"partnership": hold.partnership} if hold.person is None else {"person": hold.person}
    return Draft(
        kind=kind,
        actor=person_actor(actor),
        engagement=hold.partnership,
        companies=companies,
        data={"hold": hold.id, "reason": reason, **target},
    )
