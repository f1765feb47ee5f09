"""A backup of the database is put back for good: the log is closed, and one that follows it goes on."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from audit.closed import SUCCESSION
from audit.digests import Digests, Memory
from audit.files import read_vkeys
from audit.heads import read_head, write_head
from audit.keys import KeyFileError, SigningKey, read_key, verify_signature
from audit.note import Checkpoint, NoteError, open_note
from audit.parts import CHECKPOINT, DISCLOSURES, LOG_KEY, STATEMENTS, Report, VerificationError, one_by_one
from audit.signer import LocalSigner, SignerRefusedError
from audit.structure import check_entries
from audit.succession import KeyStatement, open_statement
from audit.tree import Head
from audit.verify import verify_bundle
from audit.walk import Walk
from bridge.former import former_files, former_logs
from bridge.signer.closing import apply_succession, prepare_succession
from bridge.signer.folder import SignerFolder
from bridge.signer.service import create_signer
from bridge.signer.statements import KeyStatementError, sign_as_root
from bridge.successor import refuse_without_need, signed_head
from config.db import Database, metadata
from config.errors import ConflictError
from config.settings import LedgerSettings
from tests.fakes.hub import FakeHub
from tests.ledger import Files, signing_key
from tests.store.test_remote_signer import process
from tests.store.test_rotation import Life, sqlite_copy, verified

Backup = Mapping[str, Sequence[dict[str, Any]]]


@pytest.fixture
def life(tmp_path: Path, database_url: str) -> Life:
    return Life(tmp_path, database_url)


async def backup(url: str) -> Backup:
    """Every row of the database."""
    db = Database(url)
    async with db.read() as connection:
        found = {
            table.name: [dict(row._mapping) for row in await connection.execute(select(table))]
            for table in metadata.sorted_tables
        }
    await db.close()
    return found


async def restore(url: str, rows: Backup) -> None:
    """Put the database back to what it was."""
    db = Database(url)
    async with db.begin() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(delete(table))
        for table in metadata.sorted_tables:
            if rows[table.name]:
                await tx.execute(insert(table), list(rows[table.name]))
    await db.close()


async def lose(life: Life, *, after: int = 3) -> SigningKey:
    """A hub that lived, a backup, ``after`` people more, the backup put back; the root key."""
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="early")
        await hub.entries()
    kept = await backup(life.url)
    async with life.hub() as hub:
        for _ in range(after):
            await hub.add_person("contoso", prefix="lost")
        await hub.entries()
    await restore(life.url, kept)
    return life.take_root()


async def head_of(life: Life) -> Checkpoint:
    db = Database(life.url)
    try:
        return await signed_head(db)
    finally:
        await db.close()


async def succeed(life: Life, root: SigningKey, folder: SignerFolder | None = None) -> KeyStatement:
    place = folder or life.folder
    request = prepare_succession(place, await head_of(life), life.clock)
    return apply_succession(place, sign_as_root(request, root), life.clock)


async def former(life: Life) -> list[Files]:
    db = Database(life.url)
    try:
        return [Files({path: data async for path, data in former_files(db, log)}) for log in await former_logs(db)]
    finally:
        await db.close()


async def refused_in(hub: FakeHub) -> None:
    """What the hub records after the backup was put back is written, and not signed."""
    await hub.add_person("contoso", prefix="between")
    with pytest.raises(SignerRefusedError):
        await hub.entries()


async def test_a_log_that_lost_its_end_gets_a_successor(life: Life) -> None:
    root = await lose(life)
    async with life.hub() as hub:
        await refused_in(hub)
    old, at = read_vkeys(life.folder.vkey), await head_of(life)
    signed = read_head(life.folder.memory)
    statement = await succeed(life, root)
    new = read_vkeys(life.folder.vkey)
    assert (new[0].name, statement.successor) == ("conclave.test/2", "conclave.test/2")
    files = await life.export()
    assert verified(files, new) == verified(files, new, root.public) == new
    async with life.hub() as hub:
        entries = await hub.entries()
    opened = entries[0]["data"]
    assert (opened["origin"], opened["log_key"]) == ("conclave.test/2", str(new[0]))
    cited = open_statement(opened["succession"].encode(), verify_signature)
    assert (cited.origin, cited.old, cited.restored) == ("conclave.test", tuple(old), at)
    assert cited.signed == Checkpoint(origin="conclave.test", size=signed.size, root=signed.root)
    assert signed.size > at.size
    kinds = [entry["kind"] for entry in entries]
    assert kinds[:3] == ["log.opened", "person.invited", "person.enrolled"], "what was never signed is recorded again"
    assert all(entry["source_seq"] == 1 for entry in entries[:2])
    assert (await head_of(life)).origin == "conclave.test/2"


async def test_who_holds_the_old_key_needs_the_root_to_be_led_on(life: Life) -> None:
    root = await lose(life)
    old = read_vkeys(life.folder.vkey)
    await succeed(life, root)
    files, new = await life.export(), read_vkeys(life.folder.vkey)
    report = verify_bundle(files, old, verify_signature, root=root.public)
    assert list(report.keys) == new
    assert report.key_changes[0].startswith("entry 0: this log follows conclave.test, of which the entries from ")
    assert report.key_changes[0].endswith("are declared lost, on the root key's word")
    with pytest.raises(VerificationError, match=r"no key that you hold signed the statement that replaced .*succeed"):
        verified(files, old)
    with pytest.raises(VerificationError, match="another root key than the one you hold"):
        verified(files, new, signing_key("conclave.test/root", 66).public)
    line = json.loads(files.content[STATEMENTS])
    assert line["entry"] == 0
    with pytest.raises(VerificationError, match=r"does not have the listed hash|does not have what the log has"):
        verified(files.without(STATEMENTS), new)


async def test_the_closed_log_stays_readable_as_it_was_signed(life: Life) -> None:
    root = await lose(life)
    async with life.hub() as hub:
        await refused_in(hub)
    old, at = read_vkeys(life.folder.vkey), await head_of(life)
    await succeed(life, root)
    await life.export()
    (files,) = await former(life)
    checkpoint = Checkpoint.parse(open_note(files.content[CHECKPOINT], old[0], verify_signature))
    assert checkpoint == at
    walk = Walk(Report(checkpoint=checkpoint, key=old[0]), Digests(Memory))
    root_found = check_entries(files, checkpoint.size, walk, one_by_one, lambda _done, _all: None)
    assert (root_found, walk.wrong) == (at.root, None)
    assert files.content[LOG_KEY].decode() == f"{old[0]}\n"
    assert open_statement(files.content[SUCCESSION], verify_signature).restored == at
    shown = [json.loads(line)["entry"] for line in files.content[DISCLOSURES].splitlines()]
    assert shown == sorted(shown)
    assert shown
    assert max(shown) < at.size


async def test_disclosures_go_with_their_log(life: Life) -> None:
    root = await lose(life)
    async with life.hub() as hub:
        await refused_in(hub)
    before = {row["digest"]: row["position"] for row in (await backup(life.url))["ledger_disclosure"]}
    size = (await head_of(life)).size
    await succeed(life, root)
    async with life.hub():
        rows = await backup(life.url)  # nothing has its place yet
    kept = {row["digest"] for row in rows["ledger_former_disclosure"]}
    assert kept == {digest for digest, position in before.items() if position < size}
    waiting = {row["digest"]: row["position"] for row in rows["ledger_disclosure"]}
    assert waiting == dict.fromkeys(before.keys() - kept)
    assert waiting


async def test_a_restore_after_a_rotation_and_a_second_loss(life: Life) -> None:
    await life.export()
    root = life.take_root()
    kept = await backup(life.url)
    life.rotate(root)
    await life.export()  # the rotation itself is lost
    await restore(life.url, kept)
    assert (await succeed(life, root)).successor == "conclave.test/2"
    await life.export()
    kept = await backup(life.url)
    life.rotate(root, overlap_days=0)
    files = await life.export()
    assert verified(files, read_vkeys(life.folder.vkey)) == read_vkeys(life.folder.vkey)
    await restore(life.url, kept)
    assert (await succeed(life, root)).successor == "conclave.test/3"
    files = await life.export()
    assert verified(files, read_vkeys(life.folder.vkey), root.public)[0].name == "conclave.test/3"
    assert len(await former(life)) == 2


async def test_without_need_it_is_refused(life: Life) -> None:
    await life.export()
    folder, at = life.folder, await head_of(life)
    with pytest.raises(ConflictError, match="nothing was lost"):
        prepare_succession(folder, at, life.clock)
    db = Database(life.url)
    with pytest.raises(ConflictError, match=r"goes on from the .* entries that were signed: nothing was lost"):
        await refuse_without_need(db, read_head(folder.memory))
    with pytest.raises(ConflictError, match="nothing was lost"):
        await refuse_without_need(db, Head())
    await refuse_without_need(db, Head(at.size, bytes(32)))
    await db.close()
    await lose(life)
    db = Database(life.url)
    await refuse_without_need(db, read_head(folder.memory))
    await db.close()


async def test_the_signer_gives_its_key_up_for_the_roots_word_alone(life: Life) -> None:
    root = await lose(life)
    folder, at = life.folder, await head_of(life)
    request = prepare_succession(folder, at, life.clock)
    assert prepare_succession(folder, at, life.clock).partition(b"\n\n")[0] == request.partition(b"\n\n")[0], (
        "same keys"
    )
    other = signing_key("conclave.test/root", 66)
    with pytest.raises(KeyStatementError, match="it is for the root key"):
        sign_as_root(request, other)
    signed = sign_as_root(request, root)
    rotation = folder.prepare(recover=True, overlap_days=0, clock=life.clock)
    for note, says in (
        (request, "not signed by the root key"),
        (signed.replace(b"restored ", b"restored 1"), "not signed by the new key: the signature by .* does not hold"),
        (sign_as_root(rotation, root), "does not say which log it follows"),
        (b"x", "has no signature block"),
    ):
        with pytest.raises(KeyStatementError, match=says):
            apply_succession(folder, note, life.clock)
    with pytest.raises(KeyFileError, match="is not the key that the statement names"):
        apply_succession(folder, signed, life.clock)  # the request for a rotation made other keys since
    with pytest.raises(KeyStatementError, match="does not replace keys of a log that goes on"):
        folder.apply(signed, life.clock)
    request = prepare_succession(folder, at, life.clock)
    write_head(folder.memory, Head(at.size + 1, bytes(32)))
    with pytest.raises(KeyStatementError, match="does not name what this signer signed last"):
        apply_succession(folder, sign_as_root(request, root), life.clock)


async def test_the_old_log_gets_no_signature_any_more(life: Life) -> None:
    root = await lose(life)
    old_key, old_memory = read_key(life.folder.root / "log.key"), read_head(life.folder.memory)
    statement = await succeed(life, root)
    assert statement.signed is not None
    signer = life.folder.open(life.clock)
    with pytest.raises(SignerRefusedError, match=r"signs for conclave\.test/2, not for conclave\.test"):
        await signer.sign(statement.signed, [])
    assert not list(life.folder.root.glob("*.old.key"))
    assert old_key.public not in life.folder.known().current
    assert read_head(life.folder.root / "signer-0001.json") == old_memory, "what it signed last is kept"


@pytest.mark.parametrize("killed", ["statement", "key", "memory"])
async def test_killed_at_the_signer_it_goes_on(tmp_path: Path, sqlite_base: Path, killed: str) -> None:
    life = Life(tmp_path, sqlite_copy(tmp_path, sqlite_base))
    root = await lose(life)
    keys, at = life.folder.root, await head_of(life)
    signed = sign_as_root(prepare_succession(life.folder, at, life.clock), root)
    (keys / "statements").mkdir()
    (keys / "statements" / "0001.note").write_bytes(signed)
    if killed in ("key", "memory"):
        (keys / "log.next.key").replace(keys / "log.key")
    if killed == "memory":
        (keys / "signer-0001.json").write_bytes((keys / "signer.json").read_bytes())
    apply_succession(life.folder, signed, life.clock)
    files = await life.export()
    assert verified(files, read_vkeys(life.folder.vkey), root.public)[0].name == "conclave.test/2"
    before = read_head(life.folder.memory)
    life.folder.promote(life.clock)
    assert read_head(life.folder.memory) == before, "the memory begins anew once"
    assert before.size > 0
    life.folder.memory.unlink()
    with pytest.raises(SignerRefusedError, match="is missing or unreadable"):
        life.folder.open(life.clock)


async def test_killed_in_the_hub_it_goes_on(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    root = await lose(life)
    await succeed(life, root)
    before = await backup(life.url)

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr("audit.former_store.FormerStore.put", killed)
        with pytest.raises(asyncio.CancelledError):
            await life.export()
    assert await backup(life.url) == before, "all of it or nothing"
    for _ in range(2):  # the second start finds it done, before and after the first entry has its place
        async with life.hub():
            pass
    assert verified(await life.export(), read_vkeys(life.folder.vkey))[0].name == "conclave.test/2"
    assert len(await former(life)) == 1


async def test_a_statement_for_another_backup_stops_the_hub(life: Life) -> None:
    async with life.hub() as hub:
        await hub.entries()
    older = await backup(life.url)
    root = await lose(life)
    await succeed(life, root)
    kept = await backup(life.url)
    await restore(life.url, older)
    with pytest.raises(KeyFileError, match=r"signed entries of conclave\.test, and the statement that closes"):
        await life.export()
    await restore(life.url, kept)
    assert verified(await life.export(), read_vkeys(life.folder.vkey))


async def test_a_database_that_has_what_was_lost_stops_the_hub(life: Life) -> None:
    async with life.hub() as hub:
        await hub.add_person("contoso")
        await hub.entries()
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="more")
        await hub.entries()
    newest = await backup(life.url)
    await restore(life.url, kept)
    await succeed(life, life.take_root())
    stale = [{**row, "signed_size": kept["ledger_head"][0]["signed_size"]} for row in newest["ledger_head"]]
    stale[0]["checkpoint"] = kept["ledger_head"][0]["checkpoint"]
    await restore(life.url, {**newest, "ledger_head": stale})
    with pytest.raises(KeyFileError, match="the database has what the statement says was lost"):
        await life.export()


async def test_a_signer_apart_gives_its_key_up_and_the_hub_follows(tmp_path: Path, database_url: str) -> None:
    apart = create_signer(tmp_path / "signer", "conclave.test", post_quantum=True)
    root = read_key(apart.root_key)
    life = Life(tmp_path, database_url, LedgerSettings(signer=tmp_path / "signer" / "s.sock"))
    async with process(tmp_path / "signer"):
        await life.export()
        kept = await backup(life.url)
        await life.export()
        await restore(life.url, kept)
    old = read_vkeys(apart.vkey)
    await succeed(life, root, apart)
    async with process(tmp_path / "signer"):
        files = await life.export()
        again = await life.export()
    new = read_vkeys(apart.vkey)
    assert len(new) == 2
    assert verified(files, new) == verified(again, old, root.public) == new


async def test_the_rooms_events_are_found_in_both_logs(life: Life) -> None:
    async with life.hub() as hub:
        rooms = await hub.stage()
        await hub.entries()
    kept = await backup(life.url)
    async with life.hub() as hub:
        await hub.add_person("contoso", prefix="more")
        await hub.entries()
    await restore(life.url, kept)
    await succeed(life, life.take_root())
    async with life.hub() as hub:
        await hub.entries()
        key = next(room["key"] for room in (await hub.api("GET", "/v1/rooms"))["items"] if room["room_id"])
        assert rooms
        found = await hub.api("GET", f"/v1/ledger/rooms/{key}")
        assert found["agrees"], found
        assert found["events"] > 1


def test_a_memory_that_was_never_used_signs_nothing_old(tmp_path: Path) -> None:
    folder = create_signer(tmp_path / "signer", "log.example")
    restored = Checkpoint(origin="log.example", size=0, root=Head().root)
    with pytest.raises(ConflictError, match="nothing was lost"):
        prepare_succession(folder, restored)
    with pytest.raises(ConflictError, match=r"has the log other\.example, and this key is of log\.example"):
        prepare_succession(folder, Checkpoint(origin="other.example", size=0, root=Head().root))
    with pytest.raises(NoteError):
        KeyStatement.parse("x\n")
    assert isinstance(folder.open(), LocalSigner)
