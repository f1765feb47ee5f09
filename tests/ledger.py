"""A log by the real pipeline, and exports of it: what the tests of the verifier and of independent readers share."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.bundle import ExportOrder, write_bundle
from audit.entry import Draft, person_actor, system_actor, user_actor
from audit.inbox import Inbox
from audit.keys import SigningKey, verify_ed25519
from audit.note import Checkpoint, open_note, sign_note
from audit.parts import CHECKPOINT, MANIFEST, MANIFEST_SIGNATURE, NAMESPACE
from audit.sequencer import Sequencer
from audit.signer import LocalSigner
from audit.sshsig import ssh_sign
from audit.store import LedgerStore
from audit.tiles import Edge, bundle_widths, decode_bundle, encode_bundle, entries_path, tile_path
from audit.tree import leaf_hash
from config.db import Database
from tests.fakes.hub import START, ManualClock

ORIGIN = "log.example/hub"
CHUNK = 100
"""Small, so that what is read in pieces is read in some."""
Handed = tuple[str, Draft]
"""The source that hands a draft in, and the draft."""


def signing_key(name: str, seed: int = 1) -> SigningKey:
    """The key of ``name`` that is the same in every run."""
    return SigningKey(name=name, private=Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG_KEY = signing_key(ORIGIN, 1)
EXPORT_KEY = signing_key(f"{ORIGIN}/export", 2)
OPENED = Draft(
    kind="log.opened",
    actor=system_actor("bootstrap"),
    data={"origin": ORIGIN, "log_key": str(LOG_KEY.public), "export_key": str(EXPORT_KEY.public), "software": "test"},
)


def sample(count: int) -> list[Handed]:
    """``count`` drafts of all sorts: several sources, actors and rooms, some with personal data beside the log."""
    return [_sample(number) for number in range(count)]


EXPORTED = 2
"""Where a log of the sample has the entry that records its export."""


def _sample(number: int) -> Handed:
    if number == EXPORTED - 1:
        exported = {"export": "exp_1", "scope": "all"}
        return "api", Draft(kind="audit.exported", actor=person_actor("prs_auditor"), data=exported)
    room, company = f"!room{number % 3}:hub.example", f"cmp_{number % 5}"
    event = {"event_id": f"${number}", "ts": START + number}
    if number % 7 == 0:
        hidden = {"name": f"Bob Lee {number}", "email": f"bob{number}@northwind.example"}
        invited = {"person": f"prs_{number}", "company": company, "role": "member", "expires_at": START}
        actor = person_actor("prs_admin")
        return "api", Draft(kind="person.invited", actor=actor, data=invited, companies=[company], disclose=hidden)
    if number % 7 == 1:
        return "guard", Draft(kind="guard.refused", actor=system_actor("guard"), data={"code": "X", "count": number})
    joined = number % 7 == 2
    data = {**event, "type": "m.room.member", "subject": f"@u{number}:h"} if joined else {**event, "size": 1_000}
    kind, user = ("member.joined" if joined else "message.sent"), user_actor(f"@u{number % 4}:hub.example")
    return "homeserver", Draft(kind=kind, actor=user, data=data, room=room, engagement="eng_1", companies=[company])


@dataclass(frozen=True, slots=True)
class Files:
    """A bundle in memory; an :class:`audit.parts.Bundle`."""

    content: Mapping[str, bytes]

    def names(self) -> set[str]:
        return set(self.content)

    def read(self, name: str) -> bytes:
        if name not in self.content:
            raise FileNotFoundError(2, "No such file or directory")
        return self.content[name]

    def chunks(self, name: str) -> Iterator[bytes]:
        data = self.read(name)
        yield from (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))

    def but(self, name: str, content: bytes) -> "Files":
        """The same with other bytes in one file."""
        return Files({**self.content, name: content})

    def without(self, name: str) -> "Files":
        return Files({known: content for known, content in self.content.items() if known != name})

    def save(self, folder: Path) -> Path:
        for name, content in self.content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder


class Ledger:
    """A log on one database, with inbox, sequencer and signer."""

    def __init__(self, db: Database, place: Path) -> None:
        self.db = db
        self._clock = ManualClock()
        LocalSigner.initialise(place / "signer.json")
        signer = LocalSigner(LOG_KEY, place / "signer.json")
        self._sequencer = Sequencer(db, signer, ORIGIN, Inbox("hub", self._clock))

    async def append(self, drafts: Iterable[Handed]) -> None:
        """Hand in ``drafts``, a millisecond after each other where the source changes, and have them sequenced."""
        for source, group in groupby(drafts, key=lambda handed: handed[0]):
            self._clock.now += 1
            async with self.db.begin() as tx:
                await Inbox(source, self._clock).put(tx, *[draft for _, draft in group])
        while await self._sequencer.step():
            pass


async def make_log(db: Database, place: Path, drafts: Iterable[Handed]) -> Ledger:
    """A log of ``drafts`` behind its first entry."""
    ledger = Ledger(db, place)
    await ledger.append([("hub", OPENED), *drafts])
    return ledger


async def export(db: Database, note: bytes | None = None) -> Files:
    """The export of the log in ``db``, as of its newest checkpoint where none is named."""
    async with db.read() as connection:
        note = note or (await LedgerStore(connection).head()).checkpoint
    assert note is not None
    head = Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519))
    order = ExportOrder(
        export="exp_1",
        position=EXPORTED,
        person="prs_auditor",
        at=START,
        software="test",
        origin=ORIGIN,
        size=head.size,
        root=head.root,
        checkpoint=note,
    )
    files = write_bundle(db, order, [LOG_KEY.public], EXPORT_KEY)
    return Files({file.path: b"".join(file.chunks) async for file in files})


def entries_of(files: Files) -> list[bytes]:
    """Every entry of an export, in order."""
    size = int(files.content[CHECKPOINT].split(b"\n")[1])
    bundles = [(entries_path(index, width), width) for index, width in bundle_widths(size)]
    return [entry for name, width in bundles for entry in decode_bundle(files.content[name], width)]


def relogged(files: Files, entries: Sequence[bytes], *, key: SigningKey = LOG_KEY, origin: str = ORIGIN) -> Files:
    """``files`` with ``entries`` for a log, past the sequencer: tiles, checkpoint and manifest say the same."""
    edge, tiles = Edge().append([leaf_hash(entry) for entry in entries])
    head = Checkpoint(origin=origin, size=edge.frontier.size, root=edge.frontier.root())
    content = {name: data for name, data in files.content.items() if not name.startswith("tile/")}
    content[CHECKPOINT] = sign_note(head.text(), key.public, key)
    for index, width in bundle_widths(head.size):
        content[entries_path(index, width)] = encode_bundle(entries[index * 256 : index * 256 + width])
    for (level, index), hashes in tiles.items():
        content[tile_path(level, index, len(hashes))] = b"".join(hashes)
    return resealed(Files(content))


def resealed(files: Files) -> Files:
    """``files`` as whoever holds the export's key can leave them: the manifest fits what there is, and is signed.

    The counts by kind stay as they were.
    """
    manifest = json.loads(files.content[MANIFEST])
    origin, size, root = files.content[CHECKPOINT].decode(errors="replace").split("\n")[:3]
    if size.isdecimal():
        manifest["checkpoint"] = {"origin": origin, "size": int(size), "root": root}
        manifest["counts"]["entries"] = int(size)
    listed = sorted(name for name in files.names() - {MANIFEST, MANIFEST_SIGNATURE} if not name.startswith("tile/"))
    manifest["files"] = {name: sha256(files.content[name]).hexdigest() for name in listed}
    return signed(files, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


def signed(files: Files, manifest: bytes, key: SigningKey = EXPORT_KEY) -> Files:
    """``files`` with ``manifest``, signed by ``key``."""
    signature = ssh_sign(manifest, NAMESPACE, key.public.public_key, key)
    return files.but(MANIFEST, manifest).but(MANIFEST_SIGNATURE, signature.encode())
