"""How many waiting entries a second the sequencer puts into the log, beside a bare insert of the same rows.

Ours: rows out of the inbox, entries, counters, tiles and head committed two thousand at a time, each head signed and
published. The floor: the driver inserts the finished entries, as many at a time, and does nothing else.
"""

import time
from collections.abc import Sequence

from audit.sequencer import BATCH
from benchmarks.databases import Source, databases
from benchmarks.pipeline import Pipeline
from benchmarks.plan import Plan
from benchmarks.raw import EntryTuple, Raw
from benchmarks.report import Aim, Of, Row, compare
from config.db import Database

AIM = Aim(of=Of.OURS, least=40_000)


async def run(plan: Plan) -> Sequence[Row]:
    """On each database, rounds of the same number of entries."""
    async with databases(plan) as sources:
        return [await _measure(plan, source) for source in sources]


async def _measure(plan: Plan, source: Source) -> Row:
    count, rounds = plan.size(20_000, 2_000), plan.size(9, 2)
    db, raw = Database(await source.fresh()), await source.raw()
    try:
        log = Pipeline(db, plan.folder(f"signer-{source.name}"))
        await log.append(count)
        pairs = []
        for _ in range(rounds):
            seconds = await log.append(count)
            pairs.append((count / seconds, count / await _insert(raw, await log.newest(count))))
    finally:
        await db.close()
        await raw.close()
    return compare(f"ledger append, {source.name}", "entries/s", pairs, f"bare insert, {BATCH} a batch", AIM)


async def _insert(raw: Raw, rows: Sequence[EntryTuple]) -> float:
    """Seconds for a bare insert of ``rows``."""
    began = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        await raw.insert(rows[at : at + BATCH])
    return time.perf_counter() - began
