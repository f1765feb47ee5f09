"""Inbox to log, on both databases: every entry once, in order, under a signed head that only grows."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.batch_store import BatchStore, LedgerConflictError
from audit.canonical import MAX_INTEGER, canonical_json
from audit.entry import MAX_DRAFT_SIZE, SALT_SIZE, Draft, EntryError, draft_body, system_actor
from audit.inbox import Inbox
from audit.keys import SigningKey, create_key, verify_ed25519
from audit.note import Checkpoint, open_note
from audit.sequencer import Sequencer
from audit.signer import LocalSigner, SignerRefusedError
from audit.store import LedgerStore
from audit.tables import ledger_entry, ledger_head
from audit.tree import Frontier, Head, leaf_hash
from config.db import Database, before_commit, run
from tests.fakes.hub import ManualClock

ORIGIN = "log.test"


class Log:
    """An inbox, a sequencer and a signer on one database."""

    def __init__(self, db: Database, place: Path, batch: int = 1_000) -> None:
        self.db = db
        self.clock = ManualClock()
        self.inbox = Inbox("api", self.clock)
        self.key: SigningKey = create_key(place / "log.key", ORIGIN)
        LocalSigner.initialise(place / "signer.json")
        self.signer = LocalSigner(self.key, place / "signer.json")
        self.sequencer = self.new_sequencer(batch)

    def new_sequencer(self, batch: int = 1_000, signer: Any = None) -> Sequencer:
        return Sequencer(self.db, signer or self.signer, ORIGIN, Inbox("hub", self.clock), batch=batch)

    async def put(self, count: int = 1, *, room: str | None = None, actor: str = "a") -> None:
        async with self.db.begin() as tx:
            await self.inbox.put(tx, *[draft(room=room, actor=actor) for _ in range(count)])

    async def drain(self) -> None:
        while await self.sequencer.step():
            pass

    async def bodies(self) -> list[bytes]:
        async with self.db.read() as connection:
            return await LedgerStore(connection).bodies(0, 1_000_000)

    async def entries(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in await self.bodies()]

    async def checkpoint(self) -> Checkpoint:
        async with self.db.read() as connection:
            note = (await LedgerStore(connection).head()).checkpoint
        assert note is not None
        return Checkpoint.parse(open_note(note, self.key.public, verify_ed25519))


def draft(*, room: str | None = None, actor: str = "a") -> Draft:
    return Draft(kind="hub.stopped", actor=system_actor(actor), room=room)


@pytest.fixture
def log(db: Database, tmp_path: Path) -> Log:
    return Log(db, tmp_path)


async def test_entries_are_numbered_for_their_source_actor_and_room(log: Log) -> None:
    await log.put(2, room="!a")
    await log.put(1, room="!b", actor="b")
    await log.put(1, room="!a", actor="b")
    await log.drain()
    numbers = [(e["source_seq"], e["actor_seq"], e["room_seq"]) for e in await log.entries()]
    assert numbers == [(1, 1, 1), (2, 2, 2), (3, 1, 1), (4, 2, 3)]


async def test_the_signed_head_is_that_of_the_entries(log: Log) -> None:
    for count in (1, 2, 300, 1):
        await log.put(count)
        await log.drain()
        bodies = await log.bodies()
        root = Frontier().extend(leaf_hash(body) for body in bodies).root()
        assert await log.checkpoint() == Checkpoint(origin=ORIGIN, size=len(bodies), root=root)


async def test_a_batch_after_the_first_is_signed_from_memory(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.put(300)
    await log.drain()
    with monkeypatch.context() as patched:
        patched.delattr(LedgerStore, "tile")
        patched.delattr(LedgerStore, "tiles")
        for _ in range(3):
            await log.put(90)
            await log.drain()
    assert (await log.checkpoint()).size == 570


async def test_sixteen_writers_leave_every_entry_once_and_no_gap(log: Log) -> None:
    async def write() -> None:
        for _ in range(10):
            await log.put()

    async def sequence(writers: asyncio.Task[None]) -> None:
        while not writers.done():
            await log.sequencer.step()

    async def all_of_them() -> None:
        await asyncio.gather(*(write() for _ in range(16)))

    async with asyncio.TaskGroup() as tasks:
        writers = tasks.create_task(all_of_them())
        tasks.create_task(sequence(writers))
    await log.drain()
    assert [e["source_seq"] for e in await log.entries()] == list(range(1, 161))


async def test_a_batch_bounds_one_transaction(log: Log) -> None:
    await log.put(25)
    sequencer = log.new_sequencer(batch=10)
    assert [await sequencer.step() for _ in range(4)] == [10, 10, 5, 0]


async def test_a_crash_in_the_transaction_leaves_everything_waiting(log: Log) -> None:
    await log.put(3)

    async def crash(_tx: AsyncConnection) -> None:
        raise RuntimeError("killed")

    token = before_commit.set(crash)
    with pytest.raises(RuntimeError, match="killed"):
        await log.sequencer.step()
    before_commit.reset(token)
    assert await log.bodies() == []
    await log.drain()
    assert len(await log.bodies()) == 3


class _Mute:
    """A signer that dies before it answers, once."""

    def __init__(self, signer: LocalSigner) -> None:
        self._signer = signer
        self.deaths = 1

    async def head(self) -> Head:
        return await self._signer.head()

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        note = await self._signer.sign(checkpoint, proof)
        if self.deaths:
            self.deaths -= 1
            raise RuntimeError("killed")
        return note


async def test_a_crash_between_signing_and_publishing_is_made_good(log: Log) -> None:
    await log.put(3)
    sequencer = log.new_sequencer(signer=_Mute(log.signer))
    with pytest.raises(RuntimeError, match="killed"):
        await sequencer.step()
    await log.put(2)
    await sequencer.step()
    await sequencer.step()
    assert (await log.checkpoint()).size == 5


async def test_a_restarted_sequencer_goes_on_from_the_stored_tiles(log: Log) -> None:
    await log.put(300)
    await log.drain()
    log.sequencer = log.new_sequencer()
    await log.put(300)
    await log.drain()
    root = Frontier().extend(leaf_hash(body) for body in await log.bodies()).root()
    assert (await log.checkpoint()).root == root


async def test_two_sequencers_make_no_gap_no_duplicate_and_no_fork(log: Log) -> None:
    sequencers = [log.new_sequencer(batch=7), log.new_sequencer(batch=5)]

    async def work(sequencer: Sequencer) -> None:
        idle = 0
        while idle < 3:
            try:
                idle = 0 if await sequencer.step() else idle + 1
            except LedgerConflictError:
                idle = 0

    for _ in range(4):
        await log.put(25)
    await asyncio.gather(*(work(sequencer) for sequencer in sequencers))
    assert [e["source_seq"] for e in await log.entries()] == list(range(1, 101))
    root = Frontier().extend(leaf_hash(body) for body in await log.bodies()).root()
    assert await log.checkpoint() == Checkpoint(origin=ORIGIN, size=100, root=root)


async def test_an_old_database_put_back_is_not_signed_again(log: Log) -> None:
    await log.put(5)
    await log.drain()
    async with log.db.begin() as tx:
        bodies = await LedgerStore(tx).bodies(0, 3)
        root = Frontier().extend(leaf_hash(body) for body in bodies).root()
        await tx.execute(delete(ledger_entry).where(ledger_entry.c.position >= 3))
        await tx.execute(update(ledger_head).values(size=3, root=root, signed_size=0))
    with pytest.raises(SignerRefusedError, match="head of size 3 does not extend the signed head of size 5"):
        await log.new_sequencer().step()


async def test_a_changed_entry_is_not_signed_over(log: Log) -> None:
    await log.put(2)
    await log.drain()
    forged = Frontier().extend([leaf_hash(b"forged"), leaf_hash(b"too"), leaf_hash(b"more")])
    async with log.db.begin() as tx:
        await tx.execute(update(ledger_head).values(size=3, root=forged.root()))
        await BatchStore(tx).save_tiles({(0, 0): [leaf_hash(b"forged"), leaf_hash(b"too"), leaf_hash(b"more")]})
    with pytest.raises(SignerRefusedError, match="does not extend"):
        await log.new_sequencer().step()


async def test_times_never_run_backwards_and_it_is_said_once(log: Log) -> None:
    await log.put()
    log.clock.now -= 60_000
    await log.put(2)
    await log.drain()
    await log.put()
    await log.drain()
    entries = await log.entries()
    times = [e["at"] for e in entries]
    assert times == sorted(times)
    corrected = [e for e in entries if e["kind"] == "clock.corrected"]
    assert [e["data"] for e in corrected] == [{"behind_ms": 60_000}]


async def test_personal_data_is_beside_the_log_and_bound_to_its_entry(log: Log) -> None:
    async with log.db.begin() as tx:
        hidden = {"name": "Bob Lee", "email": "bob@northwind.example"}
        await log.inbox.put(tx, Draft(kind="hub.stopped", actor=system_actor("a"), disclose=hidden))
    await log.drain()
    (body,) = await log.bodies()
    assert b"Bob" not in body
    async with log.db.read() as connection:
        disclosures = [row async for rows in LedgerStore(connection).disclosures(1) for row in rows]
    assert [position for position, _ in disclosures] == [0, 0]


async def test_a_draft_that_cannot_become_an_entry_is_refused_where_it_is_handed_in(log: Log) -> None:
    async def hand_in(spare: int) -> None:
        size = MAX_DRAFT_SIZE - len(canonical_json(draft_body(draft(room=""), [], bytes(SALT_SIZE)))) - spare
        async with log.db.begin() as tx:
            await log.inbox.put(tx, draft(), draft(room="x" * size))

    with pytest.raises(EntryError, match=r"^a draft of hub\.stopped has at most 65023 bytes, not 65024$"):
        await hand_in(-1)
    await hand_in(0)
    await log.drain()
    assert [entry["source_seq"] for entry in await log.entries()] == [1, 2]


async def test_an_entry_with_the_largest_numbers_there_are_has_room(log: Log) -> None:
    async with log.db.begin() as tx:
        await run(tx, "INSERT INTO inbox_source VALUES ('api', $1)", MAX_INTEGER - 1)
        for scope, key in (("actor", "system:a"), ("room", "x" * 64_900)):
            await run(tx, "INSERT INTO ledger_counter VALUES ($1, $2, $3)", scope, key, MAX_INTEGER - 1)
    log.clock.now = MAX_INTEGER
    await log.put(room="x" * 64_900)
    await log.drain()
    (entry,) = await log.entries()
    assert {entry[name] for name in ("at", "source_seq", "actor_seq", "room_seq")} == {MAX_INTEGER}


async def test_nothing_is_signed_before_the_log_says_that_its_keys_changed(log: Log) -> None:
    """Else a head would stand under keys that the entries below it do not name."""
    await log.put(5)
    async with log.db.begin() as tx:
        await log.inbox.put(tx, Draft(kind="key.rotated", actor=system_actor("signer")))
    await log.put(1)
    sequencer = log.new_sequencer(batch=2)
    signed = []
    while await sequencer.step():
        async with log.db.read() as connection:
            signed.append((await LedgerStore(connection).head()).signed_size)
    assert signed == [0, 0, 6, 7]


async def test_a_leader_that_was_overtaken_before_it_published_publishes_nothing(log: Log) -> None:
    """What it has may be the checkpoint of a log that was closed meanwhile."""
    late = log.new_sequencer(signer=_Overtaken(log))
    await log.put(3)
    await late.step()
    async with log.db.read() as connection:
        assert (await LedgerStore(connection).head()).signed_size == 0
    await log.drain()
    assert (await log.checkpoint()).size == 3


class _Overtaken:
    """A signer whose answer comes when another has the lead."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def head(self) -> Head:
        return await self._log.signer.head()

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bytes:
        note = await self._log.signer.sign(checkpoint, proof)
        await self._log.sequencer.lead()
        return note
