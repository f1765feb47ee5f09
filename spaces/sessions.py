"""Sessions of who is shut out end on the homeserver.

That is suspended people, and everyone of a company that is suspended or whose contract is over. The guard refuses them
from the first moment on, by itself; this takes the tokens and devices away as well, and so what a stolen device could
still be used for. Derived from the roster alone: a crash anywhere is repaired by the next pass.
"""

import asyncio

import structlog

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from config.clock import Clock
from config.db import Database
from config.errors import ConclaveError
from spaces.gateway import Homeserver
from spaces.policy.servers import is_remote
from spaces.session_store import SessionStore, ShutOut

log = structlog.get_logger()

SURVEY_S = 60
RETRY_S = 1


class SessionKeeper:
    """Ends sessions when woken, and looks once a minute for contracts that ended meanwhile."""

    def __init__(self, db: Database, homeserver: Homeserver, inbox: Inbox, clock: Clock, bot: str) -> None:
        self._db = db
        self._homeserver = homeserver
        self._inbox = inbox
        self._clock = clock
        self._bot = bot
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Have it look now."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            delay = SURVEY_S
            self._woken.clear()
            try:
                await self.run_once()
            except ConclaveError as error:
                delay = RETRY_S
                log.warning("sessions_wait", code=error.code, reason=error.message)
            try:
                async with asyncio.timeout(delay):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def run_once(self) -> None:
        """End the sessions of everyone who is shut out and has not been dealt with since.

        Raises:
            ConclaveError: Homeserver or database does not answer; who was not dealt with yet comes next time.
        """
        async with self._db.read() as connection:
            people = await SessionStore(connection).due(self._clock())
        # Who has an account on another server has no session here.
        for person in (item for item in people if not is_remote(item.record.user_id, self._bot)):
            await self._homeserver.end_sessions(person.record.user_id)
            async with self._db.begin() as tx:
                await SessionStore(tx).note(person)
                await self._inbox.put(tx, _entry(person))


def _entry(person: ShutOut) -> Draft:
    record = person.record
    data = {"person": record.person, "company": record.company}
    return Draft(kind="sessions.ended", actor=system_actor("sessions"), companies=(record.company,), data=data)
