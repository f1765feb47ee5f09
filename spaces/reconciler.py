"""The reconciler: makes every room what its charter says, by plan and apply, again and again.

Whatever changes marks, in its own transaction, the rooms that it may concern; the reconciler looks at those that are
due and at nothing else. Beside that it patrols: a hundred engagements a minute in turn, for what no mark told of.
Each step is idempotent and a crash between any two is repaired by the next pass.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

import structlog

from config.clock import MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError, first_of
from spaces.due_store import DueStore
from spaces.gateway import Homeserver, HomeserverError
from spaces.model import ManagedRoom
from spaces.passes import RoomPass
from spaces.policy.records import MappingRoster, RoomKind
from spaces.policy.rules import refuse_account
from spaces.publisher import Publisher
from spaces.situation import Situation
from spaces.situation_store import SituationStore
from spaces.store import DocumentStore

log = structlog.get_logger()

SURVEY_MS = MINUTE
COALESCE_S = 0.03
PATROL_ENGAGEMENTS = 100
DUE_AT_ONCE = 500
STRAYS_AT_ONCE = 100
SETTLED_TOGETHER = 50
ROOMS_AT_ONCE = 4
ROUNDS = 5


class Reconciler:
    """Works on what is due; once a minute it goes on patrol."""

    def __init__(
        self, db: Database, homeserver: Homeserver, publisher: Publisher, passes: RoomPass, bot: str, clock: Clock
    ) -> None:
        self._db = db
        self._homeserver = homeserver
        self._publisher = publisher
        self.passes = passes
        self._bot = bot
        self._clock = clock
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(ROOMS_AT_ONCE)
        self._turn = asyncio.Lock()
        self._survey_at: Millis = 0
        self._patrolled = ""
        self._delay_s = 0.0

    def wake(self, *engagements: str) -> None:
        """Look now; which engagements moved is in the database, the names are for the reader of the call."""
        del engagements
        self._wake.set()

    def wake_all(self) -> None:
        """Go on patrol now."""
        self._survey_at = 0
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._delay_s):
                    await self._wake.wait()
            except TimeoutError:
                log.debug("reconciler_looks")
            await asyncio.sleep(COALESCE_S)
            self._wake.clear()
            try:
                await self.run_once()
                self._delay_s = await self._until_due()
            except ConclaveError as error:
                log.warning("reconciler_waits", code=error.code, reason=error.message)
                self._delay_s = 1

    async def _until_due(self) -> float:
        """Seconds until a room is due or the next patrol; never less than a moment, so that nothing spins."""
        async with self._db.read() as connection:
            due = await DueStore(connection).next_due()
        return min(max(min(due, self._survey_at) - self._clock(), SECOND // 2), SURVEY_MS) / SECOND

    async def run_once(self) -> None:
        """One pass: push what is new to the guard, then bring the rooms in line that are due.

        Raises:
            ConclaveError: The guard or the database does not answer; what was due stays due.
        """
        await self._publisher.publish()
        done: set[str] = set()
        while engagements := [item for item in await self._due() if item not in done]:
            await self._publisher.publish()  # what came meanwhile has its charter at the guard before its rooms
            for at in range(0, len(engagements), SETTLED_TOGETHER):
                part = engagements[at : at + SETTLED_TOGETHER]
                if len(part) > ROOMS_AT_ONCE:
                    await self._skipping(self._settle_quiet(part), part[0])
                    part = await self._still_due(part)
                for engagement in part:
                    await self._skipping(self._reconcile(engagement), engagement)
            done.update(engagements)
        if self._survey_at <= self._clock():
            await self._patrol()
            await self._remove_strays()
            self._survey_at = self._clock() + SURVEY_MS

    async def _skipping(self, work: Coroutine[None, None, None], engagement: str) -> None:
        """Do ``work``; one engagement's failure must not stop the others."""
        try:
            await work
        except ConclaveError:
            raise
        except Exception:  # logged, and tried again when it is looked at next
            log.exception("engagement_skipped", engagement=engagement)

    async def _settle_quiet(self, engagements: Sequence[str]) -> None:
        """Where many are due, those with nothing to do are noted together."""
        async with self._turn:
            situation, now = await self.situation(engagements), self._clock()
            due = [room for room in situation.rooms if room.due_at <= now]
            quiet = [room for room in due if self.passes.is_quiet(room, situation)]
            if quiet:
                await self.passes.settle(quiet, situation)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While the block runs nobody else changes rooms."""
        async with self._turn:
            yield

    async def situation(self, engagements: Sequence[str]) -> Situation:
        """What is wanted of these engagements and what is there."""
        async with self._db.read() as connection:
            return await SituationStore(connection, bot=self._bot).of(engagements)

    async def engagements(self, after: str, limit: int) -> list[str]:
        """Up to ``limit`` engagements in the order of their ids, from behind ``after`` on."""
        async with self._db.read() as connection:
            return await DueStore(connection).patrol(after, limit)

    async def _still_due(self, engagements: Sequence[str]) -> list[str]:
        """Those of these engagements that have a room that is due."""
        async with self._db.read() as connection:
            return await DueStore(connection).due(self._clock(), len(engagements), among=engagements)

    async def _due(self) -> list[str]:
        async with self._db.read() as connection:
            return await DueStore(connection).due(self._clock(), DUE_AT_ONCE)

    async def _reconcile(self, engagement: str) -> None:
        """The Space comes to be first, so that rooms can name it; it lists them when they are there."""
        for _ in range(ROUNDS):
            async with self._turn:
                situation = await self.situation([engagement])
                now = self._clock()
                rooms = [room for room in situation.rooms if room.due_at <= now]
                if not rooms:
                    return
                await self._pass_all(_space_first(rooms), situation)

    async def _pass_all(self, rooms: Sequence[ManagedRoom], situation: Situation) -> None:
        """Some rooms side by side.

        Raises:
            ConclaveError: The database failed; what it was for is cancelled and done again by the next pass.
        """
        failure: ConclaveError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for room in rooms:
                    tasks.create_task(self._pass(room, situation))
        except* ConclaveError as failures:
            failure = first_of(failures)
        if failure is not None:  # see bridge.run: not in the clause above
            raise failure

    async def _pass(self, room: ManagedRoom, situation: Situation) -> None:
        async with self._gate:
            try:
                await self.passes.run(room, situation)
            except ConclaveError:
                raise
            except Exception:  # one room's failure must not stop the others
                log.exception("reconcile_failed", room=room.key)
                await self.passes.put_off(room, "internal error; see the hub's log")

    # --- what no mark told of

    async def _patrol(self) -> None:
        """Look at the next engagements whether anything marked them or not."""
        engagements = await self.engagements(self._patrolled, PATROL_ENGAGEMENTS)
        self._patrolled = engagements[-1] if len(engagements) == PATROL_ENGAGEMENTS else ""
        if not engagements:
            return
        async with self._turn:
            situation = await self.situation(engagements)
            wrong = [room for room in situation.rooms if room.settled and self._differs(room, situation)]
            await self._pass_all(wrong, situation)

    def _differs(self, room: ManagedRoom, situation: Situation) -> bool:
        return room.key not in situation.charters or bool(self.passes.plan(room, situation))

    async def _remove_strays(self) -> None:
        """Whoever was shut out leaves the rooms, too, that are none of the managed ones."""
        async with self._db.read() as connection:
            strays = await DueStore(connection).strays(STRAYS_AT_ONCE)
        for room_id, user_id in strays:
            async with self._db.read() as connection:
                person = await DocumentStore(connection).person(user_id)
                company = None if person is None else await DocumentStore(connection).company(person.company)
            roster = MappingRoster(
                companies={} if company is None else {company.company: company},
                people={} if person is None else {user_id: person},
            )
            refusal = refuse_account(user_id, roster, self._clock())
            if refusal is None:
                continue
            try:
                await self._homeserver.remove_member(room_id, user_id, refusal.text())
            except HomeserverError as error:
                log.warning("stray_stays", room_id=room_id, user_id=user_id, reason=error.message)


def _space_first(rooms: Sequence[ManagedRoom]) -> list[ManagedRoom]:
    """Only the Spaces while one of them does not exist yet, else all."""
    spaces = [room for room in rooms if room.kind is RoomKind.SPACE and room.room_id is None]
    return spaces or list(rooms)
