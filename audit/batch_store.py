"""SQL of the sequencer's batches, past SQLAlchemy's compiler: one statement a table, however many rows.

On SQLite the driver's ``executemany``; on PostgreSQL ``COPY`` for the entries, and arrays (``unnest``) for what has to
be put in the place of older rows. The caller owns the transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.store import EMPTY_HEAD, EntryRow, LedgerHead
from audit.tree import EMPTY_ROOT, Head
from config.db import copy, run, run_many
from config.errors import ConclaveError

Key = tuple[str, str]


class LedgerConflictError(ConclaveError):
    """Another sequencer leads or moved the head; this pass is dropped."""

    code = "ledger_conflict"


class InboxRow(NamedTuple):
    """An entry that waits for its place."""

    id: int
    at: int
    source: str
    source_seq: int
    body: str


_PENDING = """SELECT EXISTS (SELECT 1 FROM inbox),
                     EXISTS (SELECT 1 FROM ledger_head WHERE size > signed_size)"""
_FOUND = """INSERT INTO ledger_head (id, size, root, last_at, signed_size, term) VALUES (1, 0, $1, 0, 0, 0)
            ON CONFLICT (id) DO NOTHING"""
_LEAD = "UPDATE ledger_head SET term = term + 1 WHERE id = 1 RETURNING term"
_MOVE = """UPDATE ledger_head SET size = $1, root = $2, last_at = $3, term = $4
           WHERE id = 1 AND size = $5 AND root = $6 AND term = $7"""
_PUBLISH = """UPDATE ledger_head SET signed_size = $1, checkpoint = $2
              WHERE id = 1 AND signed_size < $1 AND term = $3"""
_LOOK = "SELECT id, at, source, source_seq, body FROM inbox ORDER BY id LIMIT $1"
_REMOVE = "DELETE FROM inbox WHERE id <= $1"
_TAKE = """WITH taken AS (DELETE FROM inbox WHERE id = ANY (ARRAY (SELECT id FROM inbox ORDER BY id LIMIT $1))
                          RETURNING id, at, source, source_seq, body)
           SELECT id, at, source, source_seq, body FROM taken ORDER BY id"""
"""An array, not a subquery: that the server joins row by row where it last counted an empty inbox."""
_APPEND = "INSERT INTO ledger_entry (position, kind, at, room, body) VALUES ($1, $2, $3, $4, $5)"


class Bulk(NamedTuple):
    """One statement for many rows: SQLite's, run for each row, and PostgreSQL's, which takes an array a column."""

    sqlite: str
    postgresql: str


_TILES = Bulk(
    """INSERT INTO ledger_tile (level, tile, hashes) VALUES ($1, $2, $3)
       ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes""",
    """INSERT INTO ledger_tile (level, tile, hashes) SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[])
       ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes""",
)
_COUNTERS = Bulk(
    """SELECT c.scope, c.key, c.value FROM json_each($1) AS j JOIN ledger_counter AS c
       ON c.scope = json_extract(j.value, '$[0]') AND c.key = json_extract(j.value, '$[1]')""",
    """SELECT c.scope, c.key, c.value FROM unnest($1::text[], $2::text[]) AS j (scope, key)
       JOIN ledger_counter AS c USING (scope, key)""",
)
_COUNT = Bulk(
    """INSERT INTO ledger_counter (scope, key, value) VALUES ($1, $2, $3)
       ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value""",
    """INSERT INTO ledger_counter (scope, key, value) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
       ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value""",
)
_DISCLOSED = Bulk(
    "UPDATE ledger_disclosure SET position = $2 WHERE digest = $1",
    """UPDATE ledger_disclosure AS d SET position = n.position
       FROM unnest($1::text[], $2::bigint[]) AS n (digest, position) WHERE d.digest = n.digest""",
)


class BatchStore:
    """What the sequencer writes, and what it reads to write it."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._postgresql = tx.dialect.name == "postgresql"

    async def pending(self) -> tuple[bool, bool]:
        """Whether entries wait for their place, and whether the log's head waits for its signature."""
        waiting, unsigned = (await run(self._tx, _PENDING)).one()
        return bool(waiting), bool(unsigned)

    async def lead(self) -> int:
        """The number of a new leader: from now on nobody with an older one moves the head."""
        await run(self._tx, _FOUND, EMPTY_ROOT)
        return int((await run(self._tx, _LEAD)).scalar_one())

    async def move_head(self, before: LedgerHead, after: Head, last_at: int, *, term: int) -> None:
        """Set the head to ``after``, for the leader ``term``, if it is still ``before``.

        Raises:
            LedgerConflictError: It is not; somebody else leads, or wrote.
        """
        if before is EMPTY_HEAD:
            await run(self._tx, _FOUND, EMPTY_ROOT)
        known = (before.size, before.root, before.term)
        done = await run(self._tx, _MOVE, after.size, after.root, last_at, term, *known)
        if done.rowcount != 1:
            raise LedgerConflictError(f"the ledger is no longer at {before.size} entries: another sequencer wrote")

    async def publish(self, size: int, note: bytes, *, term: int) -> None:
        """Make ``note`` the newest checkpoint, where the leader ``term`` still leads; an older one never replaces it.

        Whoever leads since signs the head anew, or has closed the log that it is of.
        """
        await run(self._tx, _PUBLISH, size, note, term)

    async def take_inbox(self, limit: int) -> list[InboxRow]:
        """Take up to ``limit`` waiting rows out, the oldest first.

        PostgreSQL has them back from the deletion itself: what commits late under a small number is never passed
        over. SQLite's write lock is held, nobody else can commit in between.
        """
        if self._postgresql:
            return [InboxRow._make(row) for row in await run(self._tx, _TAKE, limit)]
        rows = [InboxRow._make(row) for row in await run(self._tx, _LOOK, limit)]
        if rows:
            await run(self._tx, _REMOVE, rows[-1].id)
        return rows

    async def counters(self, keys: Iterable[Key]) -> dict[Key, int]:
        """The last number given for each (scope, key); 0 when none was."""
        wanted = sorted(keys)
        if self._postgresql:
            scopes, names = [scope for scope, _ in wanted], [name for _, name in wanted]
            rows = await run(self._tx, _COUNTERS.postgresql, scopes, names)
        else:
            rows = await run(self._tx, _COUNTERS.sqlite, json.dumps(wanted))
        return {**dict.fromkeys(wanted, 0), **{(scope, key): value for scope, key, value in rows}}

    async def save_counters(self, counters: Mapping[Key, int]) -> None:
        """Store the last number given for each (scope, key)."""
        await self._each(_COUNT, [(scope, key, value) for (scope, key), value in sorted(counters.items())])

    async def append(self, entries: Sequence[EntryRow]) -> None:
        """Store ``entries`` at their positions."""
        if self._postgresql:
            await copy(self._tx, "ledger_entry", EntryRow._fields, entries)
        else:
            await run_many(self._tx, _APPEND, entries)

    async def save_tiles(self, tiles: Mapping[tuple[int, int], Sequence[bytes]]) -> None:
        """Store the hashes of each (level, tile), in place of fewer."""
        await self._each(_TILES, [(level, tile, b"".join(hashes)) for (level, tile), hashes in tiles.items()])

    async def place_disclosures(self, digests: Mapping[str, int]) -> None:
        """Note the position of the entry that each digest ended up in."""
        await self._each(_DISCLOSED, list(digests.items()))

    async def _each(self, statement: Bulk, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._postgresql:
            await run(self._tx, statement.postgresql, *(list(column) for column in zip(*rows, strict=True)))
        else:
            await run_many(self._tx, statement.sqlite, rows)
