"""What a larger log costs: appending to it, and proving an entry of it, at ten thousand, a hundred thousand, a million.

Ours on both databases, beside what PyPI has: ``pymerkle`` and ``ledgerchain``. Leaves two plots where the
results go. ``python -m benchmarks.growth 10000000`` takes sizes of one's own; ten million need 12 GB a database.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks import ledger_peers
from benchmarks.databases import Source, databases
from benchmarks.ledger_peers import Figures
from benchmarks.pipeline import Pipeline
from benchmarks.plan import Plan
from benchmarks.plot import plot
from benchmarks.report import Aim, Of, Row, compare, percentile, table
from benchmarks.report import Report as Reported
from config.db import Database

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (1_000, 2_000)
PROOFS = 300
CHUNK = 20_000
PROOF = Aim(of=Of.OURS, most=1)
UNCACHED = Aim(of=Of.OURS, most=10)


async def run(plan: Plan) -> Sequence[Row]:
    """Our figures at each size beside those of ``pymerkle``, or of the largest size that it has."""
    return await measure(plan, plan.size(SIZES, QUICK))


async def measure(plan: Plan, sizes: Sequence[int]) -> Sequence[Row]:
    """See :func:`run`."""
    others = await ledger_peers.measure(plan.folder("peers"), sizes)
    rows, found = [], dict[str, list[Figures]]()
    async with databases(plan) as sources:
        for source in sources:
            figures, first = await _ours(plan, source, sizes)
            found[f"Conclave, {source.name}"] = figures
            rows += _rows(source.name, figures, others)
            theirs = others["pymerkle"][-1][2] or 0.0
            what = f"first proof of a new process, {sizes[-1]:,} entries, {source.name}"
            rows.append(compare(what, "ms", [(first, theirs)], "pymerkle", UNCACHED))
    _draw(plan.place.parents[1], {**found, **others})
    return rows


async def _ours(plan: Plan, source: Source, sizes: Sequence[int]) -> tuple[list[Figures], float]:
    """Figures at each size, and the milliseconds of the first proof after a restart at the largest."""
    db = Database(url := await source.fresh())
    log, figures = Pipeline(db, plan.folder(f"signer-{source.name}")), list[Figures]()
    try:
        for before, size in pairwise([0, *sizes]):
            seconds = 0.0
            for at in range(before, size, CHUNK):
                seconds += await log.append(min(CHUNK, size - at))
            proofs = [await _prove(log, size) for _ in range(PROOFS)]
            figures.append((size, (size - before) / seconds, percentile(proofs, 50)))
    finally:
        await db.close()
    log.open(restarted := Database(url))
    try:
        await restarted.ping()
        return figures, await _prove(log, sizes[-1])
    finally:
        await restarted.close()


async def _prove(log: Pipeline, size: int) -> float:
    """Milliseconds for an entry anywhere in the log, with its proof."""
    position = random.randrange(size)
    began = time.perf_counter()
    await log.audit.prove(position)
    return (time.perf_counter() - began) * 1_000


def _rows(name: str, figures: Sequence[Figures], others: Mapping[str, Sequence[Figures]]) -> list[Row]:
    rows = []
    for size, rate, proof in figures:
        for peer, theirs in others.items():
            their_size, their_rate, their_proof = next((row for row in theirs if row[0] == size), theirs[-1])
            at = f"{peer}, {their_size:,} entries"
            rows.append(compare(f"append up to {size:,} entries, {name}", "entries/s", [(rate, their_rate)], at))
            if their_proof is not None and proof is not None:
                what = f"inclusion proof in {size:,} entries, {name}, p50"
                rows.append(compare(what, "ms", [(proof, their_proof)], at, PROOF))
    return rows


def _draw(folder: Path, found: Mapping[str, Sequence[Figures]]) -> None:
    append = {name: [(size, rate) for size, rate, _ in rows] for name, rows in found.items()}
    proofs = {name: [(size, ms) for size, _, ms in rows if ms is not None] for name, rows in found.items()}
    proofs = {name: rows for name, rows in proofs.items() if rows}
    (folder / "growth-append.svg").write_text(plot("entries appended a second", "entries in the log", append))
    (folder / "growth-proof.svg").write_text(plot("an inclusion proof, in ms", "entries in the log", proofs))


def main() -> None:
    """Sizes of one's own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("sizes", nargs="+", type=int)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    plan = Plan(place=options.out.absolute() / "work" / "growth", quick=False)
    rows = asyncio.run(measure(plan, options.sizes))
    print(table([Reported(name="growth", at="", seconds=0, load=0, quick=False, rows=rows)]))


if __name__ == "__main__":
    main()
