"""How long ``conclave --help`` takes, beside an interpreter that does nothing."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare

HELP = (str(Path(sys.executable).with_name("conclave")), "--help")
NOTHING = (sys.executable, "-c", "pass")


async def run(plan: Plan) -> Sequence[Row]:
    """Ten pairs, each in turn; the first pair only warms the file cache up."""
    pairs = [(_seconds(HELP), _seconds(NOTHING)) for _ in range(plan.size(11, 3))][1:]
    aim = Aim(of=Of.OURS, most=0.3)
    return [compare("conclave --help", "s", pairs, "python -c pass", aim)]


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
