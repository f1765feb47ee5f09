"""The sequencer: moves inbox rows into the log, and gets every new head signed.

One transaction takes the rows out and writes entries, tiles and head; the signature follows the commit. So the signer
never signs what a crash could take back, and every head it signs extends the one before (docs/adr/0003).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.batch_store import BatchStore, InboxRow, Key, LedgerConflictError
from audit.entry import Draft, Place, read_draft, seal_entry, system_actor
from audit.inbox import Inbox
from audit.index import COMPANY, ROOM
from audit.indexing import Indexer
from audit.note import Checkpoint
from audit.signer import CheckpointSigner, SignerRefusedError
from audit.store import EntryRow, LedgerHead, LedgerStore
from audit.stored_hashes import with_hashes, with_tiles
from audit.succession import KEY_KINDS
from audit.tiles import Edge, TileError, TileHashes, read_edge
from audit.tree import Head, ProofError, consistency_proof, leaf_hashes
from config.clock import SECOND, Millis
from config.db import Database

log = structlog.get_logger()

BATCH = 2_000
CLOCK_TOLERANCE = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What a batch came to: its entries, the head after it, the leader's number, the edge's tiles before and after."""

    entries: int
    head: Head
    term: int
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
        self._term: int | None = None
        self._keys_may_wait = True

    @property
    def leads(self) -> bool:
        """Whether this one took the lead, and has not noticed yet that another did since."""
        return self._term is not None

    async def lead(self) -> None:
        """Fence off whoever led before: nothing that they still have under way gets into the log.

        To be called by whoever has just become the leader. Without it, the first batch does so.

        Raises:
            DatabaseUnavailableError: It is not known who leads.
        """
        self._term = None
        async with self._db.begin() as tx:
            term = await BatchStore(tx).lead()
        self._indexer.forget()
        self._term = term

    async def step(self) -> int:
        """Give up to ``batch`` waiting entries their place and publish a signed checkpoint over them.

        Returns how many entries were written; 0 when the inbox is empty.

        Raises:
            DatabaseUnavailableError: Nothing was written.
            SignerRefusedError: The database does not extend what was signed; entries wait, unsigned.
        """
        async with self._db.read() as connection:
            waiting, unsigned = await BatchStore(connection).pending()
        appended = await self._append() if waiting else None
        if self._keys_may_wait and await self._change_of_keys_waits():
            return 0 if appended is None else appended.entries
        if appended is not None and await self._sign_appended(appended):
            return appended.entries
        if appended is not None or unsigned:
            await self._sign_stored()
        return 0 if appended is None else appended.entries

    async def _change_of_keys_waits(self) -> bool:
        """Whether the log has yet to say that its keys changed: today's keys sign nothing before it does.

        A hub leaves such an entry at its start and at no other time; once it is in the log, nobody asks again.
        """
        async with self._db.read() as connection:
            self._keys_may_wait = bool(await LedgerStore(connection).waiting(*KEY_KINDS))
        return self._keys_may_wait

    async def _append(self) -> Appended | None:
        try:
            return await self._append_as_leader()
        except LedgerConflictError:
            self._term = None
            raise

    async def _append_as_leader(self) -> Appended | None:
        async with self._db.begin() as tx:
            store = BatchStore(tx)
            head = await LedgerStore(tx).head()
            term = head.term + 1 if self._term is None else self._term
            if self._term not in {None, head.term}:
                raise LedgerConflictError(f"leader {head.term} has taken over from leader {term}")
            rows = await store.take_inbox(self._batch)
            if not rows:
                return None
            before = await self._edge_at(head, LedgerStore(tx))
            entries = await _place(rows, head, store)
            index = await self._indexer.index_of(entries, tx)
            entries += [] if index is None else [index]
            edge, tiles = before.append(leaf_hashes(entry.body for entry in entries))
            after = Head(edge.frontier.size, edge.frontier.root())
            await store.move_head(head, after, entries[-1].at, term=term)  # first: it keeps a second sequencer out
            await store.append(entries)
            await store.save_tiles(tiles)
            behind = entries[-1].at - rows[-1].at
            await self._note_clock(tx, behind)
        self._term, self._edge, self._holding_back = term, edge, behind > CLOCK_TOLERANCE
        if index is not None:
            self._indexer.published(index)
        return Appended(entries=len(rows), head=after, term=term, tiles={**before.tiles(), **tiles})

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
        return await with_tiles(store, partial(read_edge, head.size))

    async def _sign_appended(self, appended: Appended) -> bool:
        """Have the head that was just committed signed, from memory; false where that takes what is stored."""
        head, signed = appended.head, await self._signer.head()
        try:
            hashes = TileHashes(lambda level, tile: appended.tiles[level, tile])
            proof = consistency_proof(signed.size, head.size, hashes)
            await self._publish(head, proof, appended.term)
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
                proof = await with_hashes(store, partial(consistency_proof, first, head.size))
            try:
                await self._publish(Head(head.size, head.root), proof, head.term)
            except SignerRefusedError:
                if await self._signer.head() == signed:
                    raise
            else:
                return

    async def _publish(self, head: Head, proof: Sequence[bytes], term: int) -> None:
        """Make the signed checkpoint over ``head`` the newest one, unless another than the leader ``term`` leads since.

        Raises:
            SignerRefusedError: ``head`` does not extend what was signed.
        """
        note = await self._signer.sign(Checkpoint(origin=self._origin, size=head.size, root=head.root), proof)
        async with self._db.begin() as tx:
            await BatchStore(tx).publish(head.size, note, term=term)


async def _place(rows: Sequence[InboxRow], head: LedgerHead, store: BatchStore) -> list[EntryRow]:
    """The entries for ``rows``, in order, with their numbers; counters and disclosures are brought up to date."""
    drafts = [read_draft(row.body) for row in rows]
    keys = [_counter_keys(draft.actor, draft.room, draft.companies) for draft in drafts]
    counters = await store.counters({key for found in set(keys) for key in found})
    entries, digests, at = [], {}, head.last_at
    for position, (row, draft, counted) in enumerate(zip(rows, drafts, keys, strict=True), start=head.size):
        at = max(at, row.at)
        for key in counted:
            counters[key] += 1
        place = Place(
            at=at,
            source=row.source,
            source_seq=row.source_seq,
            actor_seq=counters["actor", draft.actor],
            room_seq=None if draft.room is None else counters["room", draft.room],
        )
        entries.append(EntryRow(position, draft.kind, at, draft.place, seal_entry(draft, place)))
        digests.update(dict.fromkeys(draft.sd, position))
    await store.save_counters(counters)
    await store.place_disclosures(digests)
    return entries


@lru_cache(4096)
def _counter_keys(actor: str, room: str | None, companies: tuple[str, ...]) -> tuple[Key, ...]:
    """What an entry is counted under: its actor, and where it has a room the scopes of the index."""
    if room is None:
        return (("actor", actor),)
    return ("actor", actor), (ROOM, room), *((COMPANY, company) for company in companies)
