"""Trails by the real pipeline, and what an omitting or lying exporter would make of them."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from audit.bundle import ExportOrder
from audit.entry import Draft, person_actor, user_actor
from audit.index import WHOLE, Scope, encode
from audit.index_store import IndexStore
from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.part_export import read_counts
from audit.parts import MANIFEST
from audit.store import LedgerStore
from audit.tiles import TileHashes, decode_bundle, decode_tile, tile_path
from audit.trail import FRAME
from audit.trail_export import TrailOrder, write_trail
from audit.tree import inclusion_proof
from config.clock import DAY
from config.db import Database
from tests.fakes.hub import START
from tests.ledger import EXPORT_KEY, LOG_KEY, ORIGIN, Files, Handed, Ledger, resealed, signed

NORTHWIND, FABRIKAM = Scope("company", "northwind"), Scope("company", "fabrikam")
PAGE = "trail/0.ndjson"
OURS, THEIRS = "!ours:hub.example", "!theirs:hub.example"


def traffic(count: int) -> list[Handed]:
    """``count`` events in the rooms of two partners, and what is in no room in between."""
    return [_traffic(number) for number in range(count)]


def _traffic(number: int) -> Handed:
    partner, room = ("northwind", OURS) if number % 3 else ("fabrikam", THEIRS)
    if number % 5 == 4:
        data = {"company": partner, "person": f"prs_{partner}_{number}", "role": "member", "expires_at": START}
        hidden = {"name": f"{partner} {number}"}
        actor = person_actor("prs_admin")
        return "api", Draft(kind="person.invited", actor=actor, companies=[partner], data=data, disclose=hidden)
    user = user_actor(f"@{partner}{number % 4}:hub.example")
    hidden = {"room_name": f"{partner} deals"} if number < 2 else {}
    kind = "room.created" if number < 2 else "message.sent"
    data = {"event_id": f"${partner}{number}", "ts": START + number, "type": "m.room.encrypted"}
    companies = ["contoso", partner]
    draft = Draft(kind=kind, actor=user, room=room, companies=companies, data=data, disclose=hidden)
    return "homeserver", draft


def ordered(scope: Scope | None) -> Handed:
    """The entry of an export of ``scope``, or of everything."""
    data = {"export": "exp_1", "scope": WHOLE if scope is None else str(scope)}
    return "api", Draft(kind="audit.exported", actor=person_actor("prs_auditor"), data=data)


async def trail(ledger: Ledger, scope: Scope, *, later: Iterable[Handed] = ()) -> Files:
    """The trail of ``scope``, ordered now and fetched when what is ``later`` had come."""
    await ledger.append([ordered(scope)])
    async with ledger.db.read() as connection:
        row = await IndexStore(connection).newest("audit.exported")
    assert row is not None
    await ledger.append(later)
    return await fetched(ledger.db, scope, row.position)


async def fetched(db: Database, scope: Scope, position: int) -> Files:
    """The trail that was ordered by the entry at ``position``."""
    async with db.read() as connection:
        store = LedgerStore(connection)
        note, counted = (await store.head()).checkpoint, await read_counts(IndexStore(connection), position)
    assert note is not None
    assert counted is not None
    head = Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519))
    order = ExportOrder(
        export="exp_1",
        position=position,
        person="prs_auditor",
        at=START + DAY,
        software="test",
        origin=ORIGIN,
        size=head.size,
        root=head.root,
        checkpoint=note,
    )
    part = TrailOrder(export=order, scope=scope, index=counted[0], counts=counted[1])
    files = write_trail(db, part, [LOG_KEY.public], EXPORT_KEY)
    return Files({file.path: b"".join(file.chunks) async for file in files})


def edited(files: Files, name: str, change: Callable[[list[Any]], list[Any]]) -> Files:
    """``files`` with other lines in the file ``name``, as the holder of the export's key can leave them."""
    lines = [json.loads(line) for line in files.content[name].splitlines()]
    return recounted(files.but(name, "".join(json.dumps(line) + "\n" for line in change(lines)).encode()))


def recounted(files: Files) -> Files:
    """``files`` with a manifest whose counts and hashes fit what there is, signed."""
    kinds = Counter(entry["kind"] for entry in entries_in(files))
    before = json.loads(files.content[MANIFEST])
    counts = {"entries": kinds.total(), "by_kind": kinds}
    sealed = resealed(files.but(MANIFEST, json.dumps(before | {"counts": counts}).encode()))
    manifest = json.loads(sealed.content[MANIFEST]) | {"counts": counts, "checkpoint": before["checkpoint"]}
    return signed(sealed, json.dumps(manifest).encode())


def entries_in(files: Files) -> list[dict[str, Any]]:
    """The entries of the trail, as they can be read."""
    names = [name for name in files.names() if name.startswith("trail/")]
    lines = [json.loads(line) for name in sorted(names) for line in files.content[name].splitlines()]
    return [json.loads(base64.b64decode(line["bytes"])) for line in lines]


def log_entries(files: Files) -> list[bytes]:
    """The entries of an export of the whole log."""
    entries = list[bytes]()
    for name in sorted(name for name in files.names() if name.startswith("tile/entries/")):
        entries += decode_bundle(files.content[name], int(name.partition(".p/")[2] or 256))
    return entries


def proof_of(files: Files, position: int, size: int) -> list[str]:
    def tile(level: int, index: int) -> list[bytes]:
        width = min(256, (size >> 8 * level) - index * 256)
        return decode_tile(files.content[tile_path(level, index, width)], width)

    return [encode(node) for node in inclusion_proof(position, size, TileHashes(tile))]


def reproven(trail: Files, log: Files, frame: list[int]) -> Files:
    """``trail`` under the checkpoint of ``log``, its lines proven there; ``frame`` are the positions of its frame."""
    entries = log_entries(log)

    def line(at: int) -> dict[str, Any]:
        return {"entry": at, "bytes": encode(entries[at]), "proof": proof_of(log, at, len(entries))}

    numbers = {FRAME: frame, PAGE: [json.loads(text)["entry"] for text in trail.content[PAGE].splitlines()]}
    files = trail.but("checkpoint", log.content["checkpoint"])
    for name, positions in numbers.items():
        files = files.but(name, "".join(json.dumps(line(at)) + "\n" for at in positions).encode())
    size, root = log.content["checkpoint"].decode().split("\n")[1:3]
    manifest = json.loads(files.content[MANIFEST])
    manifest |= {"checkpoint": {"origin": ORIGIN, "size": int(size), "root": root}}
    return recounted(files.but(MANIFEST, json.dumps(manifest).encode()))


def frame_of(trail: Files) -> list[int]:
    """The positions of the entries of a trail's frame."""
    return [json.loads(line)["entry"] for line in trail.content[FRAME].splitlines()]
