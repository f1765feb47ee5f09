"""Committees: opened, moved from phase to phase, closed. A change and its ledger entries are one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, person_actor, system_actor
from audit.inbox import Inbox
from config.clock import Clock, Millis
from config.db import Database
from config.errors import ConclaveError, InvalidInputError, NotFoundError
from spaces.answer_store import drop_unsaid
from spaces.committee import Committee, Declared, LateMembers, Member, Phase, Vendor, charters_of, kept, keys_of
from spaces.committee_companies import Attendance, attendance_of, demand_company, demand_free, demand_guest, names_of
from spaces.committee_entries import Moment, cleared, draft, engagement_of, opened
from spaces.committee_seats import demand_impartial
from spaces.committee_store import CommitteeStore
from spaces.committee_story import reuses, story
from spaces.model import ManagedRoom, RoomView
from spaces.observed import ObservedStore
from spaces.service import NewKey
from spaces.store import DocumentStore, EngagementStore, RoomStore
from spaces.walls import check_walls

TICK_S = 0.5

log = structlog.get_logger()


class CommitteeService:
    """What partner managers and chairs do with committees."""

    def __init__(
        self, db: Database, inbox: Inbox, clock: Clock, *, room_version: str, bot: str, host: str, new_key: NewKey
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._room_version = room_version
        self._bot = bot
        self._host = host
        self._new_key = new_key

    # --- beginning and end

    async def open(
        self,
        committee_id: str,
        *,
        title: str,
        buyer: str,
        chair: str,
        members: Sequence[Member],
        actor: str,
        contact: str,
        late_members: LateMembers = LateMembers.FROM_JOINING,
    ) -> Committee:
        """Begin a committee of ``buyer``; ``chair`` is one of the ``members``. Rooms open to whoever declared.

        Raises:
            InvalidInputError: The chair is no member.
            NotFoundError: No such company.
            ConflictError: The id is taken, or the company is suspended, ended, or on a homeserver of its own.
        """
        if chair not in {member.person for member in members}:
            raise InvalidInputError("the chair is one of the members", field="chair")
        now = self._clock()
        async with self._db.begin() as tx:
            await demand_company(tx, buyer, now)
            await demand_free(tx, committee_id)
            made = Committee(
                id=committee_id,
                title=title,
                buyer=buyer,
                chair=chair,
                contact=contact,
                space=self._new_key(),
                deliberation=self._new_key(),
                members=tuple(members),
                late_members=late_members,
            )
            await self._add(tx, made, now, actor)
        return made

    async def close(self, committee_id: str, *, actor: str, reason: str) -> Committee:
        """End a committee: people leave its rooms, the record stays.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.close`.
        """

        def close(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.close(now)
            return after, [draft("committee.closed", after, actor, {"reason": reason})]

        return await self.change(committee_id, close, by=actor)

    # --- vendors, members, times

    async def add_vendor(self, committee_id: str, company: str, *, actor: str) -> Committee:
        """Ask a company to pitch; its people come into a room of their own when the pitches begin.

        Raises:
            NotFoundError: No such company.
            ConflictError: It runs this hub, where its people with roles see every committee.
            WallError: A wall stands between it and another company of the committee.
            ConclaveError: See :meth:`spaces.committee.Committee.add_vendor`.
        """
        demand_guest(company, self._host)
        async with self._db.begin() as tx:
            before, now = await self._locked(tx, committee_id)
            demand_impartial(before, actor)
            after = before.add_vendor(Vendor(company=company, pitch=self._new_key()))
            await demand_company(tx, company, now)
            await check_walls(tx, {after.buyer, *(vendor.company for vendor in after.vendors)})
            data = {"vendor": company, "pitch": after.vendor(company).pitch}
            await self._save(tx, after, now, [draft("vendor.added", after, actor, data, vendor=company)])
        return after

    async def add_member(self, committee_id: str, member: Member, *, actor: str) -> Committee:
        """Take one more of the buyer's people in; what they get of before is as the committee was opened.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.add_member`.
        """

        def add(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            del now
            after = before.add_member(member)
            return after, [draft("committee.enlarged", after, actor, {"person": member.person})]

        return await self.change(committee_id, add, by=actor)

    async def declare(self, committee_id: str, *, person: str, conflict: bool, statement: str) -> Committee:
        """Record what a member says about conflicts of interest; who has one is kept out of the committee's rooms.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.declare`.
        """

        def declare(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.declare(person, Declared.CONFLICT if conflict else Declared.NONE, now)
            entry = draft("committee.declared", after, person, {"person": person, "conflict": conflict})
            return after, [replace(entry, disclose={"statement": statement} if statement else {})]

        return await self.change(committee_id, declare, by=None)

    async def schedule(
        self, committee_id: str, *, pitch_at: Millis | None, clear_at: Millis | None, actor: str
    ) -> Committee:
        """Set when vendors come in and must be out; the guard holds to it while the hub is down, too.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.schedule`.
        """

        def schedule(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.schedule(pitch_at=pitch_at, clear_at=clear_at, now=now)
            data = {"pitch_at": after.pitch_at, "clear_at": after.clear_at}
            return after, [draft("committee.scheduled", after, actor, data)]

        return await self.change(committee_id, schedule, by=actor)

    # --- phases

    async def start(self, committee_id: str, *, actor: str) -> Committee:
        """Let the vendors into their pitch rooms, now.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.start`.
        """

        def start(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.start(now)
            return after, [draft("committee.started", after, actor, {"pitch_at": after.pitch_at, "timed": False})]

        return await self.change(committee_id, start, by=actor)

    async def clear(self, committee_id: str, *, actor: str) -> Committee:
        """Clear the room: every vendor must leave, now.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.clear`.
        """

        def clear(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.clear(now)
            return after, cleared(after, person_actor(actor), timed=False)

        return await self.change(committee_id, clear, by=actor)

    async def decide(self, committee_id: str, *, winner: str, standstill_ms: Millis, actor: str) -> Committee:
        """Choose a vendor; for ``standstill_ms`` from now on the committee cannot be closed.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.decide`.
        """

        def decide(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            after = before.decide(winner, now, standstill_until=now + standstill_ms if standstill_ms else None)
            data = {"winner": winner, "standstill_until": after.standstill_until}
            return after, [draft("committee.decided", after, actor, data)]

        return await self.change(committee_id, decide, by=actor)

    async def debrief(self, committee_id: str, company: str, *, actor: str) -> Committee:
        """Open a room for the buyers and one vendor, after the decision.

        Raises:
            ConclaveError: See :meth:`spaces.committee.Committee.debrief`.
        """
        key = self._new_key()

        def debrief(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
            del now
            after = before.debrief(company, key)
            data = {"vendor": company, "room": key}
            return after, [draft("vendor.debriefed", after, actor, data, vendor=company)]

        return await self.change(committee_id, debrief, by=actor)

    # --- looking

    async def find(self, committee_id: str) -> Committee | None:
        """One committee, as time has made it."""
        async with self._db.read() as connection:
            found = await CommitteeStore(connection).get(committee_id)
        return None if found is None else found.at(self._clock())

    async def timeline(self, committee_id: str) -> list[Moment]:
        """What happened to a committee, as the ledger has it.

        Raises:
            NotFoundError: No such committee.
        """
        async with self._db.read() as connection:
            return await story(connection, await self._found(connection, committee_id))

    async def findings(self, committee_id: str) -> int:
        """How many messages of its rooms came with a session that somebody may hold the key of who left."""
        async with self._db.read() as connection:
            return await reuses(connection, committee_id)

    async def get(self, committee_id: str) -> tuple[Committee, list[RoomView]]:
        """One committee, as time has made it, and its rooms, the Space first.

        Raises:
            NotFoundError: No such committee.
        """
        async with self._db.read() as connection:
            found = await self._found(connection, committee_id)
            views = [await self._view(connection, room) for room in await RoomStore(connection).of_engagement(found.id)]
        return found.at(self._clock()), views

    async def attendance(self, committee_id: str) -> list[Attendance]:
        """Who of each vendor may come, and who is in.

        Raises:
            NotFoundError: No such committee.
        """
        async with self._db.read() as connection:
            return await attendance_of(connection, await self._found(connection, committee_id))

    async def page(self, *, after: str, limit: int, member: str | None = None) -> list[Committee]:
        """Up to ``limit`` committees in the order of their ids, from behind ``after`` on, of one member where asked."""
        async with self._db.read() as connection:
            found = await CommitteeStore(connection).page(after=after, limit=limit, member=member)
        return [item.at(self._clock()) for item in found]

    # --- how it is changed

    async def change(
        self, committee_id: str, change: Callable[[Committee, Millis], tuple[Committee, list[Draft]]], *, by: str | None
    ) -> Committee:
        """Do what ``change`` makes of the committee and of now, in one transaction with the entries that it returns.

        ``by`` is who acts, and must have no conflict of interest; ``None`` where they speak for themselves.

        Raises:
            InterestError: They have one.
            ConclaveError: No such committee, or what ``change`` raises.
        """
        async with self._db.begin() as tx:
            before, now = await self._locked(tx, committee_id)
            if by is not None:
                demand_impartial(before, by)
            after, drafts = change(before, now)
            await self._save(tx, after, now, drafts)
        return after

    # --- time

    async def run(self, changed: Callable[[str], None]) -> None:
        """Record each phase that begins by time, until cancelled; the guard holds to the times by itself."""
        while True:
            try:
                for committee_id in await self.tick():
                    changed(committee_id)
            except ConclaveError as error:
                log.warning("committees_wait", reason=error.message)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> list[str]:
        """Record the phases that have begun by time; the ids of their committees."""
        async with self._db.read() as connection:
            due = await CommitteeStore(connection).due(self._clock())
        for committee_id in due:
            async with self._db.begin() as tx:
                await self._locked(tx, committee_id)
        return due

    # --- how it is done

    async def _locked(self, tx: AsyncConnection, committee_id: str) -> tuple[Committee, Millis]:
        """The committee, nobody else's to change, and the time; phases that began by time are recorded first.

        The clock is read once the lock is held: who waited for it may have waited past the end of a phase.
        """
        before = await CommitteeStore(tx).get(committee_id, lock=True)
        if before is None:
            raise _unknown(committee_id)
        now = self._clock()
        after = before.at(now)
        if after.phase is not before.phase:
            drafts = []
            if before.phase is Phase.OPEN:
                data = {"pitch_at": after.pitch_at, "timed": True}
                drafts.append(replace(draft("committee.started", after, "", data), actor=system_actor("hub")))
            if after.phase is Phase.DELIBERATION:
                drafts += cleared(after, system_actor("hub"), timed=True)
            await self._save(tx, after, now, drafts)
        return after, now

    async def _add(self, tx: AsyncConnection, made: Committee, now: Millis, actor: str) -> None:
        await EngagementStore(tx).add(engagement_of(made, now, actor))
        await self._enter(tx, made)
        await CommitteeStore(tx).add(made)
        await self._put_charters(tx, made, now)
        await self._inbox.put(tx, opened(made, actor))

    async def _save(self, tx: AsyncConnection, after: Committee, now: Millis, drafts: Sequence[Draft]) -> None:
        await self._enter(tx, after)
        await CommitteeStore(tx).save(after)
        if after.phase is Phase.CLOSED:
            stored = await EngagementStore(tx).get(after.id)
            if stored is None:
                raise _unknown(after.id)
            await EngagementStore(tx).save(stored.close(now))
        await self._put_charters(tx, after, now)
        await self._inbox.put(tx, *drafts, *await drop_unsaid(tx, after, now))

    async def _enter(self, tx: AsyncConnection, committee: Committee) -> None:
        """The rooms that are new."""
        store = RoomStore(tx)
        known = {room.key for room in await store.of_engagement(committee.id)}
        position = await store.next_position(committee.id)
        fresh = [(key, kind) for key, kind in keys_of(committee) if key not in known]
        if fresh:
            await store.add(
                [
                    ManagedRoom(key=key, engagement=committee.id, kind=kind, position=position + at)
                    for at, (key, kind) in enumerate(fresh)
                ]
            )

    async def _put_charters(self, tx: AsyncConnection, committee: Committee, now: Millis) -> None:
        """The charters that differ from those that are stored."""
        documents = DocumentStore(tx)
        wanted = charters_of(committee, await names_of(tx, committee), self._room_version)
        stored = await documents.charters([charter.key for charter in wanted])
        for charter in wanted:
            before = stored.get(charter.key)
            after = charter if before is None else kept(charter, before, committee)
            if after != before:
                await documents.put(after, now)

    async def _found(self, connection: AsyncConnection, committee_id: str) -> Committee:
        found = await CommitteeStore(connection).get(committee_id)
        if found is None:
            raise _unknown(committee_id)
        return found

    async def _view(self, connection: AsyncConnection, room: ManagedRoom) -> RoomView:
        charter = await DocumentStore(connection).charter(room.key)
        if charter is None:
            raise NotFoundError(f"the room {room.key} has no charter")
        joined = await ObservedStore(connection).joined(room.room_id) if room.room_id else []
        return RoomView(room=room, charter=charter, members=sum(user != self._bot for user in joined))


def _unknown(committee_id: str) -> NotFoundError:
    return NotFoundError(f"no committee {committee_id!r}", hint="conclave committee list")
