"""The reconciler: makes every room what its charter says, by plan and apply, again and again.

Each step is idempotent and a crash between any two is repaired by the next pass. A failing room is retried with
back-off and never stops the others.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError, first_of
from spaces.expected import PATIENCE_MS, Expectations
from spaces.gateway import Homeserver, HomeserverRefusedError, HomeserverUnavailableError, RoomRequest
from spaces.model import ManagedRoom, ObservedRoom
from spaces.observed import ObservedStore
from spaces.plan import Action, AddMember, CreateRoom, Desired, RemoveMember, SetState, links_of, plan_room
from spaces.policy.blueprint import creation_content
from spaces.policy.records import Charter, RoomKind
from spaces.policy.refusal import Code
from spaces.publisher import Publisher
from spaces.store import DocumentStore, RoomStore, RosterSnapshot

log = structlog.get_logger()

SURVEY_S = 60
COALESCE_S = 0.03
SURVEY_ENGAGEMENTS = 100
MAX_BACKOFF_MS = 5 * MINUTE
ROOMS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Situation:
    """What is wanted of some engagements: their rooms, with charters and the people these may admit."""

    rooms: Sequence[ManagedRoom]
    charters: dict[str, Charter]
    roster: RosterSnapshot


class Reconciler:
    """Works on the engagements that were woken; once a minute it looks over all of them for drift."""

    def __init__(self, db: Database, homeserver: Homeserver, publisher: Publisher, bot: str, clock: Clock) -> None:
        self._db = db
        self._homeserver = homeserver
        self._publisher = publisher
        self._bot = bot
        self._clock = clock
        self._server = bot.split(":", 1)[1]
        self._expected = Expectations()
        self._woken: set[str] = set()
        self._survey_due = True
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(ROOMS_AT_ONCE)

    def wake(self, *engagements: str) -> None:
        """Have these engagements looked at now."""
        if engagements:
            self._woken.update(engagements)
            self._wake.set()

    def wake_all(self) -> None:
        """Have every engagement looked at now."""
        self._survey_due = True
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with asyncio.timeout(SURVEY_S):
                    await self._wake.wait()
            except TimeoutError:
                self._survey_due = True
            await asyncio.sleep(COALESCE_S)
            self._wake.clear()
            try:
                await self.run_once()
            except ConclaveError as error:
                log.warning("reconciler_waits", code=error.code, reason=error.message)
                asyncio.get_running_loop().call_later(1, self._wake.set)

    async def run_once(self) -> None:
        """One pass: push what is new to the guard, then bring the rooms in line that are not.

        Raises:
            ConclaveError: The guard or the database does not answer; what was woken stays woken.
        """
        await self._publisher.publish()
        if self._survey_due:
            self._woken |= await self._survey()
            self._survey_due = False
        while self._woken:
            engagement = min(self._woken)
            self._woken.discard(engagement)
            await self._reconcile(engagement)

    async def _survey(self) -> set[str]:
        """The engagements with a room that is not as it should be: a few queries for a hundred of them."""
        async with self._db.read() as connection:
            engagements = await RoomStore(connection).all_engagements()
        found = set()
        for at in range(0, len(engagements), SURVEY_ENGAGEMENTS):
            situation = await self._situation(engagements[at : at + SURVEY_ENGAGEMENTS])
            found |= {room.engagement for room in await self._unsettled(situation)}
        return found

    async def _unsettled(self, situation: Situation) -> list[ManagedRoom]:
        """The rooms that are not, or were not when last looked at, what they should be."""
        async with self._db.read() as connection:
            room_ids = [room.room_id for room in situation.rooms if room.room_id is not None]
            seen = await ObservedStore(connection).rooms(room_ids)
        now, found = self._clock(), []
        for room in situation.rooms:
            observed = None if room.room_id is None else self._expected.over(room.room_id, seen[room.room_id], now)
            if not room.settled or room.key not in situation.charters or self._plan(room, situation, observed):
                found.append(room)
        return found

    async def _situation(self, engagements: Sequence[str]) -> Situation:
        async with self._db.read() as connection:
            rooms = await RoomStore(connection).of_engagements(engagements)
            documents = DocumentStore(connection)
            charters = await documents.charters([room.key for room in rooms])
            companies = {admission.company for charter in charters.values() for admission in charter.admits}
            return Situation(rooms, charters, await documents.roster(sorted(companies)))

    async def _reconcile(self, engagement: str) -> None:
        """The Space comes to be first, so that rooms can name it; it lists them when they are there."""
        for room in await self._unsettled(await self._situation([engagement])):
            if room.kind is RoomKind.SPACE and room.room_id is None:
                await self._pass(room, create_only=True)
        rooms = await self._unsettled(await self._situation([engagement]))
        await self._pass_all(rooms)
        if any(room.room_id is None for room in rooms):
            await self._pass_all([room for room in rooms if room.kind is RoomKind.SPACE])

    async def _pass_all(self, rooms: Sequence[ManagedRoom]) -> None:
        """Some rooms side by side.

        Raises:
            ConclaveError: The database failed; what it was for is cancelled and done again by the next pass.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for room in rooms:
                    tasks.create_task(self._pass(room))
        except* ConclaveError as failures:
            raise first_of(failures) from None

    async def _pass(self, room: ManagedRoom, *, create_only: bool = False) -> None:
        """One room: plan and apply until nothing is left to do, and note how it went."""
        async with self._gate:
            situation = await self._situation([room.engagement])
            before = room = next((item for item in situation.rooms if item.key == room.key), room)
            if room.retry_at > self._clock():
                self._wake_later(room.engagement, room.retry_at - self._clock())
                return
            try:
                room = await self._converge(room, situation, create_only=create_only)
                pending = room.room_id is not None and self._expected.pending(room.room_id)
                room = replace(room, settled=not (pending or create_only), problem=None, attempts=0, retry_at=0)
                if pending:
                    self._wake_later(room.engagement, PATIENCE_MS)
            except (HomeserverUnavailableError, HomeserverRefusedError) as error:
                room = self._put_off(await self._stored(room), error.message)
            except Exception:  # one room's failure must not stop the others
                log.exception("reconcile_failed", room=room.key)
                room = self._put_off(await self._stored(room), "internal error; see the hub's log")
            if room != before:
                async with self._db.begin() as tx:
                    await RoomStore(tx).save(room)

    async def _stored(self, room: ManagedRoom) -> ManagedRoom:
        async with self._db.read() as connection:
            return await RoomStore(connection).get(room.key) or room

    async def _converge(self, room: ManagedRoom, situation: Situation, *, create_only: bool) -> ManagedRoom:
        for _ in range(3):
            actions = self._plan(room, situation, await self._observed(room))
            for action in actions:
                room = await self._apply(action, room, situation.charters[room.key])
            if not actions or create_only:
                return room
        return room

    def _plan(self, room: ManagedRoom, situation: Situation, observed: ObservedRoom | None) -> list[Action]:
        charter = situation.charters.get(room.key)
        if charter is None:
            raise HomeserverRefusedError("the room has no charter", errcode="M_UNKNOWN")
        siblings = [item for item in situation.rooms if item.engagement == room.engagement]
        space = next((item.room_id for item in siblings if item.kind is RoomKind.SPACE), None)
        children = [(r.position, r.room_id) for r in siblings if r.room_id is not None and _is_for_all(r, situation)]
        companies = {admission.company for admission in charter.admits}
        people = [person for person in situation.roster.people.values() if person.company in companies]
        desired = Desired(
            charter=charter,
            people=sorted(people, key=lambda person: person.user_id),
            roster=situation.roster,
            bot=self._bot,
            links=links_of(charter, space, children, self._server),
        )
        return plan_room(desired, observed, self._clock())

    async def _observed(self, room: ManagedRoom) -> ObservedRoom | None:
        if room.room_id is None:
            return None
        async with self._db.read() as connection:
            seen = await ObservedStore(connection).room(room.room_id)
        return self._expected.over(room.room_id, seen, self._clock())

    async def _apply(self, action: Action, room: ManagedRoom, charter: Charter) -> ManagedRoom:
        if isinstance(action, CreateRoom):
            return await self._create(action, room, charter)
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

    async def _create(self, action: CreateRoom, room: ManagedRoom, charter: Charter) -> ManagedRoom:
        """Adopt the room that an earlier, interrupted pass made, else make it; the guard admits one for a charter."""
        room_id = await self._adopt(room)
        created = room_id is None
        if room_id is None:
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


def _is_for_all(room: ManagedRoom, situation: Situation) -> bool:
    """Whether a Space may list the room: those who are in the Space and not in the room must not see that it exists."""
    spaces = [r for r in situation.rooms if r.engagement == room.engagement and r.kind is RoomKind.SPACE]
    charters = [situation.charters.get(r.key) for r in (room, *spaces)]
    if room.kind is not RoomKind.ROOM or None in charters:
        return False
    own, *wider = (set(charter.admits) for charter in charters if charter is not None)
    return all(admits <= own for admits in wider)
