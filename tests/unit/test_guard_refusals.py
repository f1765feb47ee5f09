"""Refusals on their way to the hub, whatever happens in which order: delivered is what was recorded, exactly."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bridge.guard import store
from bridge.guard.store import MINUTE_MS, RefusedAct
from tests.conftest import DATABASES
from tests.unit.test_guard_store import START, Database, postgres_database, sqlite_database

KEY = ("actor", "room", "code", "act", "minute")
Key = tuple[Any, ...]


class Delivery(RuleBasedStateMachine):
    """A guard that refuses and delivers; a hub that takes each batch once, and whose answers may be lost."""

    db: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        with self.db.transaction() as txn:
            txn.execute("DELETE FROM conclave_refusal")
        self.now = START
        self.names = 0
        self.recorded: Counter[Key] = Counter()
        self.delivered: Counter[Key] = Counter()
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.unanswered: str | None = None

    @rule(by=st.sampled_from([1, 500, MINUTE_MS // 2, MINUTE_MS - 1, MINUTE_MS, 3 * MINUTE_MS]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(by=st.sampled_from([1, MINUTE_MS]))
    def the_clock_is_set_back(self, by: int) -> None:
        self.now -= by

    @rule(actor=st.sampled_from("ab"), room=st.sampled_from("rs"), times=st.integers(1, 4))
    def something_is_refused(self, actor: str, room: str, times: int) -> None:
        refused = RefusedAct(actor=actor, room=room, code="PLAINTEXT", act="m.room.message")
        for _ in range(times):
            self.db.run(store.record_refusal, refused, self.now)
        self.recorded[actor, room, "PLAINTEXT", "m.room.message", self.now // MINUTE_MS * MINUTE_MS] += times

    @rule()
    def the_guard_delivers(self) -> None:
        self.names += 1
        batch, refusals = self.db.run(store.next_batch, f"b{self.names}", self.now)
        assert self.unanswered in (None, batch), "an unanswered batch goes first"
        if not refusals:
            return
        self.unanswered = batch
        if batch in self.batches:
            assert refusals == self.batches[batch], "a batch never changes: the hub would miss what was added"
            return
        self.batches[batch] = refusals
        for item in refusals:
            assert item["count"] > 0
            self.delivered[tuple(item[name] for name in KEY)] += item["count"]

    @precondition(lambda self: self.unanswered is not None)
    @rule()
    def the_hub_answers(self) -> None:
        self.db.run(store.acknowledge_batch, self.unanswered, self.now)
        self.unanswered = None

    @rule(number=st.integers(0, 3))
    def an_answer_arrives_late(self, number: int) -> None:
        """The one to a batch that was answered before, or never sent."""
        if f"b{number}" != self.unanswered:
            self.db.run(store.acknowledge_batch, f"b{number}", self.now)

    @invariant()
    def nothing_is_delivered_that_was_not_recorded(self) -> None:
        assert self.delivered <= self.recorded

    def teardown(self) -> None:
        """When all is quiet, everything arrives, and nothing stays behind."""
        self.now = max(self.now, *(key[-1] for key in self.recorded), START) + 2 * MINUTE_MS
        for _ in range(len(self.recorded) + 2):
            self.the_guard_delivers()
            if self.unanswered is None:
                break
            self.the_hub_answers()
        assert self.delivered == self.recorded
        if self.recorded:
            self.something_is_refused("a", "r", 1)
            self.the_guard_delivers()
            self.now += MINUTE_MS * 2
            self.the_hub_answers()
            with self.db.transaction() as txn:
                txn.execute("SELECT COUNT(*) FROM conclave_refusal")
                assert txn.fetchone()[0] == 0


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Callable[[], Database]:
    if request.param == "sqlite":
        return lambda: sqlite_database(":memory:")
    server = request.getfixturevalue("postgres")
    return lambda: postgres_database(server)


def test_refusals_arrive_once_each_whatever_happens(database: Callable[[], Database]) -> None:
    class Here(Delivery):
        db = database()

    Here.db.run(store.create_tables)
    run_state_machine_as_test(Here, settings=settings(max_examples=60, stateful_step_count=30))
    Here.db.close()
