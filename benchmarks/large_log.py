"""A large log, made past the sequencer: what verification and export are measured with.

Most entries are what messages leave behind, spread over rooms and people; some have two disclosures.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy import insert

from audit.batch_store import BatchStore
from audit.bundle import ExportFile, ExportOrder, write_bundle
from audit.canonical import canonical_json
from audit.entry import Disclosure
from audit.note import Checkpoint, sign_note
from audit.store import EMPTY_HEAD, EntryRow, LedgerStore
from audit.tables import ledger_disclosure
from audit.tiles import Edge
from audit.tree import Head, leaf_hash
from config.db import Database
from tests.ledger import EXPORT_KEY, LOG_KEY, OPENED, ORIGIN

ROOMS, PEOPLE = 200, 500
START = 1_800_000_000_000
BATCH = 256 * 32
Shown = list[tuple[int, Disclosure]]


class LargeLog:
    """A log in ``db``, which has a hub's tables and nothing in them; every ``disclosed``-th entry has disclosures."""

    def __init__(self, db: Database, disclosed: int = 100) -> None:
        self._disclosed = disclosed
        self._db = db
        self._edge = Edge()
        self._head = EMPTY_HEAD
        self._messages = self._invitations = 0

    async def grow(self, size: int) -> None:
        """Append entries until there are ``size``, at least two."""
        while (before := self._edge.frontier.size) < size:
            shown: Shown = []
            positions = range(before, min(size, before + BATCH))
            await self._store(before, [self._entry(position, shown) for position in positions], shown)

    def _entry(self, position: int, shown: Shown) -> tuple[str, bytes]:
        """Kind and bytes of the entry at ``position``; what stands beside it goes to ``shown``."""
        first = {"v": 1, "at": START, "actor_seq": 1, "source_seq": 1}
        if position == 0:
            actor, data = dict(OPENED.actor), dict(OPENED.data)
            return OPENED.kind, canonical_json(
                first | {"kind": OPENED.kind, "source": "hub", "actor": actor, "data": data}
            )
        if position == 1:
            kind, data = "audit.exported", {"export": "exp_1", "scope": "all"}
            actor = {"person": "prs_auditor"}
            return kind, canonical_json(first | {"kind": kind, "source": "guard", "actor": actor, "data": data})
        if position % self._disclosed:
            self._messages += 1
            return "message.sent", _message(self._messages - 1, START + position)
        body, disclosures = _invited(self._invitations, START + position)
        self._invitations += 1
        shown += [(position, one) for one in disclosures]
        return "person.invited", body

    async def _store(self, before: int, entries: list[tuple[str, bytes]], shown: Shown) -> None:
        self._edge, tiles = self._edge.append([leaf_hash(body) for _, body in entries])
        root, size = self._edge.frontier.root(), self._edge.frontier.size
        rows = [
            EntryRow(position=position, kind=kind, at=START + position, room=None, body=body)
            for position, (kind, body) in enumerate(entries, before)
        ]
        placed = [{"digest": one.digest(), "disclosure": one.encode(), "position": at} for at, one in shown]
        async with self._db.begin() as tx:
            store = BatchStore(tx)
            await store.append(rows)
            await store.save_tiles(tiles)
            if placed:
                await tx.execute(insert(ledger_disclosure), placed)
            await store.move_head(self._head, Head(size, root), START + size, term=0)
        self._head = replace(self._head, size=size, root=root)


async def export(db: Database) -> AsyncIterator[ExportFile]:
    """The files of an export of the whole log in ``db``."""
    async with db.read() as connection:
        head = await LedgerStore(connection).head()
    checkpoint = Checkpoint(origin=ORIGIN, size=head.size, root=head.root)
    order = ExportOrder(
        export="exp_1",
        position=1,
        person="prs_auditor",
        at=START,
        software="test",
        origin=ORIGIN,
        size=head.size,
        root=head.root,
        checkpoint=sign_note(checkpoint.text(), LOG_KEY.public, LOG_KEY),
    )
    async for file in write_bundle(db, order, [LOG_KEY.public], EXPORT_KEY):
        yield file


async def save(files: AsyncIterator[ExportFile], folder: Path) -> None:
    """Write the files of an export below ``folder``."""
    async for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            out.writelines(file.chunks)


def _message(number: int, at: int) -> bytes:
    """What the ``number``-th message leaves behind, as canonical JSON."""
    room, person = number % ROOMS, number % PEOPLE
    return (
        f'{{"actor":{{"person":"prs_{person:016}"}},"actor_seq":{number // PEOPLE + 1},"at":{at},'
        f'"companies":["contoso","northwind"],"data":{{"device_id":"ABCDEFGHIJ","event_id":"${number:043}",'
        f'"session_id":"{person:043}","size":400,"ts":{at},"type":"m.room.encrypted"}},'
        f'"engagement":"northwind","kind":"message.sent","room":"!{room:043}","room_seq":{number // ROOMS + 1},'
        f'"salt":"{number:022}","source":"homeserver","source_seq":{number + 1},"v":1}}'
    ).encode()


def _invited(number: int, at: int) -> tuple[bytes, list[Disclosure]]:
    """What the ``number``-th invitation leaves behind, in the log and beside it."""
    salt = number.to_bytes(16, "big")
    shown = [Disclosure(salt=salt, name=name, value=f"Bob Lee {number}") for name in ("name", "email")]
    data = {"person": f"prs_{number:016}", "role": "member"}
    entry = {"v": 1, "kind": "person.invited", "at": at, "source": "api", "source_seq": number + 1, "data": data}
    entry |= {
        "salt": f"{number:022}",
        "actor": {"person": "prs_admin"},
        "actor_seq": number + 1,
        "sd": sorted(one.digest() for one in shown),
    }
    return canonical_json(entry), shown
