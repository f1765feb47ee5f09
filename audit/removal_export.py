"""Writing a removal proof (``audit.removal_file``): the hub judges what the log has first, and proves it then."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from tempfile import TemporaryFile
from typing import IO, Any

from audit.bundle import ExportFile, ExportOrder, disclosure_lines, export_file, read_statements
from audit.index import ROOM, Scope
from audit.index_store import IndexStore
from audit.keys import SigningKey
from audit.manifest import GUIDE, checkpoint_summary
from audit.note import Checkpoint, VerifierKey
from audit.parts import (
    CHECKPOINT,
    DISCLOSURES,
    LOG_KEY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAMESPACE,
    SIGNERS,
    STATEMENTS,
    VerificationError,
    signers_line,
)
from audit.removal import CLEARED, ENROLLED, HUB, judge_removal
from audit.removal_file import DELIBERATION, FACTS, FORMAT, PAGE, PITCH
from audit.removal_page import names_of, removal_page, written_by
from audit.removal_report import Entry, Removal, RemovalReport, Room
from audit.sshsig import ssh_sign
from audit.store import EntryRow, LedgerStore
from audit.trail import FRAME, INDEX, trail_path
from audit.trail_export import ProvenLines, frame_lines, index_leaf
from config.clock import Millis, iso
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
    hashes: dict[str, str] = {}
    kinds = Counter(row.kind for row in judged.facts)
    async for path, content in _files(db, order, judged, log_keys, export_key, kinds):
        hashes[path] = sha256(content).hexdigest()
        yield export_file(path, content)
    manifest = _manifest(order, hashes, kinds)
    yield export_file(MANIFEST, manifest)
    signature = ssh_sign(manifest, NAMESPACE, export_key.public.public_key, export_key)
    yield export_file(MANIFEST_SIGNATURE, signature.encode())


async def _files(  # what a proof is made of
    db: Database,
    order: RemovalOrder,
    judged: Judged,
    log_keys: Sequence[VerifierKey],
    export_key: SigningKey,
    kinds: Counter[str],
) -> AsyncIterator[tuple[str, bytes]]:
    """Every file but the manifest; ``kinds`` counts the rooms' entries."""
    export, lines = order.export, ProvenLines(order.export.size)
    yield CHECKPOINT, export.checkpoint
    yield LOG_KEY, "".join(f"{key}\n" for key in log_keys).encode()
    yield SIGNERS, signers_line(export_key.public).encode()
    yield GUIDE, resources.files("audit").joinpath("VERIFY-REMOVAL.md").read_bytes()
    statements = await read_statements(db, export.size)
    if statements:
        yield STATEMENTS, statements
    rooms = {PITCH: judged.report.pitch, DELIBERATION: judged.report.deliberation}
    async with db.read() as connection:
        store, parts = LedgerStore(connection), IndexStore(connection)
        exported = await store.entry(export.position)
        disclosed = await parts.disclosures_of([row.position for row in judged.facts])
        plain = {
            FRAME: await frame_lines(store, lines, export, order.index),
            FACTS: await lines.of(judged.facts, store),
        }
        for folder, scope in rooms.items():
            plain[f"{folder}{INDEX}"] = await index_leaf(parts, order.index, order.counts, scope)
    for path, content in plain.items():
        yield path, content
    yield DISCLOSURES, disclosure_lines(disclosed)
    for folder, scope in rooms.items():
        number = 0
        async for rows in _of_room(db, scope, order.index):
            kinds.update(row.kind for row in rows)
            async with db.read() as connection:
                content = await lines.of(rows, LedgerStore(connection))
            yield f"{folder}{trail_path(number)}", content
            number += 1
    assert exported is not None
    head = Checkpoint(origin=export.origin, size=export.size, root=export.root)
    names = names_of(_entries(judged.facts), disclosed)
    written = written_by(head, (export.position, json.loads(exported.body)), order.index, names)
    yield PAGE, removal_page(judged.report, written)


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


def _manifest(order: RemovalOrder, hashes: dict[str, str], kinds: Counter[str]) -> bytes:
    export = order.export
    manifest = {
        "format": FORMAT,
        "export": export.export,
        "entry": export.position,
        "index": order.index,
        "exported_at": iso(export.at),
        "exported_by": export.person,
        "software": export.software,
        "query": {"scope": str(order.about)},
        "exclusions": [],
        "checkpoint": checkpoint_summary(Checkpoint(origin=export.origin, size=export.size, root=export.root)),
        "counts": {"entries": kinds.total(), "by_kind": dict(sorted(kinds.items()))},
        "files": dict(sorted(hashes.items())),
    }
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
