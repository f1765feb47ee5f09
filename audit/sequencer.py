"""The sequencer: moves inbox rows into the log, and gets every new head signed.

One transaction takes the rows out and writes entries, tiles and head; the signature follows the commit. So the signer
never signs what a crash could take back, and every head it signs extends the one before (docs/adr/0003).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, Place, actor_key, seal_entry, system_actor
from audit.inbox import Inbox
from audit.index import scopes_of
from audit.indexing import Indexer
from audit.note import Checkpoint
from audit.signer import CheckpointSigner, SignerRefusedError
from audit.store import EntryRow, InboxRow, LedgerHead, LedgerStore
from audit.tiles import Edge, TileError, TileHashes, read_edge
from audit.tree import Head, ProofError, consistency_proof, leaf_hash
from config.clock import SECOND, Millis
from config.db import Database

log = structlog.get_logger()

BATCH = 1_000
CLOCK_TOLERANCE = SECOND

T = TypeVar("T")
Tiles = Callable[[int, int], Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What a batch came to: its entries, the head after it, the tiles at the tree's edge before and after it."""

    entries: int
    head: Head
    tiles: Mapping[tuple[int, int], Sequence[bytes]]


class Sequencer:
    """The one writer of the log; ``step`` does one batch."""

    def __init__(
        self, db: Database, signer: CheckpointSigner, origin: str, notices: Inbox, *, batch: int = BATCH
    ) -> None:
        self._db = db
        self._signer = signer
        self._origin = origin
        self._notices = notices
        self._batch = batch
        self._edge = Edge()
        self._indexer = Indexer()
        self._holding_back = False

    async def step(self) -> int:
        """Give up to ``batch`` waiting entries their place and publish a signed checkpoint over them.

        Returns how many entries were written; 0 when the inbox is empty.

        Raises:
            DatabaseUnavailableError: Nothing was written.
            SignerRefusedError: The database does not extend what was signed; entries wait, unsigned.
        """
        async with self._db.read() as connection:
            waiting, unsigned = await LedgerStore(connection).pending()
        appended = await self._append() if waiting else None
        if appended is not None and await self._sign_appended(appended):
            return appended.entries
        if appended is not None or unsigned:
            await self._sign_stored()
        return 0 if appended is None else appended.entries

    async def _append(self) -> Appended | None:
        async with self._db.begin() as tx:
            store = LedgerStore(tx)
            head = await store.head()
            rows = await store.take_inbox(self._batch)
            if not rows:
                return None
            before = await self._edge_at(head, store)
            entries = await _place(rows, head, store)
            index = await self._indexer.index_of(entries, store)
            entries += [] if index is None else [index]
            edge, tiles = before.append([leaf_hash(entry.body) for entry in entries])
            after = Head(edge.frontier.size, edge.frontier.root())
            await store.move_head(head, after, entries[-1].at)  # first: it keeps a second sequencer out
            await store.append(entries)
            await store.save_tiles(tiles)
            behind = entries[-1].at - rows[-1].at
            await self._note_clock(tx, behind)
        self._edge, self._holding_back = edge, behind > CLOCK_TOLERANCE
        if index is not None:
            self._indexer.published(index)
        return Appended(entries=len(rows), head=after, tiles={**before.tiles(), **tiles})

    async def _note_clock(self, tx: AsyncConnection, behind: Millis) -> None:
        """Say in the log, once an episode, that the clock went back and times are held at the newest entry's."""
        if behind > CLOCK_TOLERANCE and not self._holding_back:
            log.warning("clock_behind_ledger", behind_ms=behind)
            draft = Draft(kind="clock.corrected", actor=system_actor("sequencer"), data={"behind_ms": behind})
            await self._notices.put(tx, draft)

    async def _edge_at(self, head: LedgerHead, store: LedgerStore) -> Edge:
        """The edge of the stored tree: the one in memory where it fits, else read from the tiles."""
        known = self._edge
        if known.frontier.size == head.size and known.frontier.root() == head.root:
            return known
        return await with_tiles(store, lambda tile: read_edge(head.size, tile))

    async def _sign_appended(self, appended: Appended) -> bool:
        """Have the head that was just committed signed, from memory; false where that takes what is stored."""
        head, signed = appended.head, await self._signer.head()
        try:
            proof = _consistency(signed.size, head.size, lambda level, tile: appended.tiles[level, tile])
            await self._publish(head, proof)
        except (KeyError, TileError, ProofError, SignerRefusedError):
            return False
        return True

    async def _sign_stored(self) -> None:
        """Have the newest head signed; when another sequencer had a newer one signed meanwhile, that one."""
        while True:
            signed = await self._signer.head()  # before the database is read: what is signed is committed
            async with self._db.read() as connection:
                store = LedgerStore(connection)
                head = await store.head()
                if head.size in {0, head.signed_size}:
                    return
                first = min(signed.size, head.size)
                proof = await with_tiles(store, partial(_consistency, first, head.size))
            try:
                await self._publish(Head(head.size, head.root), proof)
            except SignerRefusedError:
                if await self._signer.head() == signed:
                    raise
            else:
                return

    async def _publish(self, head: Head, proof: Sequence[bytes]) -> None:
        """Make the signed checkpoint over ``head`` the newest one.

        Raises:
            SignerRefusedError: ``head`` does not extend what was signed.
        """
        note = await self._signer.sign(Checkpoint(origin=self._origin, size=head.size, root=head.root), proof)
        async with self._db.begin() as tx:
            await LedgerStore(tx).set_checkpoint(head.size, note)


def _consistency(first: int, second: int, tile: Tiles) -> list[bytes]:
    return consistency_proof(first, second, TileHashes(tile))


async def with_tiles(store: LedgerStore, compute: Callable[[Tiles], T]) -> T:
    """The result of the pure ``compute``, with the stored tiles that it turns out to ask for."""
    loaded: dict[tuple[int, int], list[bytes]] = {}
    while True:
        try:
            return compute(lambda level, tile: loaded[level, tile])
        except KeyError as missing:
            level, tile = missing.args[0]
            loaded[level, tile] = await store.tile(level, tile)


async def _place(rows: Sequence[InboxRow], head: LedgerHead, store: LedgerStore) -> list[EntryRow]:
    """The entries for ``rows``, in order, with their numbers; counters and disclosures are brought up to date."""
    bodies: list[dict[str, Any]] = [json.loads(row.body) for row in rows]
    counters = await store.counters({key for body in bodies for key in _counter_keys(body)})
    entries, digests, at = [], {}, head.last_at
    for position, (row, body) in enumerate(zip(rows, bodies, strict=True), start=head.size):
        at = max(at, row.at)
        for key in _counter_keys(body):
            counters[key] += 1
        place = Place(
            at=at,
            source=row.source,
            source_seq=row.source_seq,
            actor_seq=counters["actor", actor_key(body["actor"])],
            room_seq=counters["room", body["room"]] if "room" in body else None,
        )
        data = seal_entry(body, place)
        room = body.get("room") or body["data"].get("place")  # where it happened, be it the room's own or not
        entries.append(EntryRow(position=position, kind=body["kind"], at=at, room=room, body=data))
        digests.update(dict.fromkeys(body.get("sd", ()), position))
    await store.save_counters(counters)
    await store.place_disclosures(digests)
    return entries


def _counter_keys(body: dict[str, Any]) -> list[tuple[str, str]]:
    """What an entry is counted under: its actor, and the scopes of the index."""
    return [("actor", actor_key(body["actor"])), *((scope.kind, scope.id) for scope in scopes_of(body))]
