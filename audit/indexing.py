"""When an index entry is due, and making it: the last entry of a batch of the sequencer."""

import json
import os
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.batch_store import BatchStore
from audit.canonical import canonical_json
from audit.entry import SALT_SIZE, Disclosure, Draft, Place, actor_key, draft_body, read_draft, seal_entry, system_actor
from audit.index import COMPANY, INDEX_KIND, ROOM, SEED, SEED_SIZE, WHOLE, Index, counts_of, encode, index_data
from audit.index_store import IndexStore
from audit.store import EntryRow, LedgerStore
from config.clock import DAY, Millis

SOURCE = "index"
ACTOR = system_actor(SOURCE)
ENTRIES_BETWEEN = 16_384
EXPORTS_KEPT = 16
"""Of how many indexes the counts are kept: an export is fetched soon after it was ordered, or ordered again."""


class Indexer:
    """Publishes an index with every day and every 16,384 entries that came, and behind the export of a part of the log.

    So such an export, which ends with the index behind its own entry, is never behind.
    """

    def __init__(self, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._last: tuple[int, Millis] | None = None

    async def index_of(self, entries: Sequence[EntryRow], tx: AsyncConnection) -> EntryRow | None:
        """The index entry behind ``entries``, which are the newest of the log, where one is due; it is not stored.

        Its disclosure and its numbers are, in ``tx``.
        """
        newest = entries[-1]
        if self._last is None:
            self._last = await self._newest(tx, entries[0])
        last, at = self._last
        soon = newest.position - last < ENTRIES_BETWEEN and newest.at - at < DAY
        exported = any(map(_exports_a_part, entries))
        if soon and not exported:
            return None
        return await self._make(newest.position + 1, newest.at, tx, exported=exported)

    def published(self, entry: EntryRow) -> None:
        """Note that ``entry`` was committed."""
        self._last = entry.position, entry.at

    def forget(self) -> None:
        """Look for the newest index in the log again: others may have led, and published one."""
        self._last = None

    @staticmethod
    async def _newest(tx: AsyncConnection, first: EntryRow) -> tuple[int, Millis]:
        """Position and time of the newest index; of the log's beginning, else of ``first``, where there is none."""
        row = await IndexStore(tx).newest(INDEX_KIND) or await LedgerStore(tx).entry(0) or first
        return row.position, row.at

    async def _make(self, position: int, at: Millis, tx: AsyncConnection, *, exported: bool) -> EntryRow:
        store = IndexStore(tx)
        counts = await store.counts([COMPANY, ROOM])
        if exported:
            await store.keep_index(position, json.dumps(counts), EXPORTS_KEPT)
        index = Index(counts_of(counts), self._random_bytes(SEED_SIZE))
        hidden = Disclosure(salt=self._random_bytes(SALT_SIZE), name=SEED, value=encode(index.seed))
        draft = Draft(kind=INDEX_KIND, actor=ACTOR, data=index_data(index))
        body = canonical_json(draft_body(draft, [hidden.digest()], self._random_bytes(SALT_SIZE))).decode()
        number = await self._number(BatchStore(tx))
        place = Place(at=at, source=SOURCE, source_seq=number, actor_seq=number, room_seq=None)
        await store.add_disclosure(position, hidden.digest(), hidden.encode())
        return EntryRow(position=position, kind=INDEX_KIND, at=at, room=None, body=seal_entry(read_draft(body), place))

    @staticmethod
    async def _number(store: BatchStore) -> int:
        """The number of the next index, as of its source so of its actor: nobody else uses either."""
        counter = ("actor", actor_key(ACTOR))
        number = (await store.counters([counter]))[counter] + 1
        await store.save_counters({counter: number})
        return number


def _exports_a_part(entry: EntryRow) -> bool:
    return entry.kind == "audit.exported" and json.loads(entry.body)["data"].get("scope") != WHOLE
