"""Reading and exporting the ledger."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from audit.batch_store import BatchStore
from audit.bundle import ExportFile, ExportOrder, write_bundle
from audit.entry import Disclosure, Draft, person_actor
from audit.former_store import FormerStore
from audit.inbox import Inbox
from audit.index import SEED, WHOLE, Scope
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.note import KEY_ID_SIZE, Checkpoint, VerifierKey, split_note
from audit.part_export import read_counts
from audit.removal_export import RemovalOrder, judge_stored, write_removal
from audit.removal_report import Removal
from audit.store import CosignedRow, EntryRow, LedgerHead, LedgerStore
from audit.stored_hashes import with_hashes
from audit.tiles import ENTRIES, TILE_WIDTH, encode_bundle
from audit.trail_export import TrailOrder, write_trail
from audit.tree import consistency_proof, inclusion_proof, leaf_hash
from config.clock import Clock
from config.db import Database
from config.errors import InvalidInputError, NotFoundError, UnavailableError

PATIENCE_S = 15
LOOK_S = 0.02


class LedgerBehindError(UnavailableError):
    """The log does not take entries at the moment; what was asked for will still be in it."""

    code = "ledger_behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """An entry with its inclusion proof in the newest signed checkpoint."""

    row: EntryRow
    leaf: bytes
    size: int
    root: bytes
    proof: list[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatus:
    """How the log is doing."""

    head: LedgerHead
    backlog: int
    oldest_at: int | None


class AuditService:
    """What compliance officers and auditors do with the log."""

    def __init__(  # noqa: PLR0913  # what a log is known by
        self,
        db: Database,
        inbox: Inbox,
        clock: Clock,
        *,
        log_keys: Sequence[VerifierKey],
        export_key: SigningKey,
        software: str,
        new_export: Callable[[], str],
        policy: bytes = b"",
        retired: Sequence[VerifierKey] = (),
    ) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock
        self._log_keys = log_keys
        self.retired = retired
        self._export_key = export_key
        self._software = software
        self._new_export = new_export
        self._policy = policy

    @property
    def log_key(self) -> VerifierKey:
        """The log's Ed25519 key."""
        return self._log_keys[0]

    @property
    def log_keys(self) -> Sequence[VerifierKey]:
        """The log's public keys: Ed25519, then ML-DSA-44 where it has one."""
        return self._log_keys

    async def status(self) -> LedgerStatus:
        """Size, head, and what waits."""
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            backlog, oldest = await store.backlog()
            return LedgerStatus(head=await store.head(), backlog=backlog, oldest_at=oldest)

    async def page(self, *, start: int, limit: int, kind: str | None, room: str | None) -> list[EntryRow]:
        """Up to ``limit`` entries from position ``start`` on, oldest first, of one kind or room where asked."""
        async with self._db.read() as connection:
            return await LedgerStore(connection).page(start=start, limit=limit, kind=kind, room=room)

    async def former(self, room: str) -> list[EntryRow]:
        """The entries of a room in logs that were closed, the oldest first."""
        async with self._db.read() as connection:
            return await FormerStore(connection).of_room(room)

    async def closed_log_of(self, row: EntryRow) -> str | None:
        """The origin of the closed log that has the entry ``row``, as :meth:`former` gave it."""
        async with self._db.read() as connection:
            store = FormerStore(connection)
            for log in await store.logs():
                if await store.bodies(log.number, row.position, row.position + 1) == [row.body]:
                    return log.origin
        return None

    async def disclosed(self, positions: Sequence[int]) -> dict[int, dict[str, str]]:
        """What stands beside the log for up to 1,000 entries, by their position: name and value; no seeds."""
        found: dict[int, dict[str, str]] = {position: {} for position in positions}
        async with self._db.read() as connection:
            rows = await IndexStore(connection).disclosures_of(positions)
        for position, text in rows:
            item = Disclosure.decode(text)
            if item.name != SEED:
                found[position][item.name] = item.value
        return found

    async def prove(self, position: int) -> Proven:
        """The entry at ``position`` with its proof, under a checkpoint that witnesses cosigned where one covers it.

        Raises:
            NotFoundError: There is none, or it is not under a signed checkpoint yet.
        """
        async with self._db.look() as connection:  # entry and checkpoint are one statement; tiles only grow
            store = LedgerStore(connection)
            row, size, note = await self._covered(store, position)
            proof = await with_hashes(store, partial(inclusion_proof, position, size))
        return Proven(row=row, leaf=leaf_hash(row.body), size=size, root=_root_of(note), proof=proof, checkpoint=note)

    async def _covered(self, store: LedgerStore, position: int) -> tuple[EntryRow, int, bytes]:
        """The entry at ``position``, and size and note of the checkpoint to prove it under, with today's keys.

        What witnesses cosigned before the keys were replaced is passed over: whoever has today's cannot open it.

        Raises:
            NotFoundError: There is no such entry, or no such checkpoint covers it yet.
        """
        row, notes = await store.covered(position) or (None, [])
        if row is None or not notes:
            signed = (await store.head()).signed_size
            raise NotFoundError(f"no entry {position}; the log has {signed}", hint="conclave audit tail")
        for size, note in notes:
            if _signed_with(note, self._log_keys):
                return row, size, note
        detail = f"entry {position} is not under a checkpoint that the log's keys of today signed yet"
        raise NotFoundError(detail, hint="try again in a moment")

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the log of ``first`` entries is a prefix of the one of ``second``, which must be signed."""
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            return await with_hashes(store, partial(consistency_proof, first, second))

    async def growth(self, first: int, second: int) -> list[bytes]:
        """As :meth:`consistency`, for whoever asks.

        Raises:
            InvalidInputError: The sizes are not in order, or the signed log is not that large.
        """
        if first > second:
            raise InvalidInputError(f"first is {first}, and second only {second}", field="second")
        signed = (await self.status()).head.signed_size
        if second > signed:
            raise InvalidInputError(f"the signed log has {signed} entries, not {second}", field="second")
        return await self.consistency(first, second)

    async def tile(self, level: int, index: int, width: int) -> bytes:
        """A tile of the log, or with the level ``ENTRIES`` an entry bundle, under the newest signed checkpoint.

        Raises:
            NotFoundError: The signed log does not reach that far.
        """
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            size = (await store.head()).signed_size
            held = size // TILE_WIDTH ** max(level, 0)
            if index * TILE_WIDTH + width > held:
                raise NotFoundError("the log has no such tile yet")
            if level == ENTRIES:
                start = index * TILE_WIDTH
                return encode_bundle(await store.bodies(start, start + width))
            return b"".join((await store.tile(level, index))[:width])

    async def checkpoint(self) -> bytes:
        """The newest checkpoint: with its witnesses' lines, where they have cosigned that very one.

        Raises:
            NotFoundError: Nothing is signed yet.
        """
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            head, cosigned = await store.head(), await store.cosigned()
        if head.checkpoint is None:
            raise NotFoundError("nothing is signed yet")
        return head.checkpoint if cosigned is None or cosigned.size != head.signed_size else cosigned.checkpoint

    async def cosigned(self) -> CosignedRow | None:
        """The newest checkpoint that enough witnesses cosigned."""
        async with self._db.read() as connection:
            return await LedgerStore(connection).cosigned()

    async def keep_cosigned(self, row: CosignedRow) -> None:
        """Keep a checkpoint that enough witnesses cosigned, unless a newer one is kept already."""
        async with self._db.begin() as tx:
            await LedgerStore(tx).set_cosigned(row)

    async def order_export(self, *, actor: str, scope: Scope | Removal | None = None) -> tuple[str, int]:
        """Record that ``actor`` exports the log, or ``scope`` of it; the export's name and the entry that says so.

        Raises:
            NotFoundError: The log has nothing of ``scope``.
            NotClearedError: The log does not show that removal, or not yet.
            LedgerBehindError: The entry was not in the log within 15 seconds.
        """
        export = self._new_export()
        if isinstance(scope, Removal):
            await self._caught_up()
            head = (await self.status()).head
            await judge_stored(self._db, scope, head.size, head.last_at)
        async with self._db.begin() as tx:
            store = LedgerStore(tx)
            before = (await store.head()).size
            if isinstance(scope, Scope) and not any((await BatchStore(tx).counters([(scope.kind, scope.id)])).values()):
                raise NotFoundError(f"the ledger has no entry of a room of {scope}", hint="conclave room list")
            data = {"export": export, "scope": WHOLE if scope is None else str(scope)}
            await self._inbox.put(tx, Draft(kind="audit.exported", actor=person_actor(actor), data=data))
        return export, await self._await_entry(export, before)

    async def _caught_up(self) -> None:
        """Return when the log has what was handed in before now, or after 15 seconds."""
        asked = self._clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    oldest = (await self.status()).oldest_at
                    if oldest is None or oldest > asked:
                        return
                    await asyncio.sleep(LOOK_S)

    async def _await_entry(self, export: str, start: int) -> int:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    async with self._db.read() as connection:
                        store = LedgerStore(connection)
                        signed = (await store.head()).signed_size
                        rows = await store.page(start=start, limit=100, kind="audit.exported", room=None)
                    for row in rows:
                        if row.position < signed and _data(row)["export"] == export:
                            return row.position
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            head = (await self.status()).head
            unsigned = f"its newest {head.size - head.signed_size} entries are not signed"
            reason = unsigned if head.size > head.signed_size else f"it took no entries for {PATIENCE_S} s"
            raise LedgerBehindError(
                f"the ledger is behind: {reason}; the export was not made", hint="conclave doctor tells why"
            ) from None

    async def export(self, position: int, *, actor: str) -> AsyncGenerator[ExportFile, None]:
        """The files of the export that the entry at ``position`` records, as of the newest signed checkpoint.

        Raises:
            NotFoundError: That entry is not an export by ``actor``, or not signed with today's keys yet.
            NotClearedError: It is of a removal that the log does not show any more: somebody came back.
        """
        async with self._db.read() as connection:
            store = LedgerStore(connection)
            row = await store.entry(position)
            if row is None or row.kind != "audit.exported" or json.loads(row.body)["actor"] != person_actor(actor):
                raise NotFoundError(f"entry {position} is no export of yours", hint="conclave audit export --out DIR")
            row, size, note = await self._covered(store, position)
        order = ExportOrder(
            export=str(_data(row)["export"]),
            position=position,
            person=actor,
            at=max(self._clock(), row.at),
            software=self._software,
            origin=self.log_key.name,
            size=size,
            root=_root_of(note),
            checkpoint=note,
            policy=self._policy,
        )
        name = str(_data(row)["scope"])
        scope, removal = Scope.parse(name), Removal.parse(name)
        if removal is not None:
            return await self._removal(order, removal)
        if scope is not None:
            return await self._trail(order, scope)
        return write_bundle(self._db, order, self._log_keys, self._export_key)

    async def _trail(self, order: ExportOrder, scope: Scope) -> AsyncGenerator[ExportFile, None]:
        index, counts = await self._counted(order)
        trail = TrailOrder(export=order, scope=scope, index=index, counts=counts)
        return write_trail(self._db, trail, self._log_keys, self._export_key)

    async def _removal(self, order: ExportOrder, about: Removal) -> AsyncGenerator[ExportFile, None]:
        index, counts = await self._counted(order)
        async with self._db.read() as connection:
            row = await LedgerStore(connection).entry(index)
        assert row is not None
        judged = await judge_stored(self._db, about, index, row.at)
        removal = RemovalOrder(export=order, about=about, index=index, counts=counts)
        return write_removal(self._db, removal, judged, self._log_keys, self._export_key)

    async def _counted(self, order: ExportOrder) -> tuple[int, Mapping[Scope, int]]:
        """Position and counts of the index behind an export of a part.

        Raises:
            NotFoundError: They are no longer kept, or the index is not signed yet.
        """
        async with self._db.read() as connection:
            found = await read_counts(IndexStore(connection), order.position)
        if found is None or found[0] >= order.size:
            detail = f"what the export of entry {order.position} was made of is no longer kept, or not signed yet"
            raise NotFoundError(detail, hint="order it again: conclave audit export, or audit removal")
        return found


def _data(row: EntryRow) -> dict[str, Any]:
    return dict(json.loads(row.body)["data"])


def _signed_with(note: bytes, keys: Sequence[VerifierKey]) -> bool:
    """Whether a checkpoint of our own has a line of each of ``keys``; the lines were checked when it was signed."""
    lines = {(name, data[:KEY_ID_SIZE]) for name, data in split_note(note)[1]}
    return all((key.name, key.key_id) in lines for key in keys)


def _root_of(note: bytes) -> bytes:
    """The root in a checkpoint of our own."""
    text = note.decode().rpartition("\n\n")[0] + "\n"
    return Checkpoint.parse(text).root
