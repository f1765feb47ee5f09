"""Exports on both databases: whole, as of the checkpoint that is asked for, in the order that a verifier needs."""

import json
from pathlib import Path

from audit.keys import verify_ed25519
from audit.parts import CHECKPOINT, DISCLOSURES, MANIFEST, MANIFEST_SIGNATURE
from audit.verify import verify_bundle
from benchmarks.large_log import LargeLog
from benchmarks.large_log import export as export_large
from config.db import Database
from tests.ledger import LOG_KEY, Files, export, make_log, sample


async def test_an_export_is_as_of_its_checkpoint_though_the_log_went_on(db: Database, tmp_path: Path) -> None:
    ledger = await make_log(db, tmp_path, sample(299))
    note = (await export(db)).content[CHECKPOINT]
    await ledger.append(sample(400))
    files = await export(db, note)
    report = verify_bundle(files, LOG_KEY.public, verify_ed25519)
    assert (report.checkpoint.size, report.kinds.total(), report.withheld) == (300, 300, 0)
    newest = await export(db)
    assert verify_bundle(newest, LOG_KEY.public, verify_ed25519, seen={"older": note}).checkpoint.size == 700


async def test_more_than_is_read_at_a_time_comes_out_in_order(db: Database) -> None:
    """Seventeen entry bundles, and a thousand and more disclosures."""
    await LargeLog(db, disclosed=8).grow(4_353)
    files = Files({file.path: b"".join(file.chunks) async for file in export_large(db)})
    report = verify_bundle(files, LOG_KEY.public, verify_ed25519)
    assert (report.checkpoint.size, report.withheld) == (4_353, 0)
    assert report.disclosed > 1_000
    positions = [json.loads(line)["entry"] for line in files.content[DISCLOSURES].splitlines()]
    assert positions == sorted(positions)


async def test_the_manifest_lists_what_is_no_tile(db: Database, tmp_path: Path) -> None:
    await make_log(db, tmp_path, sample(299))
    files = await export(db)
    listed = set(json.loads(files.content[MANIFEST])["files"])
    assert listed == {name for name in files.names() if not name.startswith("tile/")} - {MANIFEST, MANIFEST_SIGNATURE}
