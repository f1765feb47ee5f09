"""Direct rooms, seen from the hub: those that the guard made for people become managed rooms of their engagement."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from bridge.events import Event
from config.clock import SECOND, Clock
from partner_onboarding.store import PersonStore
from spaces.model import ManagedRoom
from spaces.policy.blueprint import DIRECT_PEOPLE, ROOM_KEY
from spaces.policy.direct import charter_in, direct_name, space_of
from spaces.policy.records import Charter, RoomKind
from spaces.store import DocumentStore, RoomStore

log = structlog.get_logger()

SETTLE_MS = 2 * SECOND
"""How long the guard is left alone with a room that it is just making."""


async def direct_room_ids(page: Callable[[str], Awaitable[list[tuple[str, str]]]]) -> list[str]:
    """The Matrix ids of all direct rooms that the guard knows, ``page`` by page."""
    found: list[str] = []
    after = ""
    while rooms := await page(after):
        found += [room_id for _, room_id in rooms]
        after = rooms[-1][0]
    return found


class Adoption:
    """Takes direct rooms in, when the feed brings their first event: charter, room and entry in its transaction."""

    def __init__(self, inbox: Inbox, clock: Clock, bot: str) -> None:
        self._inbox = inbox
        self._clock = clock
        self._bot = bot

    async def adopt(self, tx: AsyncConnection, events: Sequence[Event]) -> None:
        """Take in the direct rooms among ``events`` that the hub does not have yet."""
        for event in events:
            if event.type == "m.room.create" and event.sender == self._bot and DIRECT_PEOPLE in event.content:
                await self._adopt(tx, event)

    async def _adopt(self, tx: AsyncConnection, event: Event) -> None:
        key = str(event.content.get(ROOM_KEY))
        if await RoomStore(tx).get(key) is not None:
            return
        documents, now = DocumentStore(tx), self._clock()
        charter = charter_in(event.content, await documents.charter(space_of(key) or ""))
        if charter is None:
            log.error("direct_room_not_adopted", room=key, room_id=event.room_id)
            return
        people = await self._names(tx, charter)
        await documents.put(replace(charter, name=direct_name([*people.values()])), now)
        # Without its Matrix id: the reconciler asks the guard for that, and copes with a creation that was cut short.
        room = ManagedRoom(
            key=key,
            engagement=charter.engagement,
            kind=RoomKind.DIRECT,
            position=await RoomStore(tx).next_position(charter.engagement),
            due_at=now + SETTLE_MS,
        )
        await RoomStore(tx).add([room])
        await self._inbox.put(tx, self._draft(event, charter, sorted(people)))

    async def _names(self, tx: AsyncConnection, charter: Charter) -> dict[str, str]:
        """The names of the two, by the ids of the people."""
        users = sorted({item.person for item in charter.admits if item.person is not None})
        records = await DocumentStore(tx).people(users)
        return await PersonStore(tx).names({record.person for record in records.values()})

    def _draft(self, event: Event, charter: Charter, people: list[str]) -> Draft:
        return Draft(
            kind="direct.opened",
            actor=system_actor("feed"),
            room=event.room_id,
            engagement=charter.engagement,
            companies=charter.companies,
            data={"room_key": charter.key, "people": people},
        )
