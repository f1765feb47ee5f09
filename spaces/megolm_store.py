"""SQL of Megolm sessions and of who left the rooms they are used in; on an open connection, the caller's."""

import json
from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from config.clock import Millis
from config.db import run, run_many
from spaces.megolm import Departure, Session, Watch

_USED = """SELECT s.session_id, s.room_id, s.since, d.number, d.user_id, d.at
           FROM megolm_session AS s
           LEFT JOIN departure AS d ON d.room_id = s.room_id AND d.number > s.since AND NOT EXISTS (
               SELECT 1 FROM observed_member AS m
               WHERE m.room_id = d.room_id AND m.user_id = d.user_id AND m.membership = 'join')
           WHERE s.session_id IN ({among}) ORDER BY d.number"""
_AMONG = {"postgresql": "SELECT unnest($1::text[])", "sqlite": "SELECT value FROM json_each($1)"}
_LATEST = "SELECT COALESCE(MAX(number), 0) FROM departure"
_BEGIN = """INSERT INTO megolm_session (session_id, room_id, since, seen_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (session_id, room_id) DO NOTHING"""
_LEAVE = "INSERT INTO departure (number, room_id, user_id, at) VALUES ($1, $2, $3, $4)"
_FORGET_SESSIONS = "DELETE FROM megolm_session WHERE seen_at < $1"
_FORGET_DEPARTURES = "DELETE FROM departure WHERE at < $1 AND number < (SELECT MAX(number) FROM departure)"
"""The last one stays: its number is what the next one goes on from."""


class MegolmStore:
    """Which sessions were used where, from when on, and who left since."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def watch(self, used: Collection[tuple[str, str]], *, departs: bool) -> Watch:
        """What is known of the sessions that are ``used``, as (session id, room id); ``departs``: somebody leaves, too.

        It is for events that come behind everything in the mirror.
        """
        wanted = sorted({session_id for session_id, _ in used})
        sessions: dict[tuple[str, str], Session] = {}
        departures = []
        if wanted:
            dialect = self._tx.dialect.name
            among = wanted if dialect == "postgresql" else json.dumps(wanted)
            for row in await run(self._tx, _USED.format(among=_AMONG[dialect]), among):
                session_id, room_id, since, number, user_id, at = row
                sessions[session_id, room_id] = Session(session_id=session_id, room_id=room_id, since=since)
                if number is not None:
                    departures.append(Departure(number=number, room_id=room_id, user_id=user_id, at=at))
        begins = departs or any(pair not in sessions for pair in used)  # else nothing gets a number
        latest = int((await run(self._tx, _LATEST)).scalar_one()) if begins else 0
        return Watch.of(latest, sessions.values(), departures)

    async def save(self, watch: Watch, now: Millis) -> None:
        """Store what is new."""
        if watch.begun:
            rows = [(item.session_id, item.room_id, item.since, now) for item in watch.begun]
            await run_many(self._tx, _BEGIN, rows)
        if watch.gone:
            await run_many(
                self._tx, _LEAVE, [(item.number, item.room_id, item.user_id, item.at) for item in watch.gone]
            )

    async def forget(self, before: Millis) -> None:
        """Drop sessions that were first used before that time, and departures from before it."""
        await run(self._tx, _FORGET_SESSIONS, before)
        await run(self._tx, _FORGET_DEPARTURES, before)
