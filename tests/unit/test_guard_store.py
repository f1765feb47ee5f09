"""The guard's tables, on SQLite and PostgreSQL: versions, claims, and refusals: none lost, none counted twice."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg2  # type: ignore[import-untyped]  # it has no stubs
import pytest

from bridge.guard import store
from bridge.guard.store import BATCH, CLAIM_GRACE_MS, MINUTE_MS, Cursor, RefusedAct, StaleDocumentError
from spaces.policy.documents import Document, DocumentKind
from tests.conftest import DATABASES, Postgres

NOW = 1_800_000_000_000
START = NOW // MINUTE_MS * MINUTE_MS
ACT = RefusedAct(actor="@bob:hub", room="!r", code="PLAINTEXT", act="m.room.message")
NOISE = "".join(sha256(bytes([number])).hexdigest() for number in range(256))
"""Text that no index of PostgreSQL takes: too long, and it cannot be compressed."""
_NAMES = count(1)


class _Cursor:
    """A cursor that takes ``?`` on both databases, as Synapse's does."""

    def __init__(self, cursor: Any, mark: str) -> None:
        self._cursor, self._mark = cursor, mark

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    def execute(self, sql: str, parameters: Any = ()) -> None:
        self._cursor.execute(sql.replace("?", self._mark), parameters)

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> Any:
        return self._cursor.fetchall()


class Database:
    """Transactions as ``run_db_interaction`` runs them: committed, or rolled back when the function raises."""

    def __init__(self, connect: Callable[[], Any], mark: str) -> None:
        self._connect, self._mark = connect, mark
        self._connection = connect()

    @contextmanager
    def transaction(self, connection: Any = None) -> Iterator[Cursor]:
        connection = connection or self._connection
        try:
            yield _Cursor(connection.cursor(), self._mark)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self.transaction() as txn:
            return function(txn, *arguments)

    def another(self) -> "Database":
        """The same database, over a connection of its own."""
        return Database(self._connect, self._mark)

    def close(self) -> None:
        self._connection.close()


def sqlite_database(path: str) -> Database:
    return Database(lambda: sqlite3.connect(path, check_same_thread=False, timeout=10), "?")


def postgres_database(server: Postgres) -> Database:
    name = f"guard_{next(_NAMES)}"
    admin = psycopg2.connect(host=server._socket, user="postgres", dbname="postgres")
    admin.autocommit = True
    admin.cursor().execute(f"CREATE DATABASE {name}")
    admin.close()

    def connect() -> Any:
        connection = psycopg2.connect(host=server._socket, user="postgres", dbname=name)
        connection.set_session(isolation_level="REPEATABLE READ")  # as Synapse does
        return connection

    return Database(connect, "%s")


@pytest.fixture(params=DATABASES)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        found = sqlite_database(str(tmp_path / "homeserver.db"))
    else:
        found = postgres_database(request.getfixturevalue("postgres"))
    found.run(store.create_tables)
    yield found
    found.close()


# --- documents


def document(version: int, *, key: str = "northwind", gone: bool = False, **body: Any) -> Document:
    return Document(kind=DocumentKind.COMPANY, key=key, version=version, body=body, gone=gone)


def body(db: Database, key: str = "northwind") -> Any:
    return db.run(store.load_body, "company", key)


def test_tables_are_made_once(db: Database) -> None:
    db.run(store.store_documents, [document(1, name="x")])
    db.run(store.create_tables)
    assert body(db) == {"name": "x"}


def test_a_newer_version_takes_the_place_of_an_older_one(db: Database) -> None:
    assert body(db) is None
    assert db.run(store.store_documents, [document(3, name="a")]) == [("company", "northwind")]
    assert db.run(store.store_documents, [document(9, name="b\nc €")]) == [("company", "northwind")]
    assert body(db) == {"name": "b\nc €"}
    assert db.run(store.sum_documents) == {"company": (1, 9)}


@pytest.mark.parametrize("version", [1, 8])
def test_an_older_version_is_refused_in_words(db: Database, version: int) -> None:
    db.run(store.store_documents, [document(9, name="new")])
    with pytest.raises(StaleDocumentError) as refused:
        db.run(store.store_documents, [document(version, name="old")])
    assert str(refused.value) == f"company northwind is at version 9, refusing version {version}"
    assert body(db) == {"name": "new"}


def test_the_same_version_with_the_same_words_is_no_change(db: Database) -> None:
    db.run(store.store_documents, [document(9, name="x", standing="active")])
    assert db.run(store.store_documents, [document(9, standing="active", name="x")]) == []


def test_a_version_is_never_given_another_meaning(db: Database) -> None:
    db.run(store.store_documents, [document(9, name="x")])
    with pytest.raises(StaleDocumentError, match="is at version 9, refusing version 9"):
        db.run(store.store_documents, [document(9, name="y")])
    with pytest.raises(StaleDocumentError):
        db.run(store.store_documents, [document(9, gone=True, name="x")])
    assert body(db) == {"name": "x"}


def test_one_stale_document_keeps_all_out(db: Database) -> None:
    db.run(store.store_documents, [document(5, key="b", name="b")])
    with pytest.raises(StaleDocumentError):
        db.run(store.store_documents, [document(1, key="a", name="a"), document(4, key="b", name="old")])
    assert body(db, "a") is None
    assert db.run(store.store_documents, [document(1, key="a"), document(6, key="b")]) == [
        ("company", "a"),
        ("company", "b"),
    ]


def test_what_is_gone_is_gone_and_cannot_come_back_as_it_was(db: Database) -> None:
    db.run(store.store_documents, [document(1, name="x")])
    db.run(store.store_documents, [document(2, gone=True)])
    assert body(db) is None
    with pytest.raises(StaleDocumentError):
        db.run(store.store_documents, [document(1, name="x")])
    db.run(store.store_documents, [document(3, name="x")])
    assert body(db) == {"name": "x"}


def test_kinds_do_not_share_keys(db: Database) -> None:
    person = replace(document(1, of="person"), kind=DocumentKind.PERSON)
    db.run(store.store_documents, [document(7, of="company"), person])
    assert body(db) == {"of": "company"}
    assert db.run(store.load_body, "person", "northwind") == {"of": "person"}
    assert db.run(store.sum_documents) == {"company": (1, 7), "person": (1, 1)}


# --- claims


def test_the_first_room_gets_the_charter(db: Database) -> None:
    assert db.run(store.claimed_room, "rm_1") is None
    assert db.run(store.claim_room, "rm_1", "!first", NOW) == "!first"
    assert db.run(store.claim_room, "rm_1", "!second", NOW + 1) == "!first"
    assert db.run(store.claim_room, "rm_1", "!first", NOW + 2) == "!first"
    assert db.run(store.claimed_room, "rm_1") == "!first"
    assert db.run(store.claim_room, "rm_2", "!second", NOW) == "!second"


def test_a_claim_is_released_only_after_the_grace_and_only_for_its_room(db: Database) -> None:
    db.run(store.claim_room, "rm_1", "!first", NOW)
    assert not db.run(store.release_room, "rm_1", "!first", NOW + CLAIM_GRACE_MS - 1)
    assert not db.run(store.release_room, "rm_1", "!other", NOW + CLAIM_GRACE_MS)
    assert not db.run(store.release_room, "rm_2", "!first", NOW + CLAIM_GRACE_MS)
    assert db.run(store.claimed_room, "rm_1") == "!first"
    assert db.run(store.release_room, "rm_1", "!first", NOW + CLAIM_GRACE_MS)
    assert not db.run(store.release_room, "rm_1", "!first", NOW + CLAIM_GRACE_MS)
    assert db.run(store.claim_room, "rm_1", "!second", NOW) == "!second"


def test_claiming_again_does_not_make_the_grace_longer(db: Database) -> None:
    db.run(store.claim_room, "rm_1", "!first", NOW)
    db.run(store.claim_room, "rm_1", "!first", NOW + CLAIM_GRACE_MS)
    assert db.run(store.release_room, "rm_1", "!first", NOW + CLAIM_GRACE_MS)


def test_direct_rooms_are_listed_apart_page_by_page(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "DIRECT_PAGE", 2)
    for key in ("rm_1", "rm_1.c", "rm_1.a", "rm_2", "rm_1.b"):
        db.run(store.claim_room, key, f"!{key}", NOW)
    assert db.run(store.direct_rooms, "") == [("rm_1.a", "!rm_1.a"), ("rm_1.b", "!rm_1.b")]
    assert db.run(store.direct_rooms, "rm_1.b") == [("rm_1.c", "!rm_1.c")]
    assert db.run(store.direct_rooms, "rm_1.c") == []


def test_of_two_that_claim_at_once_one_gets_the_charter(db: Database) -> None:
    """The second waits for the first; it then sees its claim, or has to begin again, as Synapse makes it."""
    got: list[str] = []

    def claim(claimant: Database, room: str) -> None:
        while True:
            try:
                got.append(claimant.run(store.claim_room, "rm_1", room, NOW))
            except (psycopg2.errors.SerializationFailure, sqlite3.OperationalError):
                continue
            return

    claimants = [db.another() for _ in range(4)]
    threads = [Thread(target=claim, args=(one, f"!{number}")) for number, one in enumerate(claimants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in claimants:
        one.close()
    assert len(got) == 4
    assert set(got) == {db.run(store.claimed_room, "rm_1")}


# --- refusals


def record(db: Database, now: int = NOW, times: int = 1, **changes: Any) -> None:
    for _ in range(times):
        db.run(store.record_refusal, replace(ACT, **changes), now)


def take(db: Database, batch: str, now: int = NOW) -> tuple[str, list[dict[str, Any]]]:
    found: tuple[str, list[dict[str, Any]]] = db.run(store.next_batch, batch, now)
    return found


def rows(db: Database) -> int:
    with db.transaction() as txn:
        txn.execute("SELECT COUNT(*) FROM conclave_refusal")
        return int(txn.fetchone()[0])


def test_nothing_refused_is_nothing_to_deliver(db: Database) -> None:
    assert take(db, "b1") == ("b1", [])


def test_the_first_refusal_goes_out_at_once_in_full(db: Database) -> None:
    record(db)
    expected = {
        "actor": "@bob:hub",
        "room": "!r",
        "code": "PLAINTEXT",
        "act": "m.room.message",
        "minute": START,
        "subject": "",
        "count": 1,
    }
    assert take(db, "b1") == ("b1", [expected])


@pytest.mark.parametrize("changes", [{"actor": "@eve:hub"}, {"room": "!s"}, {"code": "ROOM_BY_HUB"}, {"act": "x"}])
def test_what_differs_is_counted_apart(db: Database, changes: dict[str, Any]) -> None:
    record(db, times=2)
    record(db, times=3, **changes)
    record(db, START + MINUTE_MS, times=4)
    assert rows(db) == 3
    assert sorted(item["count"] for item in take(db, "b1")[1]) == [2, 3, 4]


def test_a_flood_is_one_row_that_goes_out_at_once_and_when_the_minute_is_over(db: Database) -> None:
    record(db, START)
    assert take(db, "b1", START)[1][0]["count"] == 1
    db.run(store.acknowledge_batch, "b1", START)
    record(db, START + 10, times=29)
    assert rows(db) == 1
    assert take(db, "b2", START + MINUTE_MS - 1) == ("b2", [])
    assert take(db, "b3", START + MINUTE_MS)[1][0]["count"] == 29
    db.run(store.acknowledge_batch, "b3", START + MINUTE_MS)
    assert take(db, "b4", START + 2 * MINUTE_MS) == ("b4", [])
    assert rows(db) == 0


def test_an_unanswered_batch_is_sent_again_unchanged_while_new_refusals_arrive(db: Database) -> None:
    record(db, times=2)
    first = take(db, "b1")
    record(db, times=5)
    record(db, room="!s")
    assert take(db, "b2") == first
    assert take(db, "b3", NOW + 10 * MINUTE_MS) == first
    db.run(store.acknowledge_batch, "b1", NOW + 10 * MINUTE_MS)
    name, rest = take(db, "b4", NOW + 10 * MINUTE_MS)
    assert (name, sorted(item["count"] for item in rest)) == ("b4", [1, 5])


def test_an_answer_to_another_batch_answers_nothing(db: Database) -> None:
    record(db)
    first = take(db, "b1")
    db.run(store.acknowledge_batch, "b0", NOW)
    assert take(db, "b2") == first


def test_many_refusals_go_out_in_batches_the_oldest_first(db: Database) -> None:
    total = 2 * BATCH + 7
    for number in range(total):
        record(db, START + (total - number) * MINUTE_MS, room=f"!{number}")
    later, seen = START + 2 * total * MINUTE_MS, []
    for name in ("b1", "b2", "b3"):
        batch, found = take(db, name, later)
        seen.append([item["minute"] for item in found])
        db.run(store.acknowledge_batch, batch, later)
    assert [len(part) for part in seen] == [BATCH, BATCH, 7]
    assert [minute for part in seen for minute in part] == sorted(minute for part in seen for minute in part)
    assert rows(db) == 0


@pytest.mark.parametrize("text", ["com.x\0y", "\ud800", NOISE, "'; DROP TABLE conclave_refusal; --", "👍"])
def test_a_refusal_is_recorded_whatever_the_act_is_called(db: Database, text: str) -> None:
    record(db, act=text)
    record(db, act=text, room=text)
    assert [item["count"] for item in take(db, "b1")[1]] == [1, 1]


def test_whom_a_refused_act_was_done_to_is_told_the_first_of_several(db: Database) -> None:
    for subject in ("@eve:x", "@mallory:y"):
        act = RefusedAct(
            actor="@bob:hub", room="!r", code="PERSON_UNKNOWN", act="m.room.member/invite", subject=subject
        )
        db.run(store.record_refusal, act, START)
    _, refusals = take(db, "b1")
    assert [(item["subject"], item["count"]) for item in refusals] == [("@eve:x", 2)]


def test_who_thinks_up_new_acts_is_counted_in_few_rows(db: Database) -> None:
    for number in range(store.MAX_ROWS + 200):
        act = RefusedAct(actor="@bob:hub", room=f"!r{number}", code="PLAINTEXT", act="m.room.message")
        db.run(store.record_refusal, act, START)
    first, second = take(db, "b1")[1], None
    assert len(first) == store.MAX_ROWS + 1
    assert sum(item["count"] for item in first) == store.MAX_ROWS + 200
    second = [item for item in first if item["act"] == store.FURTHER]
    assert [(item["room"], item["code"], item["count"]) for item in second] == [("", "PLAINTEXT", 200)]


def test_the_guards_time_never_goes_back() -> None:
    """What time has closed, such as a pitch room, a clock that is set back does not open again."""
    source = iter([5_000_000, 3_000_000, 5_999_999, 6_000_000])
    steady = store.SteadyTime(lambda: next(source))
    assert [steady() for _ in range(4)] == [5, 5, 5, 6]
