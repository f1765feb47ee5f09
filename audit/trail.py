"""The offline verifier of a trail: an export of one company's rooms or of one room, shown to be whole. Pure.

Its files are ``trail/0.ndjson``, ``trail/1.ndjson`` …, the entries of that part of the log; ``frame.ndjson``, three
entries that say what it is: the log's first, the one that records the export, and the index behind that (with those
that changed the log's keys, where they did); and
``index.json``, the leaf of that index for this part. Each line is an entry with its inclusion proof:
{"entry": number, "bytes": …, "proof": [hashes]}, in base64. What else there is in the log stays hashes, which cannot
be guessed (``salt`` in ``audit.entry``).

Whole means: as many entries as the index says. That the index is right is not seen in a trail but by whoever verifies
the whole log (``audit.indexes``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.canonical import CanonicalError, canonical_json
from audit.digests import Digests, Memory
from audit.disclosures import check_disclosures
from audit.entry import EntryError, parse_entry
from audit.index import INDEX_KIND, ROOM, Scope, decode
from audit.key_history import check_keys, opening_checkpoint
from audit.manifest import (
    GUIDE,
    NO_TIME,
    OF_ANOTHER,
    check_files,
    check_key_files,
    checkpoint_summary,
    has_time,
    open_manifest,
)
from audit.note import Checkpoint, VerifierKey, Verify, split_note
from audit.parts import (
    CHANGED,
    CHECKPOINT,
    DISCLOSURES,
    GAP,
    LOG_KEY,
    MALFORMED,
    SIGNERS,
    STATEMENTS,
    Bundle,
    Report,
    VerificationError,
    read_part,
    strict_json,
)
from audit.succession import KEY_KINDS, LogKeys
from audit.tree import ProofError, leaf_hash, verify_inclusion

FORMAT = "conclave-trail/1"
FRAME = "frame.ndjson"
FOLDER = "trail/"
INDEX = "index.json"
FREE = {"files", "software", "exported_at"}
"""What a manifest says that the log does not have."""
OMITTED = "something was left out of the export, or added to it"


@dataclass(slots=True, kw_only=True)
class TrailReport(Report):
    """What a valid trail holds: all ``kinds.total()`` entries of ``scope`` in front of the entry ``before``.

    ``whole_until`` is the time of that entry, in milliseconds.
    """

    scope: Scope
    before: int
    whole_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """An entry that is in the log."""

    position: int
    where: str
    body: dict[str, Any]


def is_trail(bundle: Bundle) -> bool:
    """Whether ``bundle`` is an export of a part of the log."""
    try:
        files = (name for name in bundle.names() if not name.endswith("/"))  # an empty folder says nothing
        return any(name == FRAME or name.startswith(FOLDER) for name in files)
    except OSError:
        return False


def trail_path(page: int) -> str:
    """The name of a file of the trail."""
    return f"{FOLDER}{page}.ndjson"


def verify_trail(
    bundle: Bundle, key: VerifierKey | Sequence[VerifierKey], verify: Verify, *, root: VerifierKey | None = None
) -> TrailReport:
    """Check every file of the trail ``bundle`` against the caller's keys, as ``audit.verify.verify_bundle`` does.

    Raises:
        VerificationError: A check failed.
    """
    held = (key,) if isinstance(key, VerifierKey) else tuple(key)
    note, keys = opening_checkpoint(bundle, held, root, verify)
    checkpoint = Checkpoint.parse(split_note(note)[0])
    opening, changes, exported, index = read_frame(bundle, checkpoint)
    scope = _scope(exported, index)
    part = {"scope": scope, "before": index.position, "whole_until": index.body["at"]}
    report = TrailReport(checkpoint=checkpoint, key=keys[0], keys=keys, note=note, **part)
    log_keys = check_keys(bundle, report, opening.body, changes, root, verify)
    digests = Digests(Memory)
    walk_trail(bundle, report, digests)
    check_count(bundle, report, index)
    _check_manifest(bundle, report, opening, exported, log_keys, verify)
    report.disclosed, report.withheld = check_disclosures(bundle, digests)
    return report


def read_frame(bundle: Bundle, checkpoint: Checkpoint) -> tuple[Proven, dict[int, dict[str, Any]], Proven, Proven]:
    """The log's first entry, those that changed its keys by their position, that of the export, the index.

    Raises:
        VerificationError: The file ``FRAME`` holds others, or one of them is not in the log.
    """
    found = list(proven(bundle, FRAME, checkpoint))
    kinds = [item.body["kind"] for item in found]
    framed = len(found) >= 3 and kinds[0] == "log.opened" and kinds[-2:] == ["audit.exported", INDEX_KIND]
    if not framed or found[0].position != 0 or not KEY_KINDS.issuperset(kinds[1:-2]):
        detail = f"does not hold log.opened, audit.exported and {INDEX_KIND}"
        raise VerificationError("entries", detail, where=FRAME, meaning=CHANGED)
    opening, *changes, exported, index = found
    return opening, {item.position: item.body for item in changes}, exported, index


def _scope(exported: Proven, index: Proven) -> Scope:
    scope = Scope.parse(str(exported.body["data"].get("scope")))
    if scope is None:
        detail = "records no export of one company or one room"
        raise VerificationError("meaning", detail, where=exported.where, meaning=CHANGED)
    check_order(exported, index)
    return scope


def check_order(exported: Proven, index: Proven) -> None:
    """Return when the index counted what was there when the export was ordered.

    Raises:
        VerificationError: It is an older one.
    """
    if index.position < exported.position:
        raise VerificationError("index", "is no index behind the export", where=index.where, meaning=OMITTED)


def proven(bundle: Bundle, name: str, checkpoint: Checkpoint) -> Iterator[Proven]:
    """The entries in the file ``name``, each of them in the log of ``checkpoint``.

    Raises:
        VerificationError: One of them is not, or is of another form.
    """
    text = read_part(bundle, name, "entries")
    if not text.endswith(b"\n"):
        raise VerificationError("entries", "ends in the middle of a line", where=name, meaning=CHANGED)
    for number, line in enumerate(text[:-1].split(b"\n"), start=1):
        where = f"{name} line {number}"
        try:
            item = strict_json(line)
            position, data = item["entry"], decode(item["bytes"])
            proof = [decode(node) for node in item["proof"]]
            if type(position) is not int or item.keys() != {"entry", "bytes", "proof"}:
                raise ValueError("is no entry with its proof")
            verify_inclusion(leaf_hash(data), position, checkpoint.size, proof, checkpoint.root)
        except (ProofError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise VerificationError("entries", f"is not in the log: {error}", where=where, meaning=CHANGED) from None
        where = f"entry {position:,}"
        try:
            body = parse_entry(data)
        except (CanonicalError, EntryError) as error:
            raise VerificationError("meaning", str(error), where=where, meaning=MALFORMED) from None
        yield Proven(position=position, where=f"{where} ({body['kind']})", body=body)


def trail_entries(bundle: Bundle, checkpoint: Checkpoint) -> Iterator[tuple[int, dict[str, Any]]]:
    """Position and body of every entry of a trail that was verified, in order.

    Raises:
        VerificationError: A file is not what it was.
    """
    return ((item.position, item.body) for item in _pages(bundle, checkpoint))


def _pages(bundle: Bundle, checkpoint: Checkpoint) -> Iterator[Proven]:
    """The entries in the files of the trail, of which each page has to be there."""
    for page in range(len(page_names(bundle))):
        yield from proven(bundle, trail_path(page), checkpoint)


def page_names(bundle: Bundle) -> set[str]:
    """The names of the files of the trail.

    Raises:
        VerificationError: A folder cannot be read.
    """
    try:
        return {name for name in bundle.names() if name.startswith(FOLDER)}
    except OSError as error:
        detail, meaning = f"cannot read it: {error.strerror or error}", "a folder cannot be read here"
        raise VerificationError("files", detail, where=FOLDER, meaning=meaning) from None


def walk_trail(bundle: Bundle, report: TrailReport, digests: Digests) -> None:
    """Read the trail into ``report``, and keep the ``digests`` of disclosures in it.

    Raises:
        VerificationError: An entry is not in the log, does not belong there, or is out of order.
    """
    rooms: dict[str, int] = {}
    last, at = -1, 0
    for item in _pages(bundle, report.checkpoint):
        if not report.scope.holds(item.body) or item.position >= report.before:
            detail = f"does not belong to {report.scope}, or is newer than the index"
            raise VerificationError("scope", detail, where=item.where, meaning=OMITTED)
        if item.position <= last or item.body["at"] < at:
            raise VerificationError("time", "is not behind the one in front of it", where=item.where, meaning=GAP)
        last, at = item.position, item.body["at"]
        room, number = item.body["room"], item.body["room_seq"]
        expected = rooms.get(room, 0) + 1
        if number < expected or (report.scope.kind == ROOM and number != expected):
            detail = f"has room_seq {number} of {room}, expected {expected}"
            raise VerificationError("sequence", detail, where=item.where, meaning=OMITTED)
        rooms[room] = number
        if "sd" in item.body:
            digests.add(item.position, item.body["sd"])
        report.kinds[item.body["kind"]] += 1
        report.last_at = item.body["at"]


def check_count(bundle: Bundle, report: TrailReport, index: Proven) -> None:
    """Hold the number of entries that were read against the leaf of the index.

    Raises:
        VerificationError: The leaf is not of this index, or says another number.
    """
    try:
        item = strict_json(read_part(bundle, INDEX, "index"))
        leaf, proof = decode(item["leaf"]), [decode(node) for node in item["proof"]]
        data = index.body["data"]
        if item.keys() != {"leaf", "position", "proof"} or type(item["position"]) is not int:
            raise ValueError("is not a leaf with its proof")
        verify_inclusion(leaf_hash(leaf), item["position"], data["leaves"], proof, decode(data["root"]))
        said = strict_json(leaf)
        scope, count = Scope(said["scope"], said["id"]), said["count"]
        if type(count) is not int or canonical_json(said) != leaf:
            raise ValueError("does not count")
    except (ProofError, CanonicalError, ValueError, KeyError, TypeError, RecursionError) as error:
        detail = f"does not lead to entry {index.position:,}: {error}"
        raise VerificationError("index", detail, where=INDEX, meaning=CHANGED) from None
    if scope != report.scope:
        raise VerificationError("index", f"is of {scope}, not of {report.scope}", where=INDEX, meaning=CHANGED)
    if count != report.kinds.total():
        detail = f"holds {report.kinds.total():,} entries; the log's index says {count:,}"
        raise VerificationError("completeness", detail, where="trail", meaning=OMITTED)


def _check_manifest(
    bundle: Bundle, report: TrailReport, opening: Proven, exported: Proven, log_keys: LogKeys, verify: Verify
) -> None:
    """Check the manifest, then every file against it."""
    expected = {**_summary(report), **_recorded(report, exported)}

    def judge(listed: dict[str, Any]) -> str | None:
        said = canonical_json({name: listed[name] for name in expected})
        if said != canonical_json(expected) or listed.keys() != expected.keys() | FREE:
            return OF_ANOTHER
        return None if has_time(listed, exported.body["at"]) else NO_TIME

    manifest = open_manifest(bundle, opening.body, verify, judge)
    needed = {CHECKPOINT, LOG_KEY, SIGNERS, DISCLOSURES, FRAME, INDEX}
    pages = {trail_path(page) for page in range(len(page_names(bundle)))}
    report.files = check_files(bundle, manifest.files, needed | pages, known=lambda name: name in (GUIDE, STATEMENTS))
    check_key_files(bundle, log_keys, manifest.export_key)
    report.export = str(manifest.listed["export"])


def _summary(report: TrailReport) -> dict[str, Any]:
    """What a manifest must say of the log and of the part of it."""
    return {
        "format": FORMAT,
        "checkpoint": checkpoint_summary(report.checkpoint),
        "counts": {"entries": report.kinds.total(), "by_kind": dict(report.kinds)},
    }


def _recorded(report: TrailReport, exported: Proven) -> Mapping[str, Any]:
    """What a manifest must say of the export, as the log has it."""
    return {
        "entry": exported.position,
        "export": exported.body["data"].get("export"),
        "exported_by": exported.body["actor"].get("person"),
        "query": {"scope": str(report.scope)},
        "exclusions": [],
        "index": report.before,
    }
