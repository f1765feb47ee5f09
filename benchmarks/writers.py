"""Sixteen writers on PostgreSQL, each handing in one entry a transaction, while the sequencer keeps up with them.

The writers share four sources, as those of a hub do; writers of one source take turns, so that its numbers have no gap.
Until the end: the last entry is under a published checkpoint. The lag: from the commit of each entry until a published
checkpoint covers it. The floor: sixteen connections of the bare driver that hand in the same, and nobody who takes it.
"""

import asyncio
import time
from collections.abc import Sequence

from audit.inbox import Inbox
from benchmarks.databases import Postgres, databases
from benchmarks.pipeline import Pipeline
from benchmarks.plan import Plan
from benchmarks.raw import Raw
from benchmarks.report import Aim, Of, Row, compare, percentile
from config.clock import SteadyClock
from config.db import Database

WRITERS, SOURCES = 16, 4
RATE = Aim(of=Of.OURS, least=3_000)
LAG = Aim(of=Of.OURS, most=250)


async def run(plan: Plan) -> Sequence[Row]:
    """Rounds of all writers, ours and the floor's in turns."""
    each, rounds = plan.size(150, 10), plan.size(7, 2)
    async with databases(plan) as (_, source):
        assert isinstance(source, Postgres)
        db, name = Database(await source.fresh()), await source.copy()
        raws = [await source.open(name) for _ in range(WRITERS)]
        try:
            log = Pipeline(db, plan.folder("signer"))
            await log.append(2_000)
            pairs = [(await _ours(log, each), await _floor(raws, each)) for _ in range(rounds)]
        finally:
            await db.close()
            for raw in raws:
                await raw.close()
    rates = [(ours[0], floor) for ours, floor in pairs]
    lags = [(ours[1], 1_000 * WRITERS / floor) for ours, floor in pairs]
    return [
        compare("sixteen writers, PostgreSQL", "entries/s", rates, "the driver alone, nobody sequencing", RATE),
        compare("… commit to checkpoint, p99", "ms", lags, "one turn of the driver alone", LAG),
    ]


async def _ours(log: Pipeline, each: int) -> tuple[float, float]:
    """Entries a second, and the 99th percentile of their lags in milliseconds."""
    clock, safe, covered = SteadyClock(), list[float](), list[float]()
    inboxes = [Inbox(f"source{number}", clock) for number in range(SOURCES)]

    async def write(inbox: Inbox) -> None:
        for _ in range(each):
            async with log.db.begin() as tx:
                await inbox.put(tx, log.draft())
            safe.append(time.perf_counter())

    async def sequence() -> None:
        while len(covered) < WRITERS * each:
            log.db.wrote.clear()
            written = await log.sequencer.step()
            covered.extend([time.perf_counter()] * written)
            if not written:
                await log.db.wrote.wait()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sequence())
        for number in range(WRITERS):
            tasks.create_task(write(inboxes[number % SOURCES]))
    lags = [1_000 * max(0.0, done - at) for at, done in zip(safe, covered, strict=True)]  # the n-th of both
    return WRITERS * each / (time.perf_counter() - began), percentile(lags, 99)


async def _floor(raws: Sequence[Raw], each: int) -> float:
    async def write(number: int, raw: Raw) -> None:
        for _ in range(each):
            await raw.hand_in(number % SOURCES, "m" * 400)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, raw in enumerate(raws):
            tasks.create_task(write(number, raw))
    return len(raws) * each / (time.perf_counter() - began)
