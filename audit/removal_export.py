"""Writing a removal proof (``audit.removal_file``): the hub judges what the log has first, and proves it then."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

from audit.bundle import ExportFile, ExportOrder, disclosure_lines
from audit.index import ROOM, Scope
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.note import Checkpoint, VerifierKey
from audit.part_export import ProvenLines, frame_lines, index_leaf, opening_files, part_manifest, sign_part
from audit.parts import DISCLOSURES, VerificationError
from audit.removal import CLEARED, ENROLLED, HUB, judge_removal
from audit.removal_file import DELIBERATION, FACTS, FORMAT, PAGE, PITCH
from audit.removal_page import names_of, removal_page, written_by
from audit.removal_report import Entry, Removal, RemovalReport, Room
from audit.store import EntryRow, LedgerStore
from audit.trail import FRAME, INDEX, trail_path
from config.clock import Millis
from config.db import Database
from config.errors import ConflictError

LINES = 1_000
"""Entries that are read at a time, and stand in one file."""


class NotClearedError(ConflictError):
    """There is no such removal to prove: the vendor was not put out, or is not out of everything yet."""

    code = "not_cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalOrder:
    """A removal proof that is to be written; ``index`` is the position of the index that counts both rooms."""

    export: ExportOrder
    about: Removal
    index: int
    counts: Mapping[Scope, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A removal as the log has it, with the entries, beside the rooms', that show it."""

    report: RemovalReport
    facts: Sequence[EntryRow]


async def judge_stored(db: Database, about: Removal, before: int, whole_until: Millis) -> Judged:
    """What the log's first ``before`` entries, the last of them of ``whole_until``, show of the removal ``about``.

    Memory does not grow with the rooms, but by what a report holds.

    Raises:
        NotClearedError: They do not show it.
    """
    cleared = [row async for row in _of_kind(db, CLEARED, before) if Removal(*_named(row)) == about]
    if len(cleared) != 1:
        detail = f"{about.vendor} was not put out of {about.committee}, or the log does not have it yet"
        raise NotClearedError(detail, hint=f"conclave committee timeline {about.committee}")
    data, people = _data(cleared[0]), set[str]()
    with _copy() as pitch, _copy() as deliberation:
        said = await _copied(db, str(data["pitch"]), before, pitch, people)
        decided = await _copied(db, str(data["deliberation"]), before, deliberation, people)
        enrolled = [row async for row in _of_kind(db, ENROLLED, before) if _data(row).get("person") in people]
        facts = sorted([*cleared, *enrolled])
        try:
            report = await asyncio.to_thread(judge_removal, about, _entries(facts), said, decided, whole_until)
        except VerificationError as error:
            detail = f"there is no removal of {about.vendor} to prove: {error.where} {error.detail}"
            raise NotClearedError(detail, hint=f"conclave committee show {about.committee}") from None
    return Judged(report=report, facts=facts)


async def _copied(db: Database, key: str, before: int, copy: "_Copy", people: set[str]) -> Room:
    """The room ``key``, its entries in ``copy``; adds the ``people`` who come or go in it."""
    scope = Scope(ROOM, await _room_id(db, key, before))
    async for rows in _of_room(db, scope, before):
        people |= copy.add(rows)
    return Room(scope, copy)


async def write_removal(
    db: Database, order: RemovalOrder, judged: Judged, log_keys: Sequence[VerifierKey], export_key: SigningKey
) -> AsyncGenerator[ExportFile, None]:
    """Every file of the proof, the manifest and its signature last."""
    writer = _Writer(db, order, judged)

    def manifest(hashes: Mapping[str, str]) -> bytes:
        return part_manifest(FORMAT, order.export, str(order.about), order.index, writer.kinds, hashes)

    async for file in sign_part(writer.files(log_keys, export_key), manifest, export_key):
        yield file


class _Writer:
    """Reads what a proof is made of, and counts its entries."""

    def __init__(self, db: Database, order: RemovalOrder, judged: Judged) -> None:
        self._db = db
        self._order = order
        self._judged = judged
        self._lines = ProvenLines(order.export.size)
        self.kinds = Counter(row.kind for row in judged.facts)

    async def files(self, log_keys: Sequence[VerifierKey], export_key: SigningKey) -> AsyncIterator[tuple[str, bytes]]:
        """Every file but the manifest."""
        async for file in opening_files(self._db, self._order.export, log_keys, export_key, "VERIFY-REMOVAL.md"):
            yield file
        rooms = {PITCH: self._judged.report.pitch, DELIBERATION: self._judged.report.deliberation}
        async for file in self._facts(rooms):
            yield file
        for folder, scope in rooms.items():
            async for file in self._room(folder, scope):
                yield file

    async def _facts(self, rooms: Mapping[str, Scope]) -> AsyncIterator[tuple[str, bytes]]:
        """What is beside the rooms' entries: frame, single entries, the rooms' leaves, names, the page."""
        order, judged = self._order, self._judged
        async with self._db.read() as connection:
            store, parts = LedgerStore(connection), IndexStore(connection)
            exported = await store.entry(order.export.position)
            disclosed = await parts.disclosures_of([row.position for row in judged.facts])
            found = {
                FRAME: await frame_lines(store, self._lines, order.export, order.index),
                FACTS: await self._lines.of(judged.facts, store),
            }
            for folder, scope in rooms.items():
                found[f"{folder}{INDEX}"] = await index_leaf(parts, order.index, order.counts, scope)
        for item in found.items():  # outside of the transaction: whoever reads them may be slow
            yield item
        yield DISCLOSURES, disclosure_lines(disclosed)
        yield PAGE, self._page(exported, disclosed)

    def _page(self, exported: EntryRow | None, disclosed: Sequence[tuple[int, str]]) -> bytes:
        if exported is None:
            raise ValueError("the entry of the export that is being written is not in the log")
        export, names = self._order.export, names_of(_entries(self._judged.facts), disclosed)
        head = Checkpoint(origin=export.origin, size=export.size, root=export.root)
        written = written_by(head, (exported.position, json.loads(exported.body)), self._order.index, names)
        return removal_page(self._judged.report, written)

    async def _room(self, folder: str, scope: Scope) -> AsyncIterator[tuple[str, bytes]]:
        """Every entry of a room, in files of some each."""
        number = 0
        async for rows in _of_room(self._db, scope, self._order.index):
            self.kinds.update(row.kind for row in rows)
            async with self._db.read() as connection:
                content = await self._lines.of(rows, LedgerStore(connection))
            yield f"{folder}{trail_path(number)}", content
            number += 1


class _Copy:
    """The entries of a room in a file, to be read again and again beside little memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, rows: Sequence[EntryRow]) -> set[str]:
        """Take ``rows``; returns the people who come or go in them."""
        people = set[str]()
        for row in rows:
            self._file.write(b"%d %b\n" % (row.position, row.body))
            if row.kind.startswith("member."):
                subject = _data(row).get("subject")
                people |= {str(subject["person"])} if isinstance(subject, dict) and "person" in subject else set()
        return people

    def __iter__(self) -> Iterator[Entry]:
        self._file.seek(0)
        for line in self._file:
            position, _, body = line.partition(b" ")
            yield int(position), json.loads(body)


@contextmanager
def _copy() -> Iterator[_Copy]:
    with TemporaryFile() as file:
        yield _Copy(file)


async def _of_room(db: Database, scope: Scope, before: int) -> AsyncIterator[list[EntryRow]]:
    """Every entry of a room in front of position ``before``, in order, some at a time.

    What an outsider tried there is found by the room, and is none of the room's entries: else whoever was put out could
    spoil the proof by asking to be let in.
    """
    async for found in _pages(db, before, kind=None, room=scope.id):
        rows = [row for row in found if scope.holds(json.loads(row.body))]
        if rows:
            yield rows


async def _of_kind(db: Database, kind: str, before: int) -> AsyncIterator[EntryRow]:
    """Every entry of a kind in front of position ``before``, in order."""
    async for rows in _pages(db, before, kind=kind, room=None):
        for row in rows:
            yield row


async def _pages(db: Database, before: int, *, kind: str | None, room: str | None) -> AsyncIterator[list[EntryRow]]:
    start = 0
    while start < before:
        async with db.read() as connection:
            page = await LedgerStore(connection).page(start=start, limit=LINES, kind=kind, room=room)
        rows = [row for row in page if row.position < before]
        if rows:
            yield rows
        start = page[-1].position + 1 if len(page) == LINES else before


async def _room_id(db: Database, key: str, before: int) -> str:
    """The Matrix id of the room ``key`` that the hub made; empty where the log has none.

    Raises:
        NotClearedError: There are several, and a proof would be of one of them.
    """
    found = set[str]()
    async for row in _of_kind(db, "room.created", before):
        body = json.loads(row.body)
        if body["data"].get("room_key") == key and body["actor"] == HUB:
            found.add(str(row.room))
    if len(found) > 1:
        raise NotClearedError(f"the log has {len(found)} rooms {key}; a proof is of one alone", hint="conclave doctor")
    return found.pop() if found else ""


def _named(row: EntryRow) -> tuple[str, str]:
    data = _data(row)
    return str(data.get("committee")), str(data.get("vendor"))


def _data(row: EntryRow) -> dict[str, Any]:
    return dict(json.loads(row.body)["data"])


def _entries(rows: Sequence[EntryRow]) -> list[Entry]:
    return [(row.position, json.loads(row.body)) for row in rows]
