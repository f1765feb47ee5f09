"""What is kept of a log that was closed, what is not said again in the next one, and who may close it."""

import asyncio
import json
from pathlib import Path

import pytest

from audit.batch_store import BatchStore, LedgerConflictError
from audit.closed import COSIGNED
from audit.digests import Digests, Memory
from audit.files import read_vkeys
from audit.former_store import CLEARED, FormerStore
from audit.indexes import read_seeds
from audit.key_history import parse_statements
from audit.keys import KeyFileError, verify_signature
from audit.note import Checkpoint, open_note
from audit.parts import CHECKPOINT, DISCLOSURES, INDEXES, STATEMENTS, Report, one_by_one
from audit.sequencer import Sequencer
from audit.signer import LocalSigner
from audit.store import CosignedRow, LedgerStore
from audit.structure import check_entries
from audit.tables import (
    ledger_cosigned,
    ledger_disclosure,
    ledger_former,
    ledger_former_disclosure,
    ledger_former_entry,
    ledger_former_timestamp,
    ledger_head,
    ledger_timestamp,
)
from audit.timestamp_store import TimestampRow, TimestampStore
from audit.tree import EMPTY_ROOT
from audit.walk import Walk
from bridge.signer.closing import apply_succession, prepare_succession
from bridge.signer.statements import sign_as_root
from bridge.successor import enter_succession
from config.clock import DAY
from config.db import Database, metadata
from tests.store.test_rotation import Life
from tests.store.test_successor import backup, former, head_of, lose, refused_in, restore, succeed

KEPT = (
    ledger_head,
    ledger_disclosure,
    ledger_former,
    ledger_former_entry,
    ledger_former_disclosure,
    ledger_former_timestamp,
)
"""The ledger's tables that stay when a log is closed: of closed logs, or of one log after the other."""


@pytest.fixture
def life(tmp_path: Path, database_url: str) -> Life:
    return Life(tmp_path, database_url)


async def attest(life: Life) -> tuple[bytes, dict[str, bytes]]:
    """Have outsiders say something of the log as it is signed now: the cosigned note, and files of a timestamp."""
    db = Database(life.url)
    async with db.begin() as tx:
        head = await LedgerStore(tx).head()
        assert head.checkpoint is not None
        cosigned = head.checkpoint + "— witness.example AAAAAAAA\n".encode()
        await LedgerStore(tx).set_cosigned(CosignedRow(size=head.signed_size, at=1, checkpoint=cosigned))
        row = TimestampRow(size=head.signed_size, at=1, tsr=b"tsr", checkpoint=head.checkpoint)
        await TimestampStore(tx).keep(row)
    await db.close()
    size = head.signed_size
    return cosigned, {f"timestamps/{size}.checkpoint": head.checkpoint, f"timestamps/{size}.tsr": b"tsr"}


async def loss(life: Life, prefix: str = "lost") -> None:
    """People come after a backup; it is put back."""
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix=prefix)
        await hub.entries()
    await restore(life.url, kept)


def test_of_each_table_it_is_said_whether_it_is_of_one_log() -> None:
    tables = sorted(table.name for table in metadata.sorted_tables if table.name.startswith("ledger_"))
    assert sorted(table.name for table in (*CLEARED, *KEPT)) == tables


async def test_what_outsiders_said_of_the_closed_log_is_kept(life: Life) -> None:
    async with life.hub() as hub:
        await hub.entries()
    cosigned, stamp = await attest(life)
    await loss(life)
    await succeed(life, root := life.take_root())
    await life.export()
    (files,) = await former(life)
    assert files.content[COSIGNED] == cosigned
    assert {name: data for name, data in files.content.items() if name.startswith("timestamps/")} == stamp
    rows = await backup(life.url)
    assert not rows[ledger_cosigned.name]
    assert not rows[ledger_timestamp.name]
    second, newer = await attest(life)
    await loss(life, "again")
    await succeed(life, root)
    await life.export()
    files, last = await former(life)
    assert (files.content[COSIGNED], last.content[COSIGNED]) == (cosigned, second)
    assert {name: data for name, data in last.content.items() if name.startswith("timestamps/")} == newer
    assert len((await backup(life.url))[ledger_former_timestamp.name]) == 2


async def test_a_log_without_witnesses_and_authority_has_none_of_that(life: Life) -> None:
    await succeed(life, await lose(life))
    await life.export()
    (files,) = await former(life)
    assert not {name for name in files.names() if name.startswith(("timestamps/", "keys/statements", "indexes"))}
    assert COSIGNED not in files.names()


async def test_seeds_and_changes_of_keys_are_written_as_in_an_export(life: Life) -> None:
    await life.export()
    root = life.take_root()
    life.rotate(root, overlap_days=0)
    async with life.hub() as hub:
        life.clock.now += DAY
        await hub.add_person("contoso", prefix="early")
        assert await hub.entries("index.published")
    await loss(life)
    key, at = read_vkeys(life.folder.vkey)[0], await head_of(life)
    await succeed(life, root)
    await life.export()
    (files,) = await former(life)
    assert Checkpoint.parse(open_note(files.content[CHECKPOINT], key, verify_signature)) == at
    walk = Walk(Report(checkpoint=at, key=key), Digests(Memory), read_seeds(files))
    assert check_entries(files, at.size, walk, one_by_one, lambda _done, _all: None) == at.root
    assert walk.wrong is None, "each index has its seed"
    seeds = {json.loads(line)["entry"] for line in files.content[INDEXES].splitlines()}
    shown = {json.loads(line)["entry"] for line in files.content[DISCLOSURES].splitlines()}
    assert seeds
    assert not seeds & shown
    ((position, _),) = parse_statements(files.content[STATEMENTS])
    assert list(walk.key_changes) == [position]
    await loss(life, "again")
    await succeed(life, root)
    await life.export()
    _, second = await former(life)
    assert [at for at, _ in parse_statements(second.content[STATEMENTS])] == [0], "its own first entry has one"


@pytest.mark.parametrize("sequenced", [True, False])
async def test_with_nothing_signed_the_old_logs_beginning_is_not_said_again(life: Life, *, sequenced: bool) -> None:
    async with life.hub():
        pass
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="lost")
        await hub.entries()
    await restore(life.url, kept)
    if sequenced:
        async with life.hub() as hub:
            await refused_in(hub)
        assert (await head_of(life)).size == 0
    await succeed_from_nothing(life)
    async with life.hub() as hub:
        opened = await hub.entries("log.opened")
        entries = await hub.entries()
    assert [entry["data"]["origin"] for entry in opened] == ["conclave.test/2"]
    assert opened[0]["actor"] == {"system": "bootstrap"}
    assert all(len(entry["salt"]) == 22 for entry in entries), "no hash of an entry can be guessed"
    assert len(entries) > 1


async def succeed_from_nothing(life: Life) -> None:
    """As ``succeed``, where the log has not its first entry yet."""
    request = prepare_succession(life.folder, Checkpoint(origin="conclave.test", size=0, root=EMPTY_ROOT), life.clock)
    apply_succession(life.folder, sign_as_root(request, life.take_root()), life.clock)


async def test_two_hubs_that_start_at_once_close_the_log_once(life: Life) -> None:
    await succeed(life, await lose(life))
    known, stores = life.folder.known(), [Database(life.url) for _ in range(3)]
    opening = {"origin": known.current[0].name}
    await asyncio.gather(*(enter_succession(db, known, opening, life.clock) for db in stores))
    for db in stores:
        await db.close()
    assert len(await former(life)) == 1
    (row,) = [json.loads(row["body"]) for row in (await backup(life.url))["inbox"] if "log.opened" in row["body"]]
    assert row["data"] == opening


async def test_whoever_led_the_closed_log_writes_nothing_into_the_next(life: Life) -> None:
    root = await lose(life)
    async with life.hub() as hub:
        stalled: Sequencer = hub.hub.sequencer
        db = Database(life.url)
        stalled._db = db
        await stalled.lead()
        before = (await backup(life.url))[ledger_head.name][0]["term"]
    await succeed(life, root)
    async with life.hub():
        assert (await backup(life.url))[ledger_head.name][0]["term"] > before
        with pytest.raises(LedgerConflictError, match="has taken over from leader"):
            await stalled.step()
    await db.close()


async def test_closing_itself_takes_the_lead(db: Database) -> None:
    async with db.begin() as tx:
        await BatchStore(tx).lead()
        head = await LedgerStore(tx).head()
        await FormerStore(tx).close("log.example", head, b"statement")
        assert (await LedgerStore(tx).head()).term == head.term + 1


async def test_a_start_that_does_not_need_to_close_anything_takes_nobodys_lead(life: Life) -> None:
    await succeed(life, await lose(life))
    await life.export()
    before = (await backup(life.url))[ledger_head.name]
    async with life.hub():
        assert (await backup(life.url))[ledger_head.name] == before


async def test_a_start_that_fails_leaves_the_signer_closed(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def close(signer: LocalSigner) -> None:
        closed.append(signer)

    async def refuse(*_: object) -> None:
        raise KeyFileError("no")

    monkeypatch.setattr(LocalSigner, "close", close)
    for name in ("enter_succession", "enter_key_statements"):
        with monkeypatch.context() as patch:
            patch.setattr(f"bridge.app.{name}", refuse)
            with pytest.raises(KeyFileError):
                await life.export()
    assert len(closed) == 2
