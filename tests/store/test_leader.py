"""One leader of the log at a time: killed, stopped, overtaken; what it had under way is not in the log, and nothing is
lost, doubled or forked."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.batch_store import BatchStore, InboxRow, LedgerConflictError
from audit.inbox import Inbox
from audit.keys import verify_ed25519
from audit.sequencer import Sequencer
from audit.signer import LocalSigner
from audit.tiles import decode_bundle
from audit.verify import verify_bundle
from bridge.app import Hub
from config.db import Database, DatabaseUnavailableError, before_commit
from tests.conftest import Postgres
from tests.fakes.hub import FakeHub, ManualClock, start_fake_hub
from tests.faults.leader import STALLED_MS, start_leader
from tests.ledger import LOG_KEY, OPENED, ORIGIN, Handed, export, make_log, sample
from tests.live import until

COUNT = 40
ADVISORY = """FROM pg_locks WHERE locktype = 'advisory'
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Hubs:
    """A log with entries waiting in one database, and sequencers as several hubs have them."""

    def __init__(self, db: Database, place: Path) -> None:
        self.db = db
        self.place = place
        self.signer = LocalSigner(LOG_KEY, place / "signer.json")

    def sequencer(self, db: Database | None = None, batch: int = 1_000) -> Sequencer:
        return Sequencer(db or self.db, self.signer, ORIGIN, Inbox("hub", ManualClock()), batch=batch)

    async def put(self, drafts: list[Handed]) -> None:
        for source, draft in drafts:
            async with self.db.begin() as tx:
                await Inbox(source, ManualClock()).put(tx, draft)

    async def take_over(self) -> None:
        """Lead, as another hub does, and do all that waits."""
        self.signer = LocalSigner(LOG_KEY, self.place / "signer.json")  # as a process begun now has it
        other = Database(self.db.url.render_as_string(hide_password=False), stalled_ms=STALLED_MS)
        try:
            async with asyncio.timeout(60), other.lease("sequencer"):
                sequencer = self.sequencer(other)
                await sequencer.lead()
                while await sequencer.step():
                    pass
        finally:
            await other.close()

    async def check(self, handed: list[Handed]) -> None:
        """The log verifies, offline, and holds what was handed in, once, in order for each source."""
        files = await export(self.db)
        verify_bundle(files, LOG_KEY.public, verify_ed25519)
        bodies = [
            json.loads(entry)
            for name in sorted(files.names())
            if name.startswith("tile/entries/")
            for entry in decode_bundle(files.read(name), int(name.partition(".p/")[2] or 256))
        ]
        assert len(bodies) == len(handed)
        for source in {source for source, _ in handed}:
            found = [(body["kind"], body["data"]) for body in bodies if body["source"] == source]
            assert found == [(draft.kind, dict(draft.data)) for origin, draft in handed if origin == source]


@pytest.fixture
async def hubs(db: Database, tmp_path: Path) -> Hubs:
    await make_log(db, tmp_path, [])
    return Hubs(db, tmp_path)


@pytest.fixture
async def on_postgresql(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Hubs]:
    """For what SQLite cannot have: two processes at one log."""
    db = Database(await postgres.fresh())
    await make_log(db, tmp_path, [])
    yield Hubs(db, tmp_path)
    await db.close()


async def test_an_overtaken_leader_writes_nothing(hubs: Hubs) -> None:
    stalled, successor = hubs.sequencer(), hubs.sequencer()
    await stalled.lead()
    await hubs.put(sample(COUNT))
    await successor.lead()
    with pytest.raises(LedgerConflictError, match="leader 3 has taken over from leader 2"):
        await stalled.step()
    assert await successor.step() == COUNT
    await hubs.check([("hub", OPENED), *sample(COUNT)])


async def test_a_leader_overtaken_inside_its_batch_writes_nothing(
    on_postgresql: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs = on_postgresql
    stalled, successor = hubs.sequencer(), hubs.sequencer()
    await stalled.lead()
    await hubs.put(sample(COUNT))
    take = BatchStore.take_inbox

    async def overtaken(store: BatchStore, limit: int) -> list[InboxRow]:
        await successor.lead()
        return await take(store, limit)

    with monkeypatch.context() as patched:
        patched.setattr(BatchStore, "take_inbox", overtaken)
        with pytest.raises(LedgerConflictError, match="another sequencer wrote"):
            await stalled.step()
    assert await successor.step() == COUNT
    await hubs.check([("hub", OPENED), *sample(COUNT)])


async def test_two_that_both_think_they_lead_make_no_gap_no_duplicate_and_no_fork(hubs: Hubs) -> None:
    handed = sample(COUNT)

    async def work(sequencer: Sequencer, idle: int = 0) -> None:
        while idle < 3:
            try:
                idle = 0 if await sequencer.step() else idle + 1
            except LedgerConflictError:
                idle = 0

    async with asyncio.TaskGroup() as tasks:
        for batch in (3, 5):
            tasks.create_task(work(hubs.sequencer(batch=batch)))
        await hubs.put(handed)
    while await hubs.sequencer().step():
        pass
    await hubs.check([("hub", OPENED), *handed])


async def test_the_second_hub_waits_and_takes_over_when_the_first_is_killed(on_postgresql: Hubs) -> None:
    hubs = on_postgresql
    await hubs.put(sample(COUNT))
    async with start_leader(str(hubs.db.url), hubs.place, "inside") as leader:
        second = asyncio.create_task(hubs.take_over())
        assert not (await asyncio.wait([second], timeout=STALLED_MS / 3_000))[0]
        leader.process.send_signal(signal.SIGKILL)
        await second
    await hubs.check([("hub", OPENED), *sample(COUNT)])
    async with hubs.db.read() as connection:
        assert await connection.scalar(text(f"SELECT count(*) {ADVISORY}")) == 0


@pytest.mark.parametrize(("where", "then"), [("before", "ledger_conflict"), ("inside", "database_unavailable")])
async def test_a_stopped_leader_is_overtaken_and_writes_nothing_when_it_goes_on(
    on_postgresql: Hubs, where: str, then: str
) -> None:
    hubs = on_postgresql
    await hubs.put(sample(COUNT))
    async with start_leader(str(hubs.db.url), hubs.place, where) as leader:
        leader.process.send_signal(signal.SIGSTOP)
        await hubs.take_over()  # the server has ended the session that stood still
        await hubs.put(more := sample(3))
        leader.process.send_signal(signal.SIGCONT)
        leader.go_on()
        assert await leader.says() == then
    await hubs.take_over()
    await hubs.check([("hub", OPENED), *sample(COUNT), *more])


async def test_whoever_lost_the_lease_is_told(on_postgresql: Hubs) -> None:
    db = Database(str(on_postgresql.db.url), stalled_ms=100)

    async def lose_it() -> None:
        async with db.lease("sequencer") as lease:
            await lease.hold()
            async with on_postgresql.db.read() as connection:
                await connection.execute(text(f"SELECT pg_terminate_backend(pid, 10000) {ADVISORY}"))
            await asyncio.sleep(0.02)  # asked no more than every hundredth of a second
            await lease.hold()

    with pytest.raises(DatabaseUnavailableError):
        await lose_it()
    await db.close()


async def test_a_lease_lasts_as_long_as_it_is_held(on_postgresql: Hubs) -> None:
    db = Database(str(on_postgresql.db.url), stalled_ms=400)
    async with db.lease("sequencer") as lease:
        until = asyncio.get_running_loop().time() + 1
        while asyncio.get_running_loop().time() < until:
            await lease.hold()
            await asyncio.sleep(0.02)
    await db.close()


async def test_a_transaction_that_stands_still_is_ended_by_the_server(on_postgresql: Hubs) -> None:
    db = Database(str(on_postgresql.db.url), stalled_ms=300)
    await on_postgresql.put(sample(2))

    async def stand_still(_tx: AsyncConnection) -> None:
        await asyncio.sleep(0.6)

    token = before_commit.set(stand_still)
    with pytest.raises(DatabaseUnavailableError):
        await on_postgresql.sequencer(db).step()
    before_commit.reset(token)
    await db.close()
    await on_postgresql.take_over()
    await on_postgresql.check([("hub", OPENED), *sample(2)])


@asynccontextmanager
async def sequencing(hub: Hub) -> AsyncIterator[None]:
    """While the block runs, ``hub`` waits for the lead, leads, and asks for it again when it is overtaken."""
    task = asyncio.create_task(hub._sequence())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def in_the_log(hub: Hub, kind: str, count: int) -> None:
    async def look() -> bool:
        return len(await hub.services.audit.page(start=0, limit=1_000, kind=kind, room=None)) == count

    await until(look)


async def test_a_hub_that_was_overtaken_leads_again(fake_hub: FakeHub) -> None:
    hub = fake_hub.hub
    other = Sequencer(hub.services.db, hub.keys.signer, hub.services.settings.origin, hub.inbox)
    async with sequencing(hub):
        for count in (1, 2):
            await other.lead()
            await hub.note("hub.stopped")
            await in_the_log(hub, "hub.stopped", count)


async def test_of_two_hubs_one_sequences_and_the_other_takes_over(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.db.LEASE_RETRY_S", 0.05)
    async with start_fake_hub(tmp_path, await postgres.fresh()) as fake:
        first = fake.hub
        spare = Sequencer(first.services.db, first.keys.signer, first.services.settings.origin, first.inbox)
        second = replace(first, sequencer=spare)
        async with AsyncExitStack() as waiting:
            async with sequencing(first):
                await until(_leads(first))
                await waiting.enter_async_context(sequencing(second))
                await first.note("hub.stopped")
                await in_the_log(first, "hub.stopped", 1)
                assert not second.sequencer.leads
            await until(_leads(second))
            await second.note("hub.stopped")
            await in_the_log(second, "hub.stopped", 2)


def _leads(hub: Hub) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return hub.sequencer.leads

    return look
