"""The ledger by itself, from inbox to signed checkpoint, for what measures it."""

import time
from collections.abc import Sequence
from pathlib import Path

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from audit.keys import create_key
from audit.sequencer import BATCH, Sequencer
from audit.service import AuditService
from audit.signer import LocalSigner
from audit.store import LedgerStore
from benchmarks.raw import EntryTuple
from config.clock import SteadyClock
from config.db import Database

ORIGIN = "log.test"
ROOMS, PEOPLE = 20, 50


class Pipeline:
    """Inbox, sequencer, signer and reader on one database."""

    def __init__(self, db: Database, place: Path) -> None:
        LocalSigner.initialise(place / "signer.json")
        self._clock = SteadyClock()
        self._key = create_key(place / "log.key", ORIGIN)
        self._state = place / "signer.json"
        self._made = 0
        self.open(db)

    def open(self, db: Database) -> None:
        """Begin as a new process does, with ``db``."""
        clock, key = self._clock, self._key
        signer = LocalSigner(key, self._state)
        self.db = db
        self.inbox = Inbox("homeserver", clock)
        self.sequencer = Sequencer(db, signer, ORIGIN, Inbox("hub", clock))
        self.audit = AuditService(
            db, self.inbox, clock, log_key=key.public, export_key=key, software="bench", new_export=str
        )

    async def append(self, count: int) -> float:
        """Seconds for the way of ``count`` entries from the inbox under a signed checkpoint."""
        for at in range(0, count, BATCH):
            async with self.db.begin() as tx:
                await self.inbox.put(tx, *[self.draft() for _ in range(min(BATCH, count - at))])
        began = time.perf_counter()
        while await self.sequencer.step():
            pass
        return time.perf_counter() - began

    def draft(self) -> Draft:
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

    async def newest(self, count: int) -> Sequence[EntryTuple]:
        """The newest ``count`` entries, as rows."""
        async with self.db.read() as connection:
            store = LedgerStore(connection)
            start = (await store.head()).size - count
            return await store.page(start=start, limit=count, kind=None, room=None)
