"""Partnerships: opened, closed, looked at. A change and its ledger entry are one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import Clock, Millis
from config.db import Database
from config.errors import ConflictError, InvalidInputError, NotFoundError
from spaces.model import Engagement, EngagementKind, EngagementStatus, ManagedRoom, RoomView
from spaces.observed import ObservedStore
from spaces.policy.records import Admission, Charter, CompanyRecord, Recording, RoomKind, Standing
from spaces.store import DocumentStore, EngagementStore, RoomStore
from spaces.templates import Party, RoomTemplate, Template
from spaces.walls import check_walls

NewKey = Callable[[], str]


class PartnershipService:
    """What partner managers do with partnerships."""

    def __init__(
        self,
        db: Database,
        inbox: Inbox,
        clock: Clock,
        *,
        templates: Mapping[str, Template],
        host: str,
        room_version: str,
        bot: str,
        new_key: NewKey,
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._templates = templates
        self._host = host
        self._room_version = room_version
        self._bot = bot
        self._new_key = new_key

    async def open(self, partner: str, *, template: str, team: str, actor: str, contact: str) -> Engagement:
        """Begin a partnership of the host's ``team`` with ``partner``; provisioning follows.

        Raises:
            InvalidInputError: No such template, or the partner is the host itself.
            NotFoundError: No such company.
            ConflictError: The company is suspended or its contract over, or such a partnership is open.
            WallError: A wall stands between host and partner.
        """
        chosen = self._template(template)
        now = self._clock()
        async with self._db.begin() as tx:
            host, company = await self._companies(tx, partner, now)
            await check_walls(tx, {self._host, partner})
            engagement = Engagement(
                id=await self._free_id(tx, partner, template),
                kind=EngagementKind.PARTNERSHIP,
                partner=partner,
                template=template,
                team=team,
                status=EngagementStatus.OPEN,
                opened_at=now,
                opened_by=actor,
            )
            charters = self._charters(engagement, chosen, host, company, contact)
            await self._enter(tx, engagement, charters)
            data = {"template": template, "team": team, "rooms": [charter.key for charter in charters]}
            draft = self._draft("partnership.opened", engagement, actor, data)
            names = {f"room_name.{charter.key}": charter.name for charter in charters}
            await self._inbox.put(tx, replace(draft, disclose=names))
        return engagement

    @staticmethod
    async def _enter(tx: AsyncConnection, engagement: Engagement, charters: Sequence[Charter]) -> None:
        """The engagement, and what makes the reconciler set up its rooms."""
        await EngagementStore(tx).add(engagement)
        await RoomStore(tx).add(
            [
                ManagedRoom(key=charter.key, engagement=engagement.id, kind=charter.kind, position=position)
                for position, charter in enumerate(charters)
            ]
        )
        documents, at = DocumentStore(tx), engagement.opened_at
        for charter in charters:
            await documents.put(charter, at)
            if charter.direct:
                await documents.list_direct(engagement.partner, charter.key, at, listed=True)

    async def close(self, engagement_id: str, *, actor: str, reason: str) -> Engagement:
        """End a partnership: the guard refuses everything in its rooms, people leave, the record stays.

        Raises:
            NotFoundError: No such partnership.
            ConflictError: It is closed already.
        """
        now = self._clock()
        async with self._db.begin() as tx:
            before = await self._get(tx, engagement_id)
            after = before.close(now)
            await EngagementStore(tx).save(after)
            for room in await RoomStore(tx).of_engagement(engagement_id):
                charter = await DocumentStore(tx).charter(room.key)
                if charter is not None:
                    await DocumentStore(tx).put(replace(charter, open=False), now)
                    if charter.direct:
                        await DocumentStore(tx).list_direct(after.partner, charter.key, now, listed=False)
                await RoomStore(tx).save(replace(room, settled=False, retry_at=0))
            await self._inbox.put(tx, self._draft("partnership.closed", after, actor, {"reason": reason}))
        return after

    async def get(self, engagement_id: str) -> tuple[Engagement, list[RoomView]]:
        """One partnership and its rooms.

        Raises:
            NotFoundError: No such partnership.
        """
        async with self._db.read() as connection:
            engagement = await self._get(connection, engagement_id)
            rooms = await RoomStore(connection).of_engagement(engagement_id)
            return engagement, [await self._view(connection, room) for room in rooms]

    async def concerning(self, company: str, teams: Collection[str] = ()) -> list[str]:
        """The partnerships whose rooms people of ``company``, for the host: of its ``teams``, are in."""
        async with self._db.read() as connection:
            return await EngagementStore(connection).concerning(company, sorted(teams), self._host)

    async def chats(self, company: str, person: str | None = None) -> list[str]:
        """The engagements of the company's people, or of one person, with the hub's helper."""
        async with self._db.read() as connection:
            return await EngagementStore(connection).chats(company, person)

    async def page(self, *, after: str, limit: int) -> list[Engagement]:
        """Up to ``limit`` partnerships in the order of their ids, from behind ``after`` on."""
        async with self._db.read() as connection:
            return await EngagementStore(connection).page(after=after, limit=limit)

    async def rooms(self, *, after: tuple[str, int], limit: int) -> list[RoomView]:
        """Up to ``limit`` rooms in the order of (engagement, position), from behind ``after`` on."""
        async with self._db.read() as connection:
            rooms = await RoomStore(connection).page(after=after, limit=limit)
            return [await self._view(connection, room) for room in rooms]

    async def room(self, reference: str) -> tuple[RoomView, list[str]]:
        """One room by its key or Matrix id, and who is in it.

        Raises:
            NotFoundError: No such room.
        """
        async with self._db.read() as connection:
            store = RoomStore(connection)
            room = await store.get(reference) or (await store.by_room_ids([reference])).get(reference)
            if room is None:
                raise NotFoundError(f"no room {reference!r}", hint="conclave room list")
            return await self._view(connection, room), await self._people(connection, room)

    async def _get(self, connection: AsyncConnection, engagement_id: str) -> Engagement:
        found = await EngagementStore(connection).get(engagement_id)
        if found is None or found.kind is not EngagementKind.PARTNERSHIP:
            raise NotFoundError(f"no partnership {engagement_id!r}", hint="conclave partnership list")
        return found

    async def _view(self, connection: AsyncConnection, room: ManagedRoom) -> RoomView:
        charter = await DocumentStore(connection).charter(room.key)
        if charter is None:
            raise NotFoundError(f"the room {room.key} has no charter")
        return RoomView(room=room, charter=charter, members=len(await self._people(connection, room)))

    async def _people(self, connection: AsyncConnection, room: ManagedRoom) -> list[str]:
        """Who is in the room, the hub's own account aside."""
        members = await ObservedStore(connection).joined(room.room_id) if room.room_id else []
        return [user_id for user_id in members if user_id != self._bot]

    def _template(self, template: str) -> Template:
        if template not in self._templates:
            known = ", ".join(sorted(self._templates))
            raise InvalidInputError(f"no template {template!r}, expected one of {known}", field="template")
        return self._templates[template]

    async def _companies(self, tx: AsyncConnection, partner: str, now: Millis) -> tuple[CompanyRecord, CompanyRecord]:
        if partner == self._host:
            raise InvalidInputError(f"{partner} is the host itself; a partnership needs another", field="partner")
        host, company = await DocumentStore(tx).company(self._host), await DocumentStore(tx).company(partner)
        if host is None or company is None:
            missing = self._host if host is None else partner
            raise NotFoundError(f"no company {missing!r}", hint=f"conclave company add {missing} --name …")
        if company.standing is not Standing.ACTIVE:
            raise ConflictError(f"{company.name} is suspended", hint=f"conclave company resume {partner}")
        if company.not_after is not None and now >= company.not_after:
            raise ConflictError(f"the contract with {company.name} has ended", hint=f"conclave company show {partner}")
        return host, company

    async def _free_id(self, tx: AsyncConnection, partner: str, template: str) -> str:
        earlier = await EngagementStore(tx).of_partner(partner)
        for item in earlier:
            if item.template == template and item.status is EngagementStatus.OPEN:
                raise ConflictError(
                    f"a {template} partnership with {partner} is open already",
                    hint=f"conclave partnership show {item.id}",
                )
        for number in count(len(earlier) + 1):
            wanted = partner if number == 1 else f"{partner}-{number}"
            if await EngagementStore(tx).get(wanted) is None:
                return wanted
        raise AssertionError("count() does not end")

    def _charters(
        self, engagement: Engagement, template: Template, host: CompanyRecord, partner: CompanyRecord, contact: str
    ) -> list[Charter]:
        """The charters of the Space, which everyone of the rooms may enter, and of each room."""
        whole = RoomTemplate(name=template.space, topic=template.topic, who=tuple(Party), recording=Recording.METADATA)
        parts = [(RoomKind.SPACE, whole), *((RoomKind.ROOM, room) for room in template.rooms)]
        admission = {
            Party.HOST_TEAM: Admission(company=host.company, team=engagement.team),
            Party.PARTNER: Admission(company=partner.company),
        }
        server = () if partner.server is None else (partner.server,)
        return [
            Charter(
                key=self._new_key(),
                engagement=engagement.id,
                kind=kind,
                name=_fill(part.name, host, partner),
                topic=_fill(part.topic, host, partner),
                admits=tuple(admission[party] for party in part.who),
                companies=tuple(sorted({admission[party].company for party in part.who})),
                recording=part.recording,
                room_version=self._room_version,
                contact=contact,
                servers=server if Party.PARTNER in part.who else (),
                direct=template.direct and kind is RoomKind.SPACE,
            )
            for kind, part in parts
        ]

    def _draft(self, kind: str, engagement: Engagement, actor: str, data: Mapping[str, object]) -> Draft:
        return Draft(
            kind=kind,
            actor=person_actor(actor),
            engagement=engagement.id,
            companies=(self._host, engagement.partner),
            data=data,
        )


def _fill(text: str, host: CompanyRecord, partner: CompanyRecord) -> str:
    return text.replace("{host}", host.name).replace("{partner}", partner.name)
