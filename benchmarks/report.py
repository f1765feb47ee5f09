"""What a measurement comes back with, how it is summed up, and how it is written down."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any

HEADINGS = ("measurement", "ours", "floor", "ours ÷ floor", "aim", "")
Pairs = Sequence[tuple[float, float]]


class Of(StrEnum):
    """What an aim is about."""

    OURS = "ours"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A bound on our figure or on its ratio to the floor; exactly one of ``least`` and ``most`` is given."""

    of: Of
    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Whether ``value`` is within the bound."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of ours beside the floor's; ``spread`` is the middle half of the rounds' ratios."""

    what: str
    unit: str
    ours: float
    floor: float
    floor_is: str
    ratio: float
    spread: tuple[float, float]
    aim: Aim | None
    rounds: Pairs

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; ``None`` where there is none."""
        if self.aim is None:
            return None
        return self.aim.met(self.ours if self.aim.of is Of.OURS else self.ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rows of one measurement: when it ended, how long it took, how busy the machine was before it."""

    name: str
    at: str
    seconds: float
    load: float
    quick: bool
    rows: Sequence[Row]


def compare(what: str, unit: str, pairs: Pairs, floor_is: str, aim: Aim | None = None) -> Row:
    """The row for rounds of (ours, floor): medians of each, and the median of the rounds' ratios."""
    ratios = sorted(ours / floor for ours, floor in pairs)
    return Row(
        what=what,
        unit=unit,
        ours=median(ours for ours, _ in pairs),
        floor=median(floor for _, floor in pairs),
        floor_is=floor_is,
        ratio=median(ratios),
        spread=(percentile(ratios, 25), percentile(ratios, 75)),
        aim=aim,
        rounds=pairs,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ``values``, which need not be sorted."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def table(reports: Sequence[Report]) -> str:
    """Every row, as a Markdown table that also reads well as it is."""
    lines = [HEADINGS, *(_cells(row) for report in reports for row in report.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row.spread
    return (
        row.what,
        f"{number(row.ours)} {row.unit}",
        f"{number(row.floor)} {row.unit} ({row.floor_is})",
        f"{number(row.ratio)}" + ("" if len(row.rounds) == 1 else f" ({number(low)}–{number(high)})"),
        _bound(row),
        {True: "met", False: "MISSED", None: ""}[row.met],
    )


def _bound(row: Row) -> str:
    aim = row.aim
    if aim is None:
        return ""
    sign, bound = ("≤", aim.most) if aim.least is None else ("≥", aim.least)
    return f"{sign} {bound:g} {row.unit}" if aim.of is Of.OURS else f"ratio {sign} {bound:g}"


def number(value: float) -> str:
    """``value`` with three digits that say something, such as ``12,300``, ``4.56`` or ``0.078``."""
    if value >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def write(report: Report, path: Path) -> None:
    """Put what was measured into ``path`` as JSON, with every round, beside what other measurements left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = json.loads(path.read_text())["measurements"] if path.exists() else {}
    rows = [{**asdict(row), "met": row.met} for row in report.rows]
    content = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "measurements": {**known, report.name: {**asdict(report), "rows": rows}},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
