"""Killed at every durable step of the pipeline, one after the other: after the restart nothing is missing, doubled or
unsigned, nothing that was acknowledged or signed is taken back, and the offline verifier says so."""

import asyncio
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Awaitable, Callable
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete

from audit.batch_store import BatchStore
from audit.files import Folder
from audit.inbox import Inbox
from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.sequencer import Sequencer
from audit.signer import LocalSigner
from audit.store import CosignedRow, LedgerStore
from audit.tables import inbox, inbox_source
from audit.tiles import decode_bundle
from audit.tree import Frontier, leaf_hash
from audit.verify import verify_bundle
from bridge.cli.client import HubClient
from bridge.cli.fetching import fetch_bundle
from config.db import Database, metadata, run
from tests.fakes.hub import ManualClock
from tests.faults.crash_points import DyingShutil, Killed, Steps, dying
from tests.ledger import LOG_KEY, OPENED, ORIGIN, Files, Handed, export, sample

LEAST = 200
SAMPLED = 15
"""``make test`` takes every fifteenth point, ``make test-long`` all of them."""
TABLES = (inbox, inbox_source, *(table for name, table in metadata.tables.items() if name.startswith("ledger_")))
HANDED: list[Handed] = [("hub", OPENED), *sample(35)]
BATCH = 6


class World:
    """What is outside the process that dies: the disk, and what others remember of what it told them."""

    def __init__(self, url: str, place: Path) -> None:
        self.url = url
        self.place = place
        self.acknowledged: Counter[str] = Counter()
        self.given_out: list[Checkpoint] = []
        LocalSigner.initialise(place / "signer.json")

    async def live(self, db: Database) -> None:
        """A whole life: hand in what is missing, have it sequenced in between, keep what the witnesses cosigned."""
        clock = ManualClock()
        sequencer = Sequencer(db, _Telling(self), ORIGIN, Inbox("hub", clock), batch=BATCH)
        await sequencer.lead()
        for number, (source, drafts) in enumerate(await self._missing(db)):
            clock.now += 1
            async with db.begin() as tx:
                await Inbox(source, clock).put(tx, *[draft for _, draft in drafts])
            self.acknowledged[source] += len(drafts)
            if number % 3 == 2:
                await sequencer.step()
        while await sequencer.step():
            pass
        await self._cosign(db)

    async def _missing(self, db: Database) -> list[tuple[str, list[Handed]]]:
        """What each source has not handed in yet, in transactions of one or three; it goes on from its own counter."""
        async with db.read() as connection:
            done = Counter(dict(list(await run(connection, "SELECT source, seq FROM inbox_source"))))
        for source, count in self.acknowledged.items():
            assert done[source] >= count, f"{source} was told that {count} are safe, and only {done[source]} are"
        self.acknowledged = Counter(done)
        parts: list[tuple[str, list[Handed]]] = []
        for handed in HANDED:
            source, done[handed[0]] = handed[0], done[handed[0]] - 1
            if done[source] < 0:
                if parts and parts[-1][0] == source and len(parts[-1][1]) < 3:
                    parts[-1][1].append(handed)
                else:
                    parts.append((source, [handed]))
        return parts

    async def _cosign(self, db: Database) -> None:
        async with db.begin() as tx:
            head = await LedgerStore(tx).head()
            assert head.checkpoint is not None
            row = CosignedRow(size=head.signed_size, at=1, checkpoint=head.checkpoint)
            await LedgerStore(tx).set_cosigned(row)

    async def check(self, db: Database) -> None:
        """Everything is in the log once, in each source's order; it verifies; it begins with whatever was given out."""
        files = await export(db)
        verify_bundle(files, LOG_KEY.public, verify_ed25519)
        bodies = entries(files)
        for source in {source for source, _ in HANDED}:
            found = [body for body in map(json.loads, bodies) if body["source"] == source]
            drafts = [draft for origin, draft in HANDED if origin == source]
            assert [(body["kind"], body["data"]) for body in found] == [(d.kind, dict(d.data)) for d in drafts]
        assert len(bodies) == len(HANDED)
        assert len(files.read("disclosures.ndjson").splitlines()) == sum(len(d.disclose) for _, d in HANDED)
        for head in self.given_out:
            assert Frontier().extend(map(leaf_hash, bodies[: head.size])).root() == head.root
        async with db.read() as connection:
            assert await BatchStore(connection).pending() == (False, False)
            cosigned = await LedgerStore(connection).cosigned()
        assert cosigned is not None
        assert cosigned.size == len(HANDED)


class _Telling:
    """The signer of a process, read from its files; what it signs is remembered outside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._signer = LocalSigner(LOG_KEY, world.place / "signer.json")
        self.head, self.close = self._signer.head, self._signer.close

    async def sign(self, checkpoint: Checkpoint, proof: Any) -> bytes:
        note = await self._signer.sign(checkpoint, proof)
        self._world.given_out.append(Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519)))
        return note


def entries(files: Files) -> list[bytes]:
    names = sorted(name for name in files.names() if name.startswith("tile/entries/"))
    return [body for name in names for body in decode_bundle(files.read(name), int(name.partition(".p/")[2] or 256))]


Fresh = Callable[[], Awaitable[World]]


async def die(world: World, at: int | None, patch: pytest.MonkeyPatch) -> Steps:
    """One life of the pipeline that ends at step ``at``; the steps that it took."""
    steps = Steps(at)
    try:
        async with dying(steps, world.url, patch) as db:
            await world.live(db)
    except Killed:
        pass
    return steps


async def resurrect(world: World) -> None:
    """Start again from the disk, finish, and look."""
    db = Database(world.url)
    try:
        await world.live(db)
        await world.check(db)
    finally:
        await db.close()


@pytest.fixture
def fresh(database_url: str, tmp_path: Path) -> Fresh:
    numbers = iter(range(10_000))

    async def make() -> World:
        place = tmp_path / f"{next(numbers)}"
        place.mkdir()
        db = Database(database_url)
        async with db.begin() as tx:
            for table in TABLES:
                await tx.execute(delete(table))
        await db.close()
        return World(database_url, place)

    return make


async def points(fresh: Fresh, patch: pytest.MonkeyPatch) -> list[str]:
    """The durable steps of a life that nothing ends."""
    world = await fresh()
    steps = await die(world, None, patch)
    await resurrect(world)
    return steps.names


async def killed_at(at: int, fresh: Fresh, patch: pytest.MonkeyPatch) -> None:
    world = await fresh()
    assert len((await die(world, at, patch)).names) == at
    await resurrect(world)


async def test_killed_at_some_of_its_durable_steps(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    names = await points(fresh, monkeypatch)
    for at in range(1, len(names) + 1, SAMPLED):
        await killed_at(at, fresh, monkeypatch)


@pytest.mark.long
async def test_killed_at_every_durable_step(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    names = await points(fresh, monkeypatch)
    assert len(names) >= LEAST
    for at in range(1, len(names) + 1):
        await killed_at(at, fresh, monkeypatch)


@pytest.mark.long
async def test_killed_again_while_it_recovers(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second death, a few steps into the life after the first."""
    names = await points(fresh, monkeypatch)
    for at in range(1, len(names) + 1, 5):
        world = await fresh()
        await die(world, at, monkeypatch)
        await die(world, 2 + at % 9, monkeypatch)
        await resurrect(world)


class _Sends(HubClient):
    """A hub that sends the bundle ``archive``."""

    archive: bytes

    def stream(self, path: str) -> HTTPResponse:
        return cast(HTTPResponse, io.BytesIO(self.archive))


async def test_an_export_cut_off_anywhere_is_not_there_or_whole(
    sqlite_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    world = World(f"sqlite+aiosqlite:///{tmp_path}/hub.sqlite3", tmp_path)
    db = Database(world.url)
    await world.live(db)
    client = _Sends(url="http://x", token="x")
    object.__setattr__(client, "archive", _tar(await export(db)))
    await db.close()

    def fetch(steps: Steps, out: Path) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("bridge.cli.fetching.shutil", DyingShutil(steps))
            fetch_bundle(client, 2, out)

    steps = Steps()
    await asyncio.to_thread(fetch, steps, tmp_path / "whole")
    for at in range(1, len(steps.names) + 1):
        out = tmp_path / f"out{at}"
        with pytest.raises(Killed):
            fetch(Steps(at), out)
        assert not out.exists()
        fetch(Steps(), out)
        verify_bundle(Folder(out), LOG_KEY.public, verify_ed25519)
    assert len(steps.names) >= 16


def _tar(files: Files) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.content.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()
