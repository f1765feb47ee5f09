"""How many waiting entries a second the sequencer puts into the log, beside a bare insert of the same rows.

Ours: rows out of the inbox, entries, counters, tiles and head committed a thousand at a time, each head signed and
published. The floor: the driver inserts the finished entries, a thousand at a time, and does nothing else.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from audit.keys import create_key
from audit.sequencer import BATCH, Sequencer
from audit.signer import LocalSigner
from audit.store import LedgerStore
from benchmarks.databases import Source, databases
from benchmarks.plan import Plan
from benchmarks.raw import EntryTuple, Raw
from benchmarks.report import Row, compare
from config.clock import SteadyClock
from config.db import Database

ORIGIN = "log.test"
ROOMS, PEOPLE = 20, 50


async def run(plan: Plan) -> Sequence[Row]:
    """On each database, rounds of the same number of entries."""
    async with databases(plan) as sources:
        return [await _measure(plan, source) for source in sources]


async def _measure(plan: Plan, source: Source) -> Row:
    count, rounds = plan.size(20_000, 2_000), plan.size(9, 2)
    db, raw = Database(await source.fresh()), await source.raw()
    try:
        log = _Log(db, plan.folder(f"signer-{source.name}"))
        await log.append(count)
        pairs = []
        for _ in range(rounds):
            seconds = await log.append(count)
            pairs.append((count / seconds, count / await _insert(raw, await log.newest(count))))
    finally:
        await db.close()
        await raw.close()
    return compare(f"ledger append, {source.name}", "entries/s", pairs, f"bare insert, {BATCH} a batch")


class _Log:
    """Inbox, sequencer and signer on one database."""

    def __init__(self, db: Database, place: Path) -> None:
        clock = SteadyClock()
        LocalSigner.initialise(place / "signer.json")
        signer = LocalSigner(create_key(place / "log.key", ORIGIN), place / "signer.json")
        self._db = db
        self._inbox = Inbox("homeserver", clock)
        self._sequencer = Sequencer(db, signer, ORIGIN, Inbox("hub", clock))
        self._made = 0

    async def append(self, count: int) -> float:
        """Seconds for the way of ``count`` entries from the inbox under a signed checkpoint."""
        for _ in range(0, count, BATCH):
            async with self._db.begin() as tx:
                await self._inbox.put(tx, *[self._draft() for _ in range(BATCH)])
        began = time.perf_counter()
        while await self._sequencer.step():
            pass
        return time.perf_counter() - began

    def _draft(self) -> Draft:
        """What a message leaves behind."""
        self._made += 1
        number = self._made
        room = f"!{number % ROOMS:043}"
        data = {
            "event_id": f"${number:043}",
            "type": "m.room.encrypted",
            "ts": 1_800_000_000_000 + number,
            "session_id": f"{number % PEOPLE:043}",
            "device_id": "ABCDEFGHIJ",
            "size": 400,
        }
        actor, companies = person_actor(f"prs_{number % PEOPLE:016}"), ("contoso", "northwind")
        return Draft(
            kind="message.sent", actor=actor, room=room, engagement="northwind", companies=companies, data=data
        )

    async def newest(self, count: int) -> list[EntryTuple]:
        """The newest ``count`` entries, as rows."""
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            start = (await store.head()).size - count
            rows = await store.page(start=start, limit=count, kind=None, room=None)
        return [(row.position, row.kind, row.at, row.room, row.body) for row in rows]


async def _insert(raw: Raw, rows: Sequence[EntryTuple]) -> float:
    """Seconds for a bare insert of ``rows``."""
    began = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        await raw.insert(rows[at : at + BATCH])
    return time.perf_counter() - began
