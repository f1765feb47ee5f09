"""A change touches only what it changes: gateway calls and statements are counted among 1,000 partnerships."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.reconcile import Bench, bench_on, fill, partnership, plan_in_memory
from config.db import Database
from spaces.policy.records import Standing

MANY = 1_000


@pytest.fixture
async def bench(db: Database, tmp_path: Path) -> Bench:
    await fill(db, MANY)
    bench = bench_on(db, tmp_path)
    await bench.reconciler.run_once()  # the first one goes on patrol
    bench.statements.clear()
    return bench


async def test_one_change_among_a_thousand_partnerships(bench: Bench) -> None:
    await bench.reconciler.run_once()
    assert bench.homeserver.calls == []
    assert len(bench.statements) <= 4, "a pass with nothing to do asks what is due and no more"
    bench.statements.clear()
    person = replace(partnership(7).people[-1], standing=Standing.SUSPENDED)
    await bench.change(person)
    await bench.reconciler.run_once()
    assert sorted(bench.homeserver.calls) == [
        ("put_document", person.user_id),
        *(("remove_member", f"!p000007_{at}", person.user_id) for at in range(4)),
    ]
    assert len(bench.statements) <= 50, bench.statements
    touched = "SELECT count(*) FROM room WHERE changes > 0"
    async with bench.db.read() as connection:
        assert await connection.scalar(text(touched)) == 4


async def test_a_change_of_staff_touches_the_rooms_of_its_team(bench: Bench) -> None:
    staff = partnership(3).people[0]
    await bench.change(replace(staff, teams=frozenset({"t-p000005"})))
    await bench.reconciler.run_once()
    calls = [call for call in bench.homeserver.calls if call[0] != "put_document"]
    assert sorted(calls) == [
        *(("add_member", f"!p000005_{at}", staff.user_id) for at in range(4)),
        *(("remove_member", f"!p000003_{at}", staff.user_id) for at in range(4)),
    ]


async def test_the_patrol_finds_what_no_mark_told_of(bench: Bench) -> None:
    async with bench.db.begin() as tx:
        await tx.execute(text("UPDATE observed_member SET membership = 'leave' WHERE user_id LIKE '@p0.p000150:%'"))
    for _ in range(2):  # a hundred partnerships each time; the first hundred were looked at before
        bench.reconciler.wake_all()
        await bench.reconciler.run_once()
    assert {call[0] for call in bench.homeserver.calls} == {"add_member"}
    assert len(bench.homeserver.calls) == 4


def test_planning_asks_for_nothing_where_all_is_settled() -> None:
    plan_in_memory(4_000)  # raises for the first room that is not; how long it takes is for the benchmarks
