"""The check of a trail: an export of one company's rooms, or of one room."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from audit.printable import printable
from bridge.cli.output import say, write_json

if TYPE_CHECKING:
    from audit.proof_check import Trust
    from audit.trail import TrailReport


def check_trail(
    folder: Path, trust: "Trust", witnessed: Callable[["TrailReport"], list[str] | None], as_json: bool
) -> None:
    """Check the trail in ``folder`` and say what it holds; ``witnessed`` tells who cosigned, where that is asked.

    Raises:
        VerificationError: A check failed.
    """
    from audit.files import Folder
    from audit.keys import verify_signature
    from audit.trail import verify_trail
    from config.clock import iso

    report = verify_trail(Folder(folder), trust.keys, verify_signature, root=trust.root)
    witnesses, count = witnessed(report), report.kinds.total()
    root = base64.b64encode(report.checkpoint.root).decode()
    since = report.checkpoint.size - report.before - 1  # the index itself is none of them
    if as_json:
        part = {"scope": str(report.scope), "entries": count, "before": report.before, "kinds": dict(report.kinds)}
        times = {"newest": iso(report.last_at or 0), "whole_until": iso(report.whole_until)}
        found = {"root": root, "export": report.export, "witnesses": witnesses or [], **times}
        write_json({"valid": True, "size": report.checkpoint.size, "files": report.files, **part, **found})
        return
    newest, until = (iso(at or 0)[:19].replace("T", " ") for at in (report.last_at, report.whole_until))
    part_of = printable(f"{report.scope.kind} {report.scope.id}")
    say(f"  ✓ checkpoint      signed by {report.key.name}: root {root}")
    for line in report.key_changes:
        say(f"  ✓ keys            {line}")
    if witnesses is not None:
        say(f"  ✓ witnesses       {', '.join(map(printable, witnesses)) or 'none needed'}")
    say(f"  ✓ trail           {printable(report.export)}, of {part_of} only, whole up to {until} UTC")
    say(f"  ✓ {count:,} entries".ljust(20) + f"in the log, all that there are of it before entry {report.before:,}")
    say("  · newest".ljust(20) + f"of {newest} UTC; entries that came into the log since: {since:,}")
    say("  ✓ disclosures".ljust(20) + f"{report.disclosed} belong to their entries, {report.withheld} withheld")
    say("  ✓ files".ljust(20) + f"{report.files} as they have to be, none missing, none added")
    say(f"VALID. A part of the log of {report.checkpoint.size:,} entries; with tools of others: {folder / 'VERIFY.md'}")
