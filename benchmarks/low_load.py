"""How long one entry takes where nothing else goes on: until it is safe, and until a published checkpoint covers it.

Safe: the transaction that hands it in is committed; nothing loses it any more. Covered: placed, signed, published. The
floor does the same durable steps with the driver alone: one commit; entry, tile and head in one commit, the signer's
memory in a file, the checkpoint in another commit, after the hand-in's own.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.databases import Source, databases
from benchmarks.pipeline import Pipeline
from benchmarks.plan import Plan
from benchmarks.raw import NOTE, Raw, Step, remember
from benchmarks.report import Aim, Of, Row, compare, percentile
from config.db import Database

P50 = {"SQLite": Aim(of=Of.OURS, most=1), "PostgreSQL": Aim(of=Of.OURS, most=3)}
P99 = Aim(of=Of.OURS, most=15)
PAUSE_S = 0.005
Times = tuple[Sequence[float], Sequence[float]]
"""Of each entry: milliseconds until it was safe, and until it was covered."""


async def run(plan: Plan) -> Sequence[Row]:
    """On each database, rounds of entries, one at a time."""
    async with databases(plan) as sources:
        return [row for source in sources for row in await _measure(plan, source)]


async def _measure(plan: Plan, source: Source) -> Sequence[Row]:
    count, rounds = plan.size(200, 20), plan.size(9, 2)
    db, raw = Database(await source.fresh()), await source.raw()
    place = plan.folder(f"signer-{source.name}")
    try:
        log, memory = Pipeline(db, place), place / "floor.json"
        await log.append(2_000)
        pairs = [(await _ours(log, count), await _floor(raw, memory, at * count, count)) for at in range(rounds)]
    finally:
        await db.close()
        await raw.close()
    rows = []
    for part, what in enumerate(("safe", "covered")):
        for percent, aim in ((50, P50[source.name]), (99, P99)):
            found = [(percentile(ours[part], percent), percentile(floor[part], percent)) for ours, floor in pairs]
            rows.append(
                compare(f"one entry until {what}, {source.name}, p{percent}", "ms", found, "the driver alone", aim)
            )
    return rows


async def _ours(log: Pipeline, count: int) -> Times:
    safe, covered = [], []
    for _ in range(count):
        await asyncio.sleep(PAUSE_S)
        began, draft = time.perf_counter(), log.draft()
        async with log.db.begin() as tx:
            await log.inbox.put(tx, draft)
        safe.append((time.perf_counter() - began) * 1_000)
        await log.sequencer.step()
        covered.append((time.perf_counter() - began) * 1_000)
    return safe, covered


async def _floor(raw: Raw, memory: Path, start: int, count: int) -> Times:
    safe, covered = [], []
    for number in range(start, start + count):
        await asyncio.sleep(PAUSE_S)
        entry = (number, "message.sent", 1_800_000_000_000, f"!{number:043}", b"e" * 500)
        began = time.perf_counter()
        await raw.hand_in(1, "m" * 400)
        safe.append((time.perf_counter() - began) * 1_000)
        await raw.extend(Step(entry=entry, hashes=b"h" * 32, root=b"r" * 32))
        await asyncio.to_thread(remember, memory, f"{number}")
        await raw.publish(NOTE)
        covered.append((time.perf_counter() - began) * 1_000)
    return safe, covered
