"""The helper's chats as managed rooms: an engagement and a charter a person; the reconciler makes the room.

And what a person may see, for the helper's answers.
"""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from bridge.helper.answers import SeenPerson, SeenRoom
from bridge.helper.store import PREFIX, HelperStore, Newcomer
from config.clock import Clock
from config.db import Database
from spaces.model import Engagement, EngagementKind, EngagementStatus, ManagedRoom
from spaces.policy.records import Admission, Charter, RoomKind
from spaces.store import DocumentStore, EngagementStore, RoomStore

NAME = "Conclave"
TOPIC = "Ask the hub: !help. What it refuses is explained here."
AT_ONCE = 100


class HelperRooms:
    """Opens a chat for everyone who enrolled, and looks at rooms with a person's eyes."""

    def __init__(
        self, db: Database, inbox: Inbox, clock: Clock, *, helper: str, room_version: str, new_key: Callable[[], str]
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._helper = helper
        self._room_version = room_version
        self._new_key = new_key

    async def open_missing(self) -> list[str]:
        """Give up to a hundred people who have none their engagement with the helper; returns the engagements."""
        async with self._db.read() as connection:
            if not await HelperStore(connection).newcomers(1):
                return []
        async with self._db.begin() as tx:
            newcomers = await HelperStore(tx).newcomers(AT_ONCE)
            for newcomer in newcomers:
                await self._open(tx, newcomer)
        return [PREFIX + newcomer.person for newcomer in newcomers]

    async def _open(self, tx: AsyncConnection, newcomer: Newcomer) -> None:
        now, key = self._clock(), self._new_key()
        engagement = Engagement(
            id=PREFIX + newcomer.person,
            kind=EngagementKind.HELPER,
            partner=newcomer.company,
            template="",
            team="",
            status=EngagementStatus.OPEN,
            opened_at=now,
            opened_by=newcomer.person,
        )
        charter = Charter(
            key=key,
            engagement=engagement.id,
            kind=RoomKind.ROOM,
            name=NAME,
            topic=TOPIC,
            admits=(Admission(company=newcomer.company, person=newcomer.user_id),),
            companies=(newcomer.company,),
            room_version=self._room_version,
            accounts=(self._helper,),
        )
        await EngagementStore(tx).add(engagement)
        await RoomStore(tx).add([ManagedRoom(key=key, engagement=engagement.id, kind=RoomKind.ROOM, position=0)])
        await DocumentStore(tx).put(charter, now)
        draft = Draft(
            kind="helper.opened",
            actor=system_actor("hub"),
            engagement=engagement.id,
            companies=(newcomer.company,),
            data={"person": newcomer.person},
        )
        await self._inbox.put(tx, draft)

    async def chat_of(self, user_id: str) -> str | None:
        """The room of a person's chat, when both are in it."""
        async with self._db.read() as connection:
            return await HelperStore(connection).chat_of(user_id, self._helper)

    async def is_chat(self, room_id: str) -> bool:
        """Whether a room is the chat of a person with the helper."""
        async with self._db.read() as connection:
            found = (await RoomStore(connection).by_room_ids([room_id])).get(room_id)
        return found is not None and found.engagement.startswith(PREFIX)

    async def seen_by(self, user_id: str) -> list[SeenRoom]:
        """The managed rooms that a person is in."""
        async with self._db.read() as connection:
            store = HelperStore(connection)
            keys = await store.rooms_of(user_id)
            charters = await DocumentStore(connection).charters(keys)
            ids = await store.room_ids(keys)
            names = await store.company_names(sorted({one for item in charters.values() for one in item.companies}))
        return [_seen(charters[key], ids[key], names) for key in keys if key in charters]

    async def people_in(self, room_id: str) -> list[SeenPerson]:
        """Everyone who is in a room, but for the hub's accounts."""
        async with self._db.read() as connection:
            return [SeenPerson(*item) for item in await HelperStore(connection).people_in(room_id)]


def _seen(charter: Charter, room_id: str, names: dict[str, str]) -> SeenRoom:
    return SeenRoom(
        key=charter.key,
        room_id=room_id,
        name=charter.name,
        kind=charter.kind,
        companies=tuple(names.get(company, company) for company in charter.companies),
        history_visibility=charter.history_visibility,
        recording=charter.recording,
        contact=charter.contact,
    )
