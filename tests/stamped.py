"""A log that grew while a TSA stamped it, and its export: what the tests of timestamps share."""

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.store import LedgerStore
from audit.timestamp_store import TimestampRow, TimestampStore
from audit.tsp import TimestampRequest, read_response
from config.db import Database
from tests.ledger import LOG_KEY, Files, export, make_log, sample
from tests.tsa import Authority, authority

SIZES = (3, 256, 300)
"""At which the log was stamped; the export is of more."""


@dataclass(frozen=True, slots=True)
class Stamped:
    """An export with timestamps by ``tsa``."""

    files: Files
    tsa: Authority


async def newest_note(db: Database) -> bytes:
    async with db.read() as connection:
        note = (await LedgerStore(connection).head()).checkpoint
    assert note is not None
    return note


async def stamp(db: Database, tsa: Authority) -> TimestampRow:
    """Have the newest checkpoint stamped, and keep it."""
    note = await newest_note(db)
    tsr = tsa.reply(TimestampRequest(imprint=sha256(note).digest(), nonce=11).encode())
    size = Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519)).size
    row = TimestampRow(size=size, at=read_response(tsr).at, tsr=tsr, checkpoint=note)
    async with db.begin() as tx:
        await TimestampStore(tx).keep(row)
    return row


async def stamped_export(sqlite_base: Path, place: Path, size: int = 700) -> Stamped:
    shutil.copy(sqlite_base, place / "hub.sqlite3")
    db, tsa = Database.sqlite(place / "hub.sqlite3"), authority(place / "tsa")
    ledger, at = await make_log(db, place, sample(SIZES[0] - 1)), SIZES[0]
    for then in (*SIZES[1:], size):
        await stamp(db, tsa)
        await ledger.append(sample(then - at))
        at = then
    files = await export(db)
    await db.close()
    return Stamped(files, tsa)
