"""The reconciler: makes every room what its charter says, by plan and apply, again and again.

Each step is idempotent and a crash between any two is repaired by the next pass. A failing room is retried with
back-off and never stops the others.
"""

import asyncio
from dataclasses import replace

import structlog

from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError
from spaces.expected import PATIENCE_MS, Expectations
from spaces.gateway import Homeserver, HomeserverRefusedError, HomeserverUnavailableError, RoomRequest
from spaces.model import ManagedRoom
from spaces.observed import ObservedRoom, ObservedStore
from spaces.plan import Action, AddMember, CreateRoom, Desired, RemoveMember, SetState, links_of, plan_room
from spaces.policy.blueprint import creation_content
from spaces.policy.records import RoomKind
from spaces.policy.refusal import Code
from spaces.publisher import Publisher
from spaces.store import DocumentStore, RoomStore, RosterSnapshot

log = structlog.get_logger()

FULL_PASS_S = 60
MAX_BACKOFF_MS = 5 * MINUTE
ROOMS_AT_ONCE = 4


class Reconciler:
    """Works through the engagements that were woken, and through all of them once a minute."""

    def __init__(self, db: Database, homeserver: Homeserver, publisher: Publisher, bot: str, clock: Clock) -> None:
        self._db = db
        self._homeserver = homeserver
        self._publisher = publisher
        self._bot = bot
        self._clock = clock
        self._server = bot.split(":", 1)[1]
        self._expected = Expectations()
        self._woken: set[str] = set()
        self._all = True
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(ROOMS_AT_ONCE)

    def wake(self, *engagements: str) -> None:
        """Have these engagements looked at now; all of them when none is named."""
        self._woken.update(engagements)
        self._all = self._all or not engagements
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with asyncio.timeout(FULL_PASS_S):
                    await self._wake.wait()
            except TimeoutError:
                self._all = True
            self._wake.clear()
            try:
                await self.run_once()
            except ConclaveError as error:
                log.warning("reconciler_waits", code=error.code, reason=error.message)
                asyncio.get_running_loop().call_later(1, self._wake.set)

    async def run_once(self) -> None:
        """One pass: push what is new to the guard, then bring the woken engagements' rooms in line.

        Raises:
            ConclaveError: The guard or the database does not answer; what was woken stays woken.
        """
        await self._publisher.publish()
        async with self._db.read() as connection:
            engagements = await RoomStore(connection).all_engagements() if self._all else sorted(self._woken)
            roster = await DocumentStore(connection).roster()
        self._woken, self._all = set(), False
        for engagement in engagements:
            await self._reconcile(engagement, roster)

    async def _reconcile(self, engagement: str, roster: RosterSnapshot) -> None:
        """The Space comes to be first, so that rooms can name it; it lists them when they are there."""
        async with self._db.read() as connection:
            rooms = await RoomStore(connection).of_engagement(engagement)
        spaces = [room for room in rooms if room.kind is RoomKind.SPACE]
        for room in spaces:
            if room.room_id is None:
                await self._pass(room.key, roster, create_only=True)
        await asyncio.gather(*(self._pass(room.key, roster) for room in rooms))
        for room in spaces:
            await self._pass(room.key, roster)

    async def _pass(self, key: str, roster: RosterSnapshot, *, create_only: bool = False) -> None:
        """One room: plan and apply until nothing is left to do, and note how it went."""
        async with self._gate:
            room = await self._room(key)
            if room is None or room.retry_at > self._clock():
                return
            before = room
            try:
                room = await self._converge(room, roster, create_only=create_only)
                pending = room.room_id is not None and self._expected.pending(room.room_id)
                room = replace(room, settled=not (pending or create_only), problem=None, attempts=0, retry_at=0)
                if pending:
                    self._wake_later(room.engagement, PATIENCE_MS)
            except (HomeserverUnavailableError, HomeserverRefusedError) as error:
                room = self._put_off(await self._room(key) or room, error.message)
            except Exception:  # one room's failure must not stop the others
                log.exception("reconcile_failed", room=key)
                room = self._put_off(room, "internal error; see the hub's log")
            if room != before:
                async with self._db.begin() as tx:
                    await RoomStore(tx).save(room)

    async def _room(self, key: str) -> ManagedRoom | None:
        async with self._db.read() as connection:
            return await RoomStore(connection).get(key)

    async def _converge(self, room: ManagedRoom, roster: RosterSnapshot, *, create_only: bool) -> ManagedRoom:
        desired = await self._desired(room, roster)
        if desired is None:
            raise HomeserverRefusedError("the room has no charter", errcode="M_UNKNOWN")
        for _ in range(3):
            actions = plan_room(desired, await self._observed(room), self._clock())
            for action in actions:
                room = await self._apply(action, room, desired)
            if not actions or create_only:
                return room
        return room

    async def _desired(self, room: ManagedRoom, roster: RosterSnapshot) -> Desired | None:
        async with self._db.read() as connection:
            charter = await DocumentStore(connection).charter(room.key)
            rooms = await RoomStore(connection).of_engagement(room.engagement)
        if charter is None:
            return None
        space = next((item.room_id for item in rooms if item.kind is RoomKind.SPACE), None)
        children = [(r.position, r.room_id) for r in rooms if r.kind is RoomKind.ROOM and r.room_id is not None]
        companies = {admission.company for admission in charter.admits}
        people = [person for person in roster.people.values() if person.company in companies]
        return Desired(
            charter=charter,
            people=sorted(people, key=lambda person: person.user_id),
            roster=roster,
            bot=self._bot,
            links=links_of(charter, space, children, self._server),
        )

    async def _observed(self, room: ManagedRoom) -> ObservedRoom | None:
        if room.room_id is None:
            return None
        async with self._db.read() as connection:
            seen = await ObservedStore(connection).room(room.room_id)
        return self._expected.over(room.room_id, seen, self._clock())

    async def _apply(self, action: Action, room: ManagedRoom, desired: Desired) -> ManagedRoom:
        if isinstance(action, CreateRoom):
            return await self._create(action, room, desired)
        room_id, now = room.room_id, self._clock()
        if room_id is None:
            raise HomeserverRefusedError("the room does not exist yet", errcode="M_NOT_FOUND")
        if isinstance(action, SetState):
            await self._homeserver.set_state(room_id, action.type, action.state_key, action.content)
            self._expected.expect_state(room_id, (action.type, action.state_key), action.content, now)
        elif isinstance(action, AddMember):
            await self._homeserver.add_member(room_id, action.user_id)
            self._expected.expect_member(room_id, action.user_id, "join", now)
        elif isinstance(action, RemoveMember):
            await self._homeserver.remove_member(room_id, action.user_id, action.reason)
            self._expected.expect_member(room_id, action.user_id, "leave", now)
        return room

    async def _create(self, action: CreateRoom, room: ManagedRoom, desired: Desired) -> ManagedRoom:
        """Adopt the room that an earlier, interrupted pass made, else make it; the guard admits one for a charter."""
        room_id = await self._adopt(room)
        created = room_id is None
        if room_id is None:
            charter = desired.charter
            request = RoomRequest(
                room_version=charter.room_version, creation_content=creation_content(charter), state=action.state
            )
            try:
                room_id = await self._homeserver.create_room(request)
            except HomeserverRefusedError as error:
                if error.reason == Code.ROOM_EXISTS:
                    raise HomeserverUnavailableError("an earlier creation of this room is still under way") from None
                raise
        room = replace(room, room_id=room_id)
        async with self._db.begin() as tx:
            await RoomStore(tx).save(room)
        log.info("room_created", room=room.key, room_id=room_id, adopted=not created)
        if created:
            for key, content in action.state.items():
                self._expected.expect_state(room_id, key, content, self._clock())
        return room

    async def _adopt(self, room: ManagedRoom) -> str | None:
        room_id = await self._homeserver.find_room(room.key)
        if room_id is None or await self._homeserver.room_is_joined(room_id):
            return room_id
        if await self._homeserver.release_room(room.key, room_id):
            log.warning("unfinished_room_released", room=room.key, room_id=room_id)
            return None
        raise HomeserverUnavailableError("an earlier creation of this room is still under way")

    def _put_off(self, room: ManagedRoom, problem: str) -> ManagedRoom:
        """Note the problem and try again after 1, 2, 4 … seconds, at most five minutes."""
        delay = min(SECOND << min(room.attempts, 20), MAX_BACKOFF_MS)
        self._wake_later(room.engagement, delay)
        return replace(room, settled=False, problem=problem, attempts=room.attempts + 1, retry_at=self._clock() + delay)

    def _wake_later(self, engagement: str, delay: Millis) -> None:
        asyncio.get_running_loop().call_later((delay + 1) / 1_000, self.wake, engagement)
