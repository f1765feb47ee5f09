"""The attacks that a log has to withstand, a line for each: how it is mounted, what finds it, and in which words.

``docs/attacks.md`` shows the table; the verifier and Go's reader are both put to every line.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from audit.canonical import canonical_json
from audit.parts import CHECKPOINT, DISCLOSURES, MANIFEST, MANIFEST_SIGNATURE
from audit.tiles import encode_bundle
from audit.trail import INDEX
from tests.ledger import EXPORT_KEY, LOG_KEY, ORIGIN, Files, entries_of, relogged, resealed, signed, signing_key
from tests.trails import PAGE, edited, recounted

LOG_KEY_FILE = "keys/log.vkey"
MALLORY = signing_key(ORIGIN, 9)
Entries = list[bytes]


class Needs(StrEnum):
    """What finds an attack."""

    EXPORT = "one export and the key"
    TRAIL = "one trail and the key"
    SEEN = "a saved or witnessed checkpoint"


@dataclass(frozen=True, slots=True)
class Scene:
    """Two exports of one log, which grew in between; the newest has several entry bundles and two levels of tiles."""

    older: Files
    newest: Files

    @property
    def entries(self) -> Entries:
        return entries_of(self.newest)


@dataclass(frozen=True, slots=True)
class Attack:
    """``says`` is how the verifier's words begin; ``go`` whether Go's sumdb, which reads no entry, sees it too."""

    name: str
    needs: Needs
    says: str
    go: bool
    forge: Callable[[Scene], Files]


def rewritten(scene: Scene, change: Callable[[Entries], Sequence[bytes]]) -> Files:
    """The newest export with other entries, by whoever holds the log's key and the export's: all of it fits."""
    entries = change(scene.entries)
    files = relogged(scene.newest, entries)
    lines = files.content[DISCLOSURES].splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["entry"] < len(entries)]
    files = resealed(files.but(DISCLOSURES, b"".join(kept)))
    manifest = json.loads(files.content[MANIFEST])
    manifest["counts"]["by_kind"] = dict(Counter(json.loads(entry).get("kind", "?") for entry in entries))
    return signed(files, (json.dumps(manifest, indent=1) + "\n").encode())


def unsigned(scene: Scene, change: Callable[[Entries], Sequence[bytes]]) -> Files:
    """The same by whoever holds the export's key alone: under the old checkpoint."""
    files = rewritten(scene, change)
    return resealed(files.but(CHECKPOINT, scene.newest.content[CHECKPOINT]))


def edit(position: int, **change: Any) -> Callable[[Entries], Entries]:
    return lambda log: [
        *log[:position],
        canonical_json(json.loads(log[position]) | change),
        *log[position + 1 :],
    ]


def replaced(entry: bytes) -> bytes:
    """Another entry for one."""
    return canonical_json(json.loads(entry) | {"companies": ["cmp_y"]})


def turned(name: str, bit: int = 77) -> Callable[[Scene], Files]:
    """One bit of the newest export."""

    def forge(scene: Scene) -> Files:
        data = bytearray(scene.newest.content[name])
        data[bit // 8] ^= 1 << bit % 8
        return scene.newest.but(name, bytes(data))

    return forge


def in_checkpoint(old: str, new: str) -> Callable[[Scene], Files]:
    def forge(scene: Scene) -> Files:
        note = scene.newest.content[CHECKPOINT].decode()
        assert old in note
        return resealed(scene.newest.but(CHECKPOINT, note.replace(old, new).encode()))

    return forge


def edited_in_place(scene: Scene) -> Files:
    """An entry of the first bundle, and nothing that hangs on it."""
    entries = scene.entries[:256]
    return scene.newest.but("tile/entries/000", encode_bundle(edit(200, companies=["cmp_x"])(entries)))


def other_key(scene: Scene) -> Files:
    """The whole export signed by another key, which is put in the place of the log's."""
    opened = json.loads(scene.entries[0])["data"] | {"log_key": str(MALLORY.public)}
    files = scene.newest.but(LOG_KEY_FILE, f"{MALLORY.public}\n".encode())
    return relogged(files, edit(0, data=opened)(scene.entries), key=MALLORY)


def other_id(scene: Scene) -> Files:
    """The log's signature under the id of another key."""
    line = scene.newest.content[CHECKPOINT].decode().rsplit(" ", 1)[1].strip()
    data = base64.b64decode(line)
    forged = base64.b64encode(MALLORY.public.key_id + data[4:]).decode()
    return in_checkpoint(line, forged)(scene)


def moved_disclosure(scene: Scene) -> Files:
    lines = [json.loads(line) for line in scene.newest.content[DISCLOSURES].splitlines()]
    lines[0]["entry"] += 7
    return resealed(scene.newest.but(DISCLOSURES, "".join(json.dumps(line) + "\n" for line in lines).encode()))


def forged_manifest(scene: Scene) -> Files:
    """Somebody else exported it, says a manifest that the right key signed."""
    manifest = json.loads(scene.newest.content[MANIFEST]) | {"exported_by": "prs_mallory"}
    return signed(scene.newest, json.dumps(manifest).encode())


ROOT = "root: the entries do not hash to the checkpoint's root"
HASH = "does not hash to what the log committed to"
ONE, LAST = edit(200, companies=["cmp_x"]), edit(699, companies=["cmp_x"])
KEY_ID = LOG_KEY.public.key_id.hex()
EXPORT, SEEN = Needs.EXPORT, Needs.SEEN

ATTACKS = (
    Attack("an entry edited", EXPORT, f"entries: entry 200 (message.sent) {HASH}", True, edited_in_place),
    Attack("an entry edited, and every tile with it", EXPORT, ROOT, True, lambda s: unsigned(s, ONE)),
    Attack(
        "an entry deleted",
        EXPORT,
        "entries: tile/entries/002.p/188 cannot read it",
        True,
        lambda s: unsigned(s, lambda log: [*log[:20], *log[21:]]),
    ),
    Attack(
        "entries reordered",
        EXPORT,
        ROOT,
        True,
        lambda s: unsigned(s, lambda log: [*log[:20], log[21], log[20], *log[22:]]),
    ),
    Attack(
        "an entry inserted",
        EXPORT,
        "entries: tile/entries/002.p/188 cannot read it",
        True,
        lambda s: unsigned(s, lambda log: [*log[:21], log[20], *log[21:]]),
    ),
    Attack("an entry backdated", EXPORT, ROOT, True, lambda s: unsigned(s, edit(200, at=1))),
    Attack(
        "the end cut off, under the old checkpoint",
        EXPORT,
        "entries: tile/entries/001 cannot read it",
        True,
        lambda s: unsigned(s, lambda log: log[:256]),
    ),
    Attack(
        "the end cut off, and signed again",
        SEEN,
        "seen: saved has 700 entries, the export only 400",
        False,
        lambda s: rewritten(s, lambda log: log[:400]),
    ),
    Attack(
        "an old backup of the database put back",
        SEEN,
        "seen: saved has 700 entries, the export only",
        False,
        lambda s: s.older,
    ),
    Attack(
        "a backup put back, and continued",
        SEEN,
        "seen: saved has another root over 700 entries than the export",
        False,
        lambda s: rewritten(s, lambda log: [*log[:600], *(replaced(log[at]) for at in range(600, 700))]),
    ),
    Attack(
        "a fork: two heads of one size",
        SEEN,
        "seen: saved has another root over 700 entries than the export",
        False,
        lambda s: rewritten(s, LAST),
    ),
    Attack(
        "the log rewritten with the stolen key",
        SEEN,
        "seen: saved has another root over 700 entries",
        False,
        lambda s: rewritten(s, ONE),
    ),
    Attack(
        "a forged export: signed by another key than the log names",
        EXPORT,
        "manifest: manifest.json made by another key, for another purpose",
        False,
        lambda s: signed(s.newest, s.newest.content[MANIFEST], signing_key(EXPORT_KEY.name, 9)),
    ),
    Attack(
        "a forged export: another person exported it",
        EXPORT,
        "manifest: manifest.json does not say who exported",
        False,
        forged_manifest,
    ),
    Attack(
        "the log's key replaced",
        EXPORT,
        f"checkpoint: checkpoint no signature by {ORIGIN} with key id {KEY_ID}",
        True,
        other_key,
    ),
    Attack(
        "the name of a key swapped",
        EXPORT,
        f"checkpoint: checkpoint no signature by {ORIGIN} with key id",
        True,
        in_checkpoint(f"— {ORIGIN} ", "— log.example/hab "),
    ),
    Attack(
        "the id of a key swapped",
        EXPORT,
        f"checkpoint: checkpoint no signature by {ORIGIN} with key id",
        True,
        other_id,
    ),
    Attack(
        "the copy of the key swapped",
        EXPORT,
        f"keys: {LOG_KEY_FILE} is not the key you hold",
        False,
        lambda s: resealed(s.newest.but(LOG_KEY_FILE, f"{MALLORY.public}\n".encode())),
    ),
    Attack("a bit turned in the checkpoint", EXPORT, "checkpoint: checkpoint ", True, turned(CHECKPOINT)),
    Attack("a bit turned in an entry", EXPORT, "entries: entry 256 ", True, turned("tile/entries/001")),
    Attack("a bit turned in a tile", EXPORT, "entries: entry 0 ", True, turned("tile/0/000")),
    Attack(
        "a bit turned in an upper tile", EXPORT, "tiles: tile/1/000.p/2 does not follow", True, turned("tile/1/000.p/2")
    ),
    Attack(
        "a bit turned in the manifest", EXPORT, "manifest: manifest.json the signature does", False, turned(MANIFEST)
    ),
    Attack("a bit turned in its signature", EXPORT, "manifest: manifest.json ", False, turned(MANIFEST_SIGNATURE, 800)),
    Attack(
        "a bit turned in the disclosures",
        EXPORT,
        f"files: {DISCLOSURES} does not have the listed hash",
        False,
        turned(DISCLOSURES),
    ),
    Attack("a disclosure moved to another entry", EXPORT, f"disclosures: {DISCLOSURES} line ", False, moved_disclosure),
    Attack("a file taken away", EXPORT, "files: VERIFY.md is missing", False, lambda s: s.newest.without("VERIFY.md")),
    Attack("a file added", EXPORT, "files: x is not part of the export", False, lambda s: s.newest.but("x", b"x")),
    Attack(
        "a gap in the numbers of a source",
        EXPORT,
        "sequence: entry 20 (message.sent) has source_seq 15",
        False,
        lambda s: rewritten(s, edit(20, source_seq=15)),
    ),
    Attack(
        "an entry kept from a room",
        EXPORT,
        "sequence: entry 20 (message.sent) has room_seq 6",
        False,
        lambda s: rewritten(s, edit(20, room_seq=6)),
    ),
    Attack(
        "a date that runs back, in a log rightly signed",
        EXPORT,
        "time: entry 257 (message.sent) is dated before",
        False,
        lambda s: rewritten(s, edit(257, at=1)),
    ),
    Attack(
        "a malformed entry in a log rightly signed",
        EXPORT,
        "meaning: entry 20 members missing",
        False,
        lambda s: rewritten(s, lambda log: [*log[:20], b"{}", *log[21:]]),
    ),
)


@dataclass(frozen=True, slots=True)
class TrailAttack:
    """What the holder of the export's key makes of a trail; Go's sumdb does not read trails."""

    name: str
    says: str
    forge: Callable[[Files], Files]


def raised(trail: Files) -> Files:
    """The leaf of the index says one entry less, as one was left out."""
    item = json.loads(trail.content[INDEX])
    leaf = json.loads(base64.b64decode(item["leaf"]))
    item["leaf"] = base64.b64encode(canonical_json({**leaf, "count": leaf["count"] - 1})).decode()
    return recounted(edited(trail, PAGE, lambda lines: lines[:-1]).but(INDEX, json.dumps(item).encode()))


def edited_line(lines: list[Any]) -> list[Any]:
    entry = canonical_json(json.loads(base64.b64decode(lines[7]["bytes"])) | {"companies": ["northwind"]})
    return [*lines[:7], lines[7] | {"bytes": base64.b64encode(entry).decode()}, *lines[8:]]


TRAIL_ATTACKS = (
    TrailAttack(
        "an entry left out of a trail",
        "completeness: trail holds",
        lambda trail: edited(trail, PAGE, lambda lines: [*lines[:40], *lines[41:]]),
    ),
    TrailAttack("the same, and the count in the index lowered", f"index: {INDEX} does not lead to entry", raised),
    TrailAttack(
        "an entry twice in a trail, in the place of another",
        "time: entry ",
        lambda trail: edited(trail, PAGE, lambda lines: [*lines[:40], lines[41], lines[41], *lines[42:]]),
    ),
    TrailAttack(
        "an entry of a trail edited",
        f"entries: {PAGE} line 8 is not in the log",
        lambda trail: edited(trail, PAGE, edited_line),
    ),
)


def table() -> str:
    """The attacks as a table of Markdown."""
    lines = ["| attack | found with | Conclave's verifier says | Go's sumdb |", "|---|---|---|---|"]
    for attack in ATTACKS:
        go = "refuses" if attack.go else "accepts"
        lines.append(f"| {attack.name} | {attack.needs} | `{attack.says.strip()} …` | {go} |")
    lines += [f"| {attack.name} | {Needs.TRAIL} | `{attack.says.strip()} …` | reads none |" for attack in TRAIL_ATTACKS]
    return "\n".join(lines) + "\n"
