"""Timestamps in an export: each is of a checkpoint that the log's key signed and the log in the export contains."""

import base64
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from audit.keys import verify_ed25519
from audit.note import Checkpoint, sign_note
from audit.parts import CHECKPOINT, Report, VerificationError
from audit.stamped import describe, load_authorities, verify_timestamps
from audit.timestamp_store import TimestampRow, TimestampStore
from audit.timestamps import FOLDER, FORGED, note_name, token_name
from audit.tsp import TimestampError, TimestampRequest
from audit.verify import verify_bundle
from config.db import Database
from tests.ledger import LOG_KEY, ORIGIN, Files, export, make_log, resealed, sample, signing_key
from tests.stamped import SIZES, Stamped, stamped_export
from tests.tsa import Authority, authority, needs_openssl

pytestmark = needs_openssl


@pytest.fixture(scope="module")
async def stamped(sqlite_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    return await stamped_export(sqlite_base, tmp_path_factory.mktemp("stamped"))


def check(files: Files) -> Report:
    return verify_bundle(files, LOG_KEY.public, verify_ed25519)


def refused(files: Files) -> VerificationError:
    """What is said of ``files``, which whoever holds the export's key made fit together."""
    with pytest.raises(VerificationError) as error:
        check(resealed(files))
    assert (error.value.check, error.value.meaning) == ("timestamps", FORGED)
    return error.value


def restamped(stamped: Stamped, size: int, note: bytes) -> Files:
    """Another checkpoint in the place of one, with a true timestamp of it."""
    tsr = stamped.tsa.reply(TimestampRequest(imprint=sha256(note).digest(), nonce=1).encode())
    return stamped.files.but(note_name(size), note).but(token_name(size), tsr)


def note(size: int, root: bytes, *, key: object = LOG_KEY, origin: str = ORIGIN) -> bytes:
    signer = LOG_KEY if key is LOG_KEY else signing_key(origin, 9)
    return sign_note(Checkpoint(origin=origin, size=size, root=root).text(), signer.public, signer)


def test_an_export_has_its_timestamps_and_what_they_are_of(stamped: Stamped) -> None:
    report = check(stamped.files)
    assert [one.size for one in report.timestamps] == list(SIZES)
    assert {token_name(size) for size in SIZES} | {note_name(size) for size in SIZES} == {
        name for name in stamped.files.names() if name.startswith(FOLDER)
    }
    authorities = load_authorities(stamped.tsa.ca_file)
    assert verify_timestamps(report.timestamps, authorities) == ["CN=TSA"]
    at = report.timestamps[-1].token.at
    assert all(one.token.at <= at for one in report.timestamps)
    told = describe(report.timestamps, None)
    assert told.startswith("3, the newest of 300 entries at 20")
    assert told.endswith(" UTC ± 1.501 s, claimed, not verified: name the TSA's root with --tsa-cert")
    assert describe(report.timestamps, ["CN=TSA"]).endswith(" UTC ± 1.501 s, by CN=TSA")


def test_a_changed_timestamp_of_another_hand_than_the_exporters_is_a_changed_file(stamped: Stamped) -> None:
    for name in (token_name(256), note_name(256)):
        data = stamped.files.content[name]
        with pytest.raises(VerificationError) as error:
            check(stamped.files.but(name, data[:-1] + bytes([data[-1] ^ 1])))
        assert (error.value.where, error.value.detail) == (name, "does not have the listed hash")


Change = Callable[[Stamped], Files]
OTHER_ROOT = bytes(32)


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        (
            lambda one: restamped(one, 256, note(256, OTHER_ROOT)),
            note_name(256),
            "has another root than the log in this export had at that size",
        ),
        (
            lambda one: restamped(one, 256, note(256, OTHER_ROOT, key=None)),
            note_name(256),
            f"no signature by {ORIGIN} with key id",
        ),
        (
            lambda one: restamped(one, 256, one.files.content[note_name(300)]),
            note_name(256),
            f"is of 300 entries of the log {ORIGIN}",
        ),
        (
            lambda one: restamped(one, 701, note(701, OTHER_ROOT)),
            note_name(701),
            "is of 701 entries, this log has 700",
        ),
        (
            lambda one: one.files.but(token_name(256), one.files.content[token_name(300)]),
            token_name(256),
            "the timestamp is of other bytes",
        ),
        (
            lambda one: one.files.but(note_name(256), one.files.content[note_name(256)] + b"\xe2\x80\x94 w AAAAAAA=\n"),
            token_name(256),
            "the timestamp is of other bytes",
        ),
        (lambda one: one.files.but(token_name(256), b""), token_name(256), "not a timestamp response: the answer ends"),
        (lambda one: one.files.but(note_name(256), b""), note_name(256), "the note has no signature block"),
        (lambda one: one.files.without(token_name(256)), note_name(256), "stands alone: a timestamp and its"),
        (lambda one: one.files.without(note_name(256)), token_name(256), "stands alone: a timestamp and its"),
        (lambda one: one.files.but(f"{FOLDER}0256.tsr", b""), f"{FOLDER}0256.tsr", "is no timestamp and no checkpoint"),
        (lambda one: one.files.but(f"{FOLDER}x/1.tsr", b""), f"{FOLDER}x/1.tsr", "is no timestamp and no checkpoint"),
    ],
)
def test_a_timestamp_that_is_not_of_this_log_is_named(stamped: Stamped, change: Change, where: str, says: str) -> None:
    error = refused(change(stamped))
    assert error.where == where
    assert says in error.detail


def test_the_checkpoint_of_the_export_itself_may_be_stamped(stamped: Stamped) -> None:
    report = check(resealed(restamped(stamped, 700, stamped.files.content[CHECKPOINT])))
    assert [one.size for one in report.timestamps] == [*SIZES, 700]


def test_a_log_of_the_same_key_that_was_written_anew_does_not_fit_its_old_timestamps(
    stamped: Stamped, sqlite_base: Path, tmp_path: Path
) -> None:
    """The attack that timestamps are there for: who holds the key writes another past, and keeps the stamps."""
    root = base64.b64decode(stamped.files.content[note_name(300)].split(b"\n")[2])
    forged = restamped(stamped, 3, note(3, root))
    assert "has another root" in refused(forged).detail


def test_an_authority_that_is_not_trusted_is_named_with_the_file(stamped: Stamped, tmp_path: Path) -> None:
    found, stranger = check(stamped.files).timestamps, authority(tmp_path / "other")
    with pytest.raises(VerificationError) as error:
        verify_timestamps(found, load_authorities(stranger.ca_file))
    assert error.value.where == token_name(SIZES[0])
    assert "does not lead to a trusted one: signature does not match" in error.value.detail
    with pytest.raises(VerificationError) as error:
        verify_timestamps([], load_authorities(stranger.ca_file))
    assert str(error.value) == "timestamps: timestamps/ there is none"
    (tmp_path / "no.pem").write_text("no")
    with pytest.raises(TimestampError, match="no certificate in PEM"):
        load_authorities(tmp_path / "no.pem")


async def test_one_timestamp_is_kept_for_a_size_and_only_those_of_the_export_go_along(
    db: Database, tmp_path: Path
) -> None:
    await make_log(db, tmp_path, sample(4))
    rows = [
        TimestampRow(size=size, at=at, tsr=b"%d" % at, checkpoint=b"x") for size, at in ((2, 1), (5, 2), (2, 3), (9, 4))
    ]
    async with db.begin() as tx:
        store = TimestampStore(tx)
        for row in rows:
            await store.keep(row)
        assert await store.newest() == rows[3]
        assert await store.page(0, 10, 8) == rows[:2]
        assert await store.page(2, 1, 9) == [rows[1]]
    files = await export(db)
    assert {name for name in files.names() if name.startswith(FOLDER)} == {
        *(note_name(size) for size in (2, 5)),
        *(token_name(size) for size in (2, 5)),
    }
    assert files.content[token_name(2)] == b"1"


def test_the_fixture_has_what_it_says(stamped: Stamped) -> None:
    assert isinstance(stamped.tsa, Authority)
    assert {"tile/0/000", "tile/0/002.p/188", "tile/1/000.p/2"} < stamped.files.names()
