"""The guard's tables in Synapse's own database: documents, claims of rooms, refusals waiting to be delivered.

Every function runs inside one of Synapse's transactions and takes its cursor; ``?`` is Synapse's place holder on both
of its databases. Nothing here imports Synapse.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spaces.policy.documents import Document, DocumentKind

CLAIM_GRACE_MS = 60_000
MINUTE_MS = 60_000
BATCH = 100
DIRECT_PAGE = 1_000
MAX_ROWS = 50
FURTHER = "further acts"
MAX_TEXT = 255

_TABLES = (
    """CREATE TABLE IF NOT EXISTS conclave_document (
        kind TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (kind, key))""",
    """CREATE TABLE IF NOT EXISTS conclave_room (
        key TEXT NOT NULL PRIMARY KEY, room_id TEXT NOT NULL, claimed_at BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS conclave_refusal (
        actor TEXT NOT NULL, room TEXT NOT NULL, code TEXT NOT NULL, act TEXT NOT NULL, minute BIGINT NOT NULL,
        subject TEXT NOT NULL, seen BIGINT NOT NULL, reported BIGINT NOT NULL, sending BIGINT NOT NULL, batch TEXT,
        PRIMARY KEY (actor, room, code, act, minute))""",
    """CREATE TABLE IF NOT EXISTS conclave_party (
        company TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (company, key))""",
    "CREATE INDEX IF NOT EXISTS conclave_party_key ON conclave_party (key)",
    "CREATE INDEX IF NOT EXISTS conclave_room_id ON conclave_room (room_id)",
)


class Cursor(Protocol):
    """What is used of ``LoggingTransaction``."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def execute(self, sql: str, parameters: Any = ...) -> None:
        """Run one statement."""
        ...

    def fetchone(self) -> Any:
        """The next row, or ``None``."""
        ...

    def fetchall(self) -> Any:
        """All rows."""
        ...


class StaleDocumentError(Exception):
    """A document is older than the stored one, or says something else under the same version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAct:
    """What is remembered of a refusal; ``subject`` is whom it was done to, of several the first."""

    actor: str
    room: str
    code: str
    act: str
    subject: str = ""


def create_tables(txn: Cursor) -> None:
    """Create what is missing."""
    for statement in _TABLES:
        txn.execute(statement)


def store_documents(txn: Cursor, documents: Sequence[Document]) -> list[tuple[str, str]]:
    """Store ``documents``, all or none; returns the (kind, key) of those that are new.

    Raises:
        StaleDocumentError: One would go back to an older version, or change a version; nothing is stored.
    """
    changed = []
    for document in documents:
        text = document.signed_bytes().decode()
        txn.execute(
            "SELECT version, document FROM conclave_document WHERE kind = ? AND key = ?",
            (document.kind.value, document.key),
        )
        stored = txn.fetchone()
        if stored is not None and stored[0] == document.version and stored[1] == text:
            continue
        if stored is not None and stored[0] >= document.version:
            raise StaleDocumentError(
                f"{document.kind} {document.key} is at version {stored[0]}, refusing version {document.version}"
            )
        txn.execute("DELETE FROM conclave_document WHERE kind = ? AND key = ?", (document.kind.value, document.key))
        txn.execute(
            "INSERT INTO conclave_document (kind, key, version, document) VALUES (?, ?, ?, ?)",
            (document.kind.value, document.key, document.version, text),
        )
        if document.kind is DocumentKind.CHARTER:
            _store_parties(txn, document)
        changed.append((document.kind.value, document.key))
    return changed


def _store_parties(txn: Cursor, document: Document) -> None:
    """Note which companies a charter names, so that what two have in common is found quickly."""
    txn.execute("DELETE FROM conclave_party WHERE key = ?", (document.key,))
    for company in set(() if document.gone else document.body["companies"]):
        txn.execute("INSERT INTO conclave_party (company, key) VALUES (?, ?)", (company, document.key))


def shared_charters(txn: Cursor, companies: Sequence[str]) -> list[str]:
    """The keys of the charters that name all of ``companies``, each given once."""
    if not companies:
        return []
    marks = ", ".join("?" for _ in companies)
    txn.execute(
        f"SELECT key FROM conclave_party WHERE company IN ({marks}) GROUP BY key HAVING COUNT(*) = ? ORDER BY key",  # noqa: S608  # only place holders are put in
        (*companies, len(companies)),
    )
    return [str(row[0]) for row in txn.fetchall()]


def load_body(txn: Cursor, kind: str, key: str) -> Mapping[str, Any] | None:
    """The body of one stored document; ``None`` when there is none or the record is gone."""
    txn.execute("SELECT document FROM conclave_document WHERE kind = ? AND key = ?", (kind, key))
    row = txn.fetchone()
    if row is None:
        return None
    document = json.loads(row[0].split("\n", 1)[1])
    return None if document["gone"] else document["body"]


def sum_documents(txn: Cursor) -> dict[str, tuple[int, int]]:
    """How many documents of each kind are stored, and the sum of their versions: less when one of them went back."""
    txn.execute("SELECT kind, COUNT(*), SUM(version) FROM conclave_document GROUP BY kind")
    return {row[0]: (int(row[1]), int(row[2])) for row in txn.fetchall()}


def claim_room(txn: Cursor, key: str, room_id: str, now: int) -> str:
    """Bind the charter ``key`` to ``room_id`` unless it is bound; returns the room it is bound to."""
    txn.execute(
        "INSERT INTO conclave_room (key, room_id, claimed_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (key, room_id, now),
    )
    return claimed_room(txn, key) or room_id


def claimed_room(txn: Cursor, key: str) -> str | None:
    """The room that the charter ``key`` is bound to."""
    txn.execute("SELECT room_id FROM conclave_room WHERE key = ?", (key,))
    row = txn.fetchone()
    return None if row is None else str(row[0])


def direct_rooms(txn: Cursor, after: str) -> list[tuple[str, str]]:
    """Up to a thousand rooms whose key is a direct room's, as (key, room id), from behind ``after`` on."""
    txn.execute(
        "SELECT key, room_id FROM conclave_room WHERE key > ? AND key LIKE ? ORDER BY key LIMIT ?",
        (after, "%.%", DIRECT_PAGE),
    )
    return [(row[0], row[1]) for row in txn.fetchall()]


def key_of_room(txn: Cursor, room_id: str) -> str | None:
    """The key of the charter that is bound to ``room_id``."""
    txn.execute("SELECT key FROM conclave_room WHERE room_id = ?", (room_id,))
    row = txn.fetchone()
    return None if row is None else str(row[0])


def release_room(txn: Cursor, key: str, room_id: str, now: int) -> bool:
    """Unbind ``key`` from a room that never came to be; only once its creation cannot be under way any more."""
    txn.execute(
        "DELETE FROM conclave_room WHERE key = ? AND room_id = ? AND claimed_at <= ?",
        (key, room_id, now - CLAIM_GRACE_MS),
    )
    return txn.rowcount > 0


def record_refusal(txn: Cursor, refused: RefusedAct, now: int) -> None:
    """Count the refusal: one row for each actor, room, code, act and minute.

    Somebody who thinks up ever new acts gets 50 rows a minute; the rest is counted by its code alone.
    """
    actor, room, code, act, subject = (
        _storable(name) for name in (refused.actor, refused.room, refused.code, refused.act, refused.subject)
    )
    minute = now // MINUTE_MS * MINUTE_MS
    if _is_new(txn, (actor, room, code, act, minute)):
        txn.execute("SELECT COUNT(*) FROM conclave_refusal WHERE actor = ? AND minute = ?", (actor, minute))
        if txn.fetchone()[0] >= MAX_ROWS:
            room, act, subject = "", FURTHER, ""
    txn.execute(
        """INSERT INTO conclave_refusal (actor, room, code, act, minute, subject, seen, reported, sending, batch)
           VALUES (?, ?, ?, ?, ?, ?, 1, 0, 0, NULL)
           ON CONFLICT (actor, room, code, act, minute) DO UPDATE SET seen = conclave_refusal.seen + 1""",
        (actor, room, code, act, minute, subject),
    )


def _is_new(txn: Cursor, key: tuple[str, str, str, str, int]) -> bool:
    txn.execute(
        "SELECT 1 FROM conclave_refusal WHERE actor = ? AND room = ? AND code = ? AND act = ? AND minute = ?", key
    )
    return txn.fetchone() is None


def _storable(name: str) -> str:
    """``name`` as both databases take it: a client chooses it, and must not keep its refusal off the record."""
    return name[:MAX_TEXT].encode(errors="replace").decode().replace("\0", "\ufffd")


def next_batch(txn: Cursor, batch: str, now: int) -> tuple[str, list[dict[str, Any]]]:
    """The refusals to deliver now and the batch they go under: the unanswered one if there is one, else ``batch``.

    A first refusal goes out at once; what follows it within the minute is counted and goes out when the minute is over.
    """
    txn.execute("SELECT batch FROM conclave_refusal WHERE batch IS NOT NULL LIMIT 1")
    unanswered = txn.fetchone()
    if unanswered is not None:
        batch = unanswered[0]
    else:
        txn.execute(
            """UPDATE conclave_refusal SET batch = ?, sending = seen
               WHERE (actor, room, code, act, minute) IN (
                 SELECT actor, room, code, act, minute FROM conclave_refusal
                 WHERE reported = 0 OR (seen > reported AND minute <= ?) ORDER BY minute LIMIT ?)""",
            (batch, now - MINUTE_MS, BATCH),
        )
    txn.execute(
        """SELECT actor, room, code, act, minute, subject, sending - reported FROM conclave_refusal WHERE batch = ?
           ORDER BY minute, actor, room, code, act""",
        (batch,),
    )
    names = ("actor", "room", "code", "act", "minute", "subject", "count")
    return batch, [dict(zip(names, row, strict=True)) for row in txn.fetchall()]


def acknowledge_batch(txn: Cursor, batch: str, now: int) -> None:
    """Note that the hub has ``batch``; rows of minutes that are over and fully delivered are deleted."""
    txn.execute("UPDATE conclave_refusal SET reported = sending, batch = NULL WHERE batch = ?", (batch,))
    txn.execute(
        "DELETE FROM conclave_refusal WHERE seen = reported AND batch IS NULL AND minute <= ?", (now - MINUTE_MS,)
    )


class SteadyTime:
    """Milliseconds since the epoch by this machine's clock, never less than before in one process.

    A clock that is set back opens nothing again that time has closed.
    """

    def __init__(self, source: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._last = 0

    def __call__(self) -> int:
        """The time."""
        self._last = max(self._last, self._source() // 1_000_000)
        return self._last


now_ms = SteadyTime()
