"""The offline verifier of an exported bundle: no network, no database, no key but the caller's.

``verify_bundle`` answers with a :class:`Report` only when every file is what the log committed to or what the export's
key signed; anything else raises :class:`VerificationError`, which says which check failed, where, and what it means.
Pure: files come in through :class:`Bundle`, signatures through :class:`audit.note.Verify`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from audit.closed import check_closed, is_closed
from audit.digests import Digests, Memory
from audit.disclosures import check_disclosures
from audit.entry import parse_entry
from audit.indexes import read_seeds
from audit.key_history import check_keys, opening_checkpoint
from audit.manifest import check_manifest
from audit.note import Checkpoint, VerifierKey, Verify, split_note
from audit.parts import (
    CHANGED,
    INDEXES,
    MALFORMED,
    Bundle,
    Report,
    Run,
    Scratch,
    VerificationError,
    one_by_one,
)
from audit.printable import printable
from audit.seen import check_seen
from audit.stretch import entry_at
from audit.structure import Progress, check_entries
from audit.timestamps import check_timestamps
from audit.walk import Walk


def verify_bundle(
    bundle: Bundle,
    key: VerifierKey | Sequence[VerifierKey],
    verify: Verify,
    progress: Progress = lambda _done, _all: None,
    *,
    root: VerifierKey | None = None,
    seen: Mapping[str, bytes] = MappingProxyType({}),
    run: Run = one_by_one,
    scratch: Callable[[], Scratch] = Memory,
) -> Report:
    """Check every file of ``bundle`` against ``key``, which the caller got out of band.

    Of several keys each must have signed. A key that was rotated away since holds for the one in its place, where the
    key itself and the log's root said so; ``root`` is the root's key, for who holds it.

    ``seen`` are checkpoints that the caller saved, by the names of their files: the log has to extend each. ``run`` may
    look at several stretches of the log at a time; the verdict and its words are the same. With a ``scratch`` on disk,
    memory does not grow with the log, but for a number for each of its sources, people and rooms.

    Raises:
        VerificationError: A check failed.
    """
    held = (key,) if isinstance(key, VerifierKey) else tuple(key)
    note, keys = opening_checkpoint(bundle, held, root, verify)
    checkpoint = Checkpoint.parse(split_note(note)[0])
    report = Report(checkpoint=checkpoint, key=keys[0], keys=keys, note=note, seen=len(seen))
    digests = Digests(scratch)
    walk = Walk(report, digests, read_seeds(bundle))
    if check_entries(bundle, checkpoint.size, walk, run, progress) != checkpoint.root:
        raise VerificationError("root", "the entries do not hash to the checkpoint's root", meaning=CHANGED)
    _check_meaning(bundle, walk, checkpoint.size)
    log_keys = check_keys(bundle, report, walk.first, walk.key_changes, root, verify)
    check_seen(bundle, checkpoint, seen, (*log_keys.current, *log_keys.retired), verify)
    (check_closed if is_closed(bundle) else check_manifest)(bundle, report, walk, log_keys, verify)
    report.disclosed, report.withheld = check_disclosures(bundle, digests)
    report.timestamps = check_timestamps(bundle, checkpoint, (*log_keys.current, *log_keys.retired), verify)
    return report


def _check_meaning(bundle: Bundle, walk: Walk, size: int) -> None:
    """Say what the walk found, now that the root did: it is the log that is wrong, not a copy that somebody changed.

    Raises:
        VerificationError: The first entry that is wrong, or that repeats a digest.
    """
    repeated = walk.digests.first_repeated()
    if repeated is not None:  # of an entry before the one that is wrong: the walk takes none behind it
        position, first = repeated
        kind = parse_entry(entry_at(bundle, size, position))["kind"]
        detail = f"repeats the digest of a disclosure of entry {first:,}"
        raise VerificationError("meaning", detail, where=f"entry {position:,} ({kind})", meaning=MALFORMED)
    if walk.wrong is not None:
        raise walk.wrong
    for position in walk.seeds:
        detail = f"has a seed for entry {printable(str(position))}, which is no index"
        raise VerificationError("index", detail, where=INDEXES, meaning=CHANGED)
