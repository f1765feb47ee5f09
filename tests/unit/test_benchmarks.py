"""That the measurements can be run and read; nothing here takes a time."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import MEASUREMENTS
from benchmarks.plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, plot
from benchmarks.report import Aim, Of, Report, Row, compare, number, percentile, table, write

PAIRS = [(90.0, 100.0), (60.0, 80.0), (120.0, 100.0)]


def report(aim: Aim | None, name: str = "send") -> Report:
    row = compare("messages with the guard", "/s", PAIRS, "no guard", aim)
    return Report(name=name, at="2026-11-24T19:00:00+00:00", seconds=1.5, load=0.25, quick=True, rows=[row])


def test_there_is_a_measurement_for_each_figure_that_is_promised() -> None:
    ledger = {"append", "low-load", "writers", "growth", "export", "verify"}
    assert set(MEASUREMENTS) == {"help", "up", *ledger, "decide", "lag", "reuse", "partnership", "committees", "send"}


def test_a_row_has_the_medians_and_the_median_of_the_ratios() -> None:
    row = report(None).rows[0]
    assert (row.ours, row.floor, row.ratio, row.spread) == (90.0, 100.0, 0.9, (0.75, 1.2))


def test_the_table_is_read_as_it_is() -> None:
    assert table([report(Aim(of=Of.RATIO, least=0.95))]).splitlines() == [
        "| measurement             | ours  | floor             | ours ÷ floor   | aim          |        |",
        "| ----------------------- | ----- | ----------------- | -------------- | ------------ | ------ |",
        "| messages with the guard | 90 /s | 100 /s (no guard) | 0.9 (0.75–1.2) | ratio ≥ 0.95 | MISSED |",
    ]


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (None, None),
        (Aim(of=Of.RATIO, least=0.95), False),
        (Aim(of=Of.RATIO, least=0.9), True),
        (Aim(of=Of.OURS, most=90), True),
        (Aim(of=Of.OURS, most=89.9), False),
    ],
)
def test_an_aim_is_met_or_missed(aim: Aim | None, met: bool | None) -> None:
    row: Row = report(aim).rows[0]
    assert row.met is met


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1.0), (25, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (99, 4.0), (100, 4.0)]
)
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], percent) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0783, "0.0783"), (4.5678, "4.57"), (99.6, "99.6"), (123.4, "123"), (12_345, "12,300"), (1_000, "1,000")],
)
def test_a_number_has_three_digits_that_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_the_results_are_json_with_every_round_and_keep_what_was_measured_before(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "results.json"
    write(report(None, "append"), path)
    write(report(None, "send"), path)
    write(report(Aim(of=Of.OURS, most=100), "send"), path)
    found = json.loads(path.read_text())["measurements"]
    assert set(found) == {"append", "send"}
    (row,) = found["send"]["rows"]
    assert (found["send"]["quick"], found["send"]["load"]) == (True, 0.25)
    assert (row["rounds"], row["met"]) == ([list(pair) for pair in PAIRS], True)
    assert row["aim"] == {"of": "ours", "least": None, "most": 100}


def test_a_plot_has_each_line_inside_its_axes_and_names_it() -> None:
    lines = {"a < b": [(10, 2.0), (1_000, 200.0)], "c": [(100, 0.5)]}
    drawing = ElementTree.fromstring(plot("entries & more", "size", lines))
    texts = [element.text for element in drawing.iter() if element.tag.endswith("text")]
    assert {"entries & more", "size", "a < b", "c", "0.1", "10", "1,000"} <= set(texts)
    found = [element.get("points", "").split() for element in drawing.iter() if element.tag.endswith("polyline")]
    first, last = (tuple(map(float, point.split(","))) for point in found[0])
    assert (first[0], last[0]) == (LEFT, WIDTH - RIGHT)
    assert TOP < last[1] < first[1] < HEIGHT
    assert len(found[1]) == 1
