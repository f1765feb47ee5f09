"""Exports of the real pipeline: a whole one verifies, and no file can be changed, lost or added unnoticed."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import delete

from audit.files import Folder, read_vkeys
from audit.keys import verify_ed25519
from audit.note import NoteError
from audit.parts import CHANGED, MANIFEST, Bundle, Report, VerificationError
from audit.tables import ledger_disclosure
from audit.tiles import decode_bundle, encode_bundle
from audit.verify import verify_bundle
from config.db import Database
from tests.ledger import LOG_KEY, Files, export, make_log, resealed, sample, signed

SIZES = (300, 700)
FLIPS = 200
SHARES = [4, pytest.param(1, marks=pytest.mark.long)]
"""``make test`` turns a quarter of the bits over, others in each run; ``make test-long`` all of them."""

Mutation = Callable[[bytes], bytes]


def check(bundle: Bundle) -> Report:
    return verify_bundle(bundle, LOG_KEY.public, verify_ed25519)


def refused(bundle: Bundle) -> VerificationError:
    with pytest.raises(VerificationError) as raised:
        check(bundle)
    return raised.value


def points_to(error: VerificationError, name: str) -> bool:
    """Whether ``error`` leads to the file ``name``: itself, a line or an entry in it, or what it signs."""
    if name.startswith("tile/") and error.where.startswith("entry "):
        return True
    return error.where.split(" line ")[0] in ({name, MANIFEST} if name == f"{MANIFEST}.sig" else {name})


@pytest.fixture(scope="module")
async def bundles(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Files]:
    """One log at the size of 300, and when it had grown to 700."""
    place = tmp_path_factory.mktemp("verify")
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db = Database.sqlite(place / "hub.sqlite3")
    ledger = await make_log(db, place, sample(299))
    small = await export(db)
    await ledger.append(sample(400))
    large = await export(db)
    await db.close()
    return {300: small, 700: large}


@pytest.fixture
def bundle(bundles: Mapping[int, Files]) -> Files:
    return bundles[300]


@pytest.fixture
def folder(bundle: Files, tmp_path: Path) -> Path:
    """The export on disk."""
    return bundle.save(tmp_path / "export")


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_export_is_valid(bundles: Mapping[int, Files], size: int) -> None:
    report = check(bundles[size])
    assert report.checkpoint.size == report.kinds.total() == size
    assert report.files == len(bundles[size].names())
    assert report.kinds["log.opened"] == 1
    assert report.disclosed == 2 * report.kinds["person.invited"] > 0
    assert report.withheld == 0


def test_the_larger_export_has_full_tiles_and_a_second_level(bundles: Mapping[int, Files]) -> None:
    """What the tests below change is there to be changed."""
    assert {"tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"} < bundles[700].names()
    assert {"tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"} < bundles[700].names()


def test_progress_is_told_up_to_the_end(bundle: Files) -> None:
    told: list[tuple[int, int]] = []
    verify_bundle(bundle, LOG_KEY.public, verify_ed25519, lambda done, whole: told.append((done, whole)))
    assert told == [(300, 300)]


async def test_what_was_erased_is_withheld_and_the_rest_still_holds(db: Database, tmp_path: Path) -> None:
    await make_log(db, tmp_path, sample(20))
    digest = (await _digests(db))[0]
    async with db.begin() as tx:
        await tx.execute(delete(ledger_disclosure).where(ledger_disclosure.c.digest == digest))
    report = check(await export(db))
    assert (report.disclosed, report.withheld) == (5, 1)


@pytest.mark.parametrize("shown", [0, 1, 2, 3, 43, 85, 86])
def test_what_is_not_shown_is_counted(bundle: Files, shown: int) -> None:
    lines = bundle.content["disclosures.ndjson"].splitlines(keepends=True)
    assert len(lines) == 86
    for some in (lines[:shown], lines[len(lines) - shown :]):
        report = check(resealed(bundle.but("disclosures.ndjson", b"".join(some))))
        assert (report.disclosed, report.withheld) == (shown, 86 - shown)


async def _digests(db: Database) -> list[str]:
    async with db.read() as connection:
        return list(await connection.scalars(ledger_disclosure.select().with_only_columns(ledger_disclosure.c.digest)))


@pytest.mark.parametrize("size", SIZES)
def test_a_missing_file_is_named(bundles: Mapping[int, Files], size: int) -> None:
    for name in bundles[size].names():
        error = refused(bundles[size].without(name))
        assert error.where == name
        assert error.meaning in {"a file is missing", "the export is not whole"}
        assert re.search("cannot read it: No such file or directory$|is missing$", str(error))


MUTATIONS: Mapping[str, Mutation] = {
    "cut by a byte": lambda data: data[:-1],
    "cut in half": lambda data: data[: len(data) // 2],
    "emptied": lambda _: b"",
    "a byte added": lambda data: data + b"\x00",
    "a line added": lambda data: data + b"\n",
    "doubled": lambda data: data + data,
    "reversed": lambda data: data[::-1],
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_changed_file_is_named(bundle: Files, mutation: Mutation) -> None:
    for name, data in bundle.content.items():
        if mutation(data) != data:
            assert points_to(refused(bundle.but(name, mutation(data))), name)


def test_a_file_in_the_place_of_another_is_noticed(bundle: Files) -> None:
    names = sorted(bundle.names())
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        assert points_to(refused(bundle.but(name, bundle.content[other])), name)


def flips(bundle: Files, names: Iterable[str], count: int, seed: int) -> Iterator[tuple[str, int, Files]]:
    """``bundle`` with one bit turned over, at ``count`` random places of each of the files ``names``."""
    chance = random.Random(seed)
    for name in sorted(names):
        data = bundle.content[name]
        for bit in chance.sample(range(8 * len(data)), count):
            turned = bytearray(data)
            turned[bit // 8] ^= 1 << bit % 8
            yield name, bit, bundle.but(name, bytes(turned))


@pytest.mark.parametrize("share", SHARES)
def test_every_flipped_bit_is_noticed(bundle: Files, share: int) -> None:
    seed = random.SystemRandom().getrandbits(32)
    flipped = list(flips(bundle, bundle.names(), FLIPS // share, seed))
    survivors = [(name, bit) for name, bit, forged in flipped if not is_noticed(forged, name)]
    assert survivors == [], f"seed {seed}"
    assert len(flipped) >= 2_000 // share


def test_every_flipped_bit_of_a_larger_tree_is_noticed(bundles: Mapping[int, Files]) -> None:
    tree = {name for name in bundles[700].names() if name.startswith("tile/")}
    for name, bit, forged in flips(bundles[700], tree, count=10, seed=1):
        assert is_noticed(forged, name), (name, bit)


def is_noticed(bundle: Files, name: str) -> bool:
    try:
        check(bundle)
    except VerificationError as error:
        return points_to(error, name)
    return False


def test_every_bit_of_the_checkpoint_has_a_meaning(bundle: Files) -> None:
    for bit in range(8 * len(bundle.content["checkpoint"])):
        turned = bytearray(bundle.content["checkpoint"])
        turned[bit // 8] ^= 1 << bit % 8
        assert refused(bundle.but("checkpoint", bytes(turned))).check == "checkpoint"


def test_every_bit_of_the_log_counts_when_the_exports_own_key_signs_for_it(bundle: Files) -> None:
    """Whoever holds the export's key can list changed files; the log's own are held by the checkpoint all the same."""
    held = {name for name in bundle.names() if name.startswith(("tile/", "checkpoint", "keys/log", "disclosures"))}
    for name, bit, forged in flips(bundle, held, count=10, seed=2):
        assert is_noticed(resealed(forged), name), (name, bit)


@pytest.mark.parametrize("number", [0, 1, 255, 256, 299])
def test_a_changed_entry_is_named_by_number_and_kind(bundle: Files, number: int) -> None:
    name, width = ("tile/entries/000", 256) if number < 256 else ("tile/entries/001.p/44", 44)
    entries = decode_bundle(bundle.content[name], width)
    kind = re.search(rb'"kind":"([a-z.]+)"', entries[number % 256])
    assert kind is not None
    entries[number % 256] = entries[number % 256].replace(b'"at":18', b'"at":17')
    error = refused(bundle.but(name, encode_bundle(entries)))
    assert str(error) == (f"entries: entry {number} ({kind[1].decode()}) does not hash to what the log committed to")
    assert error.meaning == CHANGED
    assert CHANGED == "the file was changed after export, or the log's key is not the one you hold"


def test_an_entry_that_is_no_json_any_more_is_named_too(bundle: Files) -> None:
    entries = decode_bundle(bundle.content["tile/entries/000"], 256)
    for broken in (b"", b"\xff", b"[]", b"{}", b'{"kind": []}', b"[" * 5_000):
        forged = encode_bundle([*entries[:7], broken, *entries[8:]])
        assert refused(bundle.but("tile/entries/000", forged)).where.startswith("entry 7")


@pytest.mark.parametrize("name", ["notes.txt", "tile/0/000.p/44", "tile/2/000.p/1", "keys/other.vkey", "manifest.jso"])
def test_a_foreign_file_is_named(bundle: Files, name: str) -> None:
    error = refused(bundle.but(name, b"foreign"))
    assert str(error) == f"files: {name} is not part of the export"
    assert error.meaning == "a file was added"


def test_an_export_on_disk_is_valid(folder: Path) -> None:
    assert check(Folder(folder)).checkpoint.size == 300


def test_a_link_to_the_same_bytes_is_refused(bundle: Files, folder: Path, tmp_path: Path) -> None:
    for name in bundle.names():
        path = folder / name
        elsewhere = path.replace(tmp_path / "moved")
        path.symlink_to(elsewhere)
        error = refused(Folder(folder))
        assert points_to(error, name)
        assert error.detail == "cannot read it: it is a link, or outside the folder"
        path.unlink()
        elsewhere.replace(path)


@pytest.mark.parametrize("name", ["tile", "tile/0", "keys"])
def test_a_linked_folder_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    refused(Folder(folder))


@pytest.mark.parametrize("target", ["/", "tile", "nowhere"])
def test_a_foreign_link_is_named(folder: Path, target: str) -> None:
    (folder / "more").symlink_to(target)
    assert str(refused(Folder(folder))) == "files: more is not part of the export"


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/0/000", "VERIFY.md", "manifest.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    error = refused(Folder(folder))
    assert (error.where, error.detail) == (name, "cannot read it: it is no regular file")


def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()
    assert refused(Folder(folder)).where == "checkpoint"


def test_no_file_is_read_whole_that_is_larger_than_it_can_be(folder: Path) -> None:
    for name in ("checkpoint", "tile/entries/000", "manifest.json"):
        data = (folder / name).read_bytes()
        os.truncate(folder / name, 16_777_473)  # of zeros that take no place
        error = refused(Folder(folder))
        assert error.where == name
        assert error.detail == "cannot read it: it is larger than the 16,777,472 bytes that such a file can have"
        (folder / name).write_bytes(data)
    with (folder / "disclosures.ndjson").open("ab") as file:
        file.write(b"x" * 1_200_000)
    assert points_to(refused(Folder(folder)), "disclosures.ndjson")


def test_a_line_of_the_disclosures_is_bounded(bundle: Files) -> None:
    name = "disclosures.ndjson"
    lines = bundle.content[name].count(b"\n")
    error = refused(resealed(bundle.but(name, bundle.content[name] + b"x" * 1_100_000)))
    assert (error.where, error.detail) == (f"{name} line {lines + 1}", "has more than 1,048,576 bytes")


def test_a_manifest_that_lists_tiles_too_holds_them_to_their_hashes(bundle: Files) -> None:
    """As the manifests of the first exports did."""
    manifest = json.loads(bundle.content[MANIFEST])
    tiles = {name: sha256(data).hexdigest() for name, data in bundle.content.items() if name.startswith("tile/")}
    manifest["files"] |= tiles
    assert check(signed(bundle, json.dumps(manifest).encode())).checkpoint.size == 300
    manifest["files"]["tile/0/000"] = "00" * 32
    error = refused(signed(bundle, json.dumps(manifest).encode()))
    assert str(error) == "files: tile/0/000 does not have the listed hash"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "tile/../../outside"])
def test_nothing_outside_the_folder_is_read(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("secret")
    with pytest.raises(OSError, match="outside the folder"):
        Folder(folder).read(name)


def test_a_link_to_itself_is_refused_in_words(folder: Path) -> None:
    (folder / "tile" / "0").rename(folder.parent / "moved")
    (folder / "tile" / "0").symlink_to(folder / "tile" / "0")
    assert refused(Folder(folder)).detail == "cannot read it: it is a link, or outside the folder"


class Closed(Folder):
    """A folder with one in it that this user may not read; root may read all, so it has to be played."""

    def names(self) -> Iterator[str]:
        raise PermissionError(13, "Permission denied", str(self.root / "secret"))


def test_a_folder_that_cannot_be_read_may_hold_anything(folder: Path) -> None:
    error = refused(Closed(folder))
    assert (error.check, error.detail, error.meaning) == ("files", "Permission denied", "a folder cannot be read here")
    assert error.where.endswith("secret")


def test_an_empty_folder_is_no_export(tmp_path: Path) -> None:
    assert str(refused(Folder(tmp_path))) == "checkpoint: checkpoint cannot read it: No such file or directory"


def test_the_logs_key_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    (tmp_path / "bad.vkey").write_bytes(b"\xff\x00")
    assert read_vkeys(tmp_path / "log.vkey") == [LOG_KEY.public]
    with pytest.raises(NoteError, match="a verifier key has the form"):
        read_vkeys(tmp_path / "bad.vkey")
    with pytest.raises(FileNotFoundError):
        read_vkeys(tmp_path / "none.vkey")
