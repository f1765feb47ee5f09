"""The offline verifier of a removal proof: that a committee's vendor was put out, and stayed out. Pure.

Its files: ``frame.ndjson``, as in a trail (``audit.trail``), whose export is of ``removal:COMMITTEE:VENDOR``;
``pitch/`` and ``deliberation/``, each with ``trail/0.ndjson`` …, every entry of that room, and ``index.json``, its
leaf in the index; ``facts.ndjson``, the single entries that a removal is judged by (``audit.removal``);
``disclosures.ndjson`` of these, which has the Matrix user ids; ``page.html``, which says all of it to people
(``audit.removal_page``). There is one checkpoint: each entry is proven in it, so the parts are of one history.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from audit.canonical import canonical_json
from audit.digests import Digests, Memory
from audit.disclosures import check_disclosures
from audit.index import ROOM, Scope
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
from audit.note import Checkpoint, NoteError, VerifierKey, Verify, split_note
from audit.parts import (
    CHANGED,
    CHECKPOINT,
    DISCLOSURES,
    GAP,
    LOG_KEY,
    SIGNERS,
    STATEMENTS,
    Bundle,
    Report,
    VerificationError,
    read_chunks,
)
from audit.proof_check import Trust
from audit.quorum import Policy, witnessed
from audit.removal import SHORT, judge_removal
from audit.removal_lines import removal_lines
from audit.removal_page import Written, names_of, removal_page, written_by
from audit.removal_report import Entry, Removal, RemovalReport, Room
from audit.trail import (
    FRAME,
    FREE,
    INDEX,
    Proven,
    TrailReport,
    check_count,
    check_order,
    page_names,
    proven,
    read_frame,
    trail_entries,
    walk_trail,
)

FORMAT = "conclave-removal/1"
PITCH, DELIBERATION = "pitch/", "deliberation/"
FACTS = "facts.ndjson"
PAGE = "page.html"
UNSEEN = "the log was not seen by those whom you trust, or it shows them another history than you"
OTHER_PAGE = (
    "somebody who has the key of exports wrote another page than these entries give, or you have another version"
)


@dataclass(slots=True, kw_only=True)
class RemovalProof(Report):
    """What a valid removal proof shows; ``kinds`` counts the entries of both rooms and the facts."""

    shows: RemovalReport
    written: Written


@dataclass(slots=True, kw_only=True)
class _Opened:
    """What the frame of a proof says it is; ``keys`` signed its checkpoint. ``kinds`` counts what was read."""

    note: bytes
    keys: tuple[VerifierKey, ...]
    checkpoint: Checkpoint
    opening: Proven
    changes: Mapping[int, dict[str, Any]]
    exported: Proven
    index: Proven
    about: Removal
    kinds: Counter[str] = field(default_factory=Counter)


def is_removal(bundle: Bundle) -> bool:
    """Whether ``bundle`` is a removal proof."""
    try:
        files = (name for name in bundle.names() if not name.endswith("/"))  # an empty folder says nothing
        return any(name in (FACTS, PAGE) or name.startswith((PITCH, DELIBERATION)) for name in files)
    except OSError:
        return False


def verify_removal(bundle: Bundle, trust: Trust, policy: Policy | None, verify: Verify) -> RemovalProof:
    """Check every file of the removal proof ``bundle`` against the caller's keys, and judge what it shows.

    Raises:
        VerificationError: A file is not what the log has, or something that has to be shown is not there.
    """
    opened = _open(bundle, trust, verify)
    _check_witnesses(opened, policy, verify)
    facts, digests = _facts(bundle, opened)
    pitch, deliberation = (_room(bundle, name, opened) for name in (PITCH, DELIBERATION))
    shows = judge_removal(opened.about, facts, pitch, deliberation, opened.index.body["at"])
    disclosed, withheld = check_disclosures(bundle, digests)
    proof = RemovalProof(
        checkpoint=opened.checkpoint,
        key=opened.keys[0],
        keys=opened.keys,
        note=opened.note,
        kinds=opened.kinds,
        disclosed=disclosed,
        withheld=withheld,
        shows=shows,
        written=_written(bundle, opened, facts),
    )
    _check_files(bundle, proof, opened, trust.root, verify)
    return proof


def proof_lines(proof: RemovalProof) -> list[str]:
    """What a removal proof shows, and of which file that is true: a line each, for people."""
    return [
        *removal_lines(proof.shows),
        f"page          says the same; {proof.files} files as they have to be, none missing, none added",
        f"export        {proof.export}, ordered by {proof.written.person}, entry {proof.written.entry:,}",
    ]


def _open(bundle: Bundle, trust: Trust, verify: Verify) -> _Opened:
    """The checkpoint and the frame: which removal the log says this is the export of."""
    note, keys = opening_checkpoint(bundle, trust.keys, trust.root, verify)
    checkpoint = Checkpoint.parse(split_note(note)[0])
    opening, changes, exported, index = read_frame(bundle, checkpoint)
    about = Removal.parse(str(exported.body["data"].get("scope")))
    if about is None:
        raise VerificationError("meaning", "records no export of a removal", where=exported.where, meaning=CHANGED)
    check_order(exported, index)
    return _Opened(
        note=note,
        keys=keys,
        checkpoint=checkpoint,
        opening=opening,
        changes=changes,
        exported=exported,
        index=index,
        about=about,
    )


def _check_witnesses(opened: _Opened, policy: Policy | None, verify: Verify) -> None:
    """The checkpoint is cosigned as the caller's policy wants it."""
    try:
        if policy is not None:
            witnessed(opened.note, opened.keys, policy, verify)
    except NoteError as error:
        raise VerificationError("witnesses", str(error), where=CHECKPOINT, meaning=UNSEEN) from None


def _facts(bundle: Bundle, opened: _Opened) -> tuple[list[Entry], Digests]:
    """The single entries, in order, in front of the index; and the digests of what is disclosed of them."""
    found, digests, last = list[Entry](), Digests(Memory), -1
    for item in proven(bundle, FACTS, opened.checkpoint):
        if not last < item.position < opened.index.position:
            detail = "is not behind the one in front of it, or is newer than the index"
            raise VerificationError("time", detail, where=item.where, meaning=GAP)
        last = item.position
        if "sd" in item.body:
            digests.add(item.position, item.body["sd"])
        opened.kinds[item.body["kind"]] += 1
        found.append((item.position, item.body))
    return found, digests


def _room(bundle: Bundle, name: str, opened: _Opened) -> Room:
    """A room, of which every entry in front of the index is in the folder ``name``."""
    part, checkpoint = _Below(bundle, name), opened.checkpoint
    try:
        first = next(trail_entries(part, checkpoint), None)
        if first is None or "room" not in first[1]:
            raise VerificationError("removal", "holds no entry of a room", where="trail", meaning=SHORT)
        report = TrailReport(
            checkpoint=checkpoint,
            key=opened.keys[0],
            scope=Scope(ROOM, first[1]["room"]),
            before=opened.index.position,
            whole_until=opened.index.body["at"],
        )
        walk_trail(part, report, Digests(Memory))
        check_count(part, report, opened.index)
    except VerificationError as error:
        where = f"{name.rstrip('/')}: {error.where}"
        raise VerificationError(error.check, error.detail, where=where, meaning=error.meaning) from None
    opened.kinds.update(report.kinds)
    return Room(report.scope, trail_entries(part, checkpoint))


def _written(bundle: Bundle, opened: _Opened, facts: Sequence[Entry]) -> Written:
    """Who ordered the proof, and when, as the log has it; whose Matrix user ids are disclosed."""
    lines = b"".join(read_chunks(bundle, DISCLOSURES, "disclosures")).split(b"\n")[:-1]
    disclosed = [(item["entry"], item["disclosure"]) for item in map(json.loads, lines)]
    return written_by(
        opened.checkpoint,
        (opened.exported.position, opened.exported.body),
        opened.index.position,
        names_of(facts, disclosed),
    )


def _check_files(
    bundle: Bundle, proof: RemovalProof, opened: _Opened, root: VerifierKey | None, verify: Verify
) -> None:
    """Check the log's keys, the manifest, every file against it; and the page against what was shown."""
    expected = {**_summary(opened), **_recorded(opened)}

    def judge(listed: dict[str, Any]) -> str | None:
        said = canonical_json({name: listed[name] for name in expected})
        if said != canonical_json(expected) or listed.keys() != expected.keys() | FREE:
            return OF_ANOTHER
        return None if has_time(listed, opened.exported.body["at"]) else NO_TIME

    log_keys = check_keys(bundle, proof, opened.opening.body, opened.changes, root, verify)
    manifest = open_manifest(bundle, opened.opening.body, verify, judge)
    needed = {CHECKPOINT, LOG_KEY, SIGNERS, DISCLOSURES, FRAME, FACTS, PAGE}
    for name in (PITCH, DELIBERATION):
        needed |= {f"{name}{INDEX}", *(f"{name}{page}" for page in page_names(_Below(bundle, name)))}
    proof.files = check_files(bundle, manifest.files, needed, known=lambda name: name in (GUIDE, STATEMENTS))
    check_key_files(bundle, log_keys, manifest.export_key)
    proof.export = proof.written.export
    if manifest.files[PAGE] != sha256(removal_page(proof.shows, proof.written)).hexdigest():
        raise VerificationError("page", "does not say what the entries say", where=PAGE, meaning=OTHER_PAGE)


def _summary(opened: _Opened) -> dict[str, Any]:
    """What a manifest must say of the log and of what was taken from it."""
    return {
        "format": FORMAT,
        "checkpoint": checkpoint_summary(opened.checkpoint),
        "counts": {"entries": opened.kinds.total(), "by_kind": dict(opened.kinds)},
    }


def _recorded(opened: _Opened) -> Mapping[str, Any]:
    """What a manifest must say of the export, as the log has it."""
    return {
        "entry": opened.exported.position,
        "export": opened.exported.body["data"].get("export"),
        "exported_by": opened.exported.body["actor"].get("person"),
        "query": {"scope": str(opened.about)},
        "exclusions": [],
        "index": opened.index.position,
    }


@dataclass(frozen=True, slots=True)
class _Below:
    """The files below a folder of another bundle."""

    whole: Bundle
    prefix: str

    def names(self) -> list[str]:
        """See :class:`audit.parts.Bundle`."""
        return [name.removeprefix(self.prefix) for name in self.whole.names() if name.startswith(self.prefix)]

    def read(self, name: str) -> bytes:
        """See :class:`audit.parts.Bundle`."""
        return self.whole.read(self.prefix + name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """See :class:`audit.parts.Bundle`."""
        return self.whole.chunks(self.prefix + name)
