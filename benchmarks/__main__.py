"""Run the measurements: ``python -m benchmarks [NAME …] [--quick]``."""

import argparse
import asyncio
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    append_rate,
    cold_start,
    committee_time,
    decide,
    export_rate,
    feed_lag,
    growth,
    help_time,
    low_load,
    partnership_time,
    reuse_cost,
    send_rate,
    verify_rate,
    writers,
)
from benchmarks.plan import Measurement, Plan
from benchmarks.report import Report, table, write
from config.logging import configure_logging

OUT = Path("build/bench")
MEASUREMENTS: dict[str, Measurement] = {
    "help": help_time.run,
    "up": cold_start.run,
    "append": append_rate.run,
    "low-load": low_load.run,
    "writers": writers.run,
    "growth": growth.run,
    "decide": decide.run,
    "lag": feed_lag.run,
    "reuse": reuse_cost.run,
    "partnership": partnership_time.run,
    "committees": committee_time.run,
    "send": send_rate.run,
    "export": export_rate.run,
    "verify": verify_rate.run,
}


def main() -> int:
    """Measure, print the table, leave ``results.json``; 0 unless something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MEASUREMENTS)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="show that everything works; the figures mean nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="where results.json goes")
    options = parser.parse_args()
    if unknown := set(options.names) - MEASUREMENTS.keys():
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    place = options.out.absolute() / "work"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    configure_logging("warning", options.out / "hub.log")
    reports = []
    for name in options.names or MEASUREMENTS:
        reports.append(_report(name, Plan(place=place / name, quick=options.quick)))
        write(reports[-1], options.out / "results.json")
    shutil.rmtree(place)  # where something fails it stays, to be looked at
    print(table(reports))
    return 0


def _report(name: str, plan: Plan) -> Report:
    load, began = os.getloadavg()[0], time.perf_counter()
    print(f"{name} …", file=sys.stderr, flush=True)
    rows = asyncio.run(MEASUREMENTS[name](plan))
    seconds = time.perf_counter() - began
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(name=name, at=at, seconds=round(seconds, 1), load=round(load, 2), quick=plan.quick, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
