"""``conclave audit removal``, and the check of what it wrote: that a committee's vendor was put out, and stayed out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.archive import SUFFIX, Archive, ArchiveError
from audit.files import Folder
from audit.parts import MANIFEST
from audit.printable import printable
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.fetching import fetch_archive, fetch_bundle
from bridge.cli.output import Json, check_parent, say, write_json
from bridge.cli.session import client_of

if TYPE_CHECKING:
    from audit.parts import Bundle
    from audit.proof_check import Trust
    from audit.quorum import Policy
    from audit.removal_file import RemovalProof


def removal(
    ctx: typer.Context,
    committee: Annotated[str, typer.Argument(help="The committee's id.")],
    vendor: Annotated[str, typer.Argument(help="The vendor's company id.")],
    out: Annotated[
        Path, typer.Option(help="The file to write, such as removal.tar, or without .tar a folder; it must not exist.")
    ],
    as_json: Json = False,
) -> None:
    """Write the proof that a vendor was put out of a committee and got nothing from after, for anyone to verify."""
    if out.exists():
        detail = f"{out} exists already; a proof is never written over another"
        raise CallFailedError(detail, code="exists", hint="name another file or folder", usage=True)
    check_parent(out)
    bundle = write_removal(client_of(ctx), committee, vendor, out)
    manifest = json.loads(bundle.read(MANIFEST))
    entries, files = manifest["counts"]["entries"], len(list(bundle.names()))
    if as_json:
        about = {"committee": committee, "vendor": vendor, "export": manifest["export"], "entry": manifest["entry"]}
        write_json({"out": str(out), **about, "entries": entries, "files": files})
        return
    say(f"  {entries:,} entries, each with its proof · {files} files · page.html is for people · content is not in it")
    say(f"{out}{'' if out.is_file() else '/'} written; this export is entry {manifest['entry']:,}.")
    say(f"Next: conclave audit verify {out} --vkey log.vkey    (the key that you got when the hub was set up)")


def write_removal(client: HubClient, committee: str, vendor: str, out: Path) -> "Bundle":
    """Write the removal proof to ``out``, whole or not at all: one file where its name ends in ``.tar``.

    Raises:
        CallFailedError: The vendor was not put out, or the hub said no.
    """
    order = client.post("/v1/exports", {"committee": committee, "vendor": vendor})
    if out.suffix == SUFFIX:
        return fetch_archive(client, order["entry"], out)
    fetch_bundle(client, order["entry"], out)
    return Folder(out)


def open_archive(path: Path) -> Archive:
    """The archive ``path``, of which nobody knows yet what it holds.

    Raises:
        CallFailedError: It is none.
    """
    try:
        return Archive.open(path)
    except (ArchiveError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "where it was packed anew: unpack it, and name the folder"
        raise CallFailedError(f"{path} is no archive as a hub writes: {reason}", code="archive", hint=hint) from None


def check_removal(bundle: "Bundle", trust: "Trust", policy: "Policy | None", as_json: bool) -> None:
    """Check the removal proof ``bundle`` and say what it shows.

    Raises:
        VerificationError: A check failed.
        typer.Exit: 1, it is whole, and shows something that should not be.
    """
    from audit.keys import verify_signature
    from audit.removal_file import verify_removal

    proof = verify_removal(bundle, trust, policy, verify_signature)
    if as_json:
        _write(proof)
    else:
        _tell(proof)
    if proof.shows.findings:
        raise typer.Exit(1)


def _tell(proof: "RemovalProof") -> None:
    from audit.removal_file import proof_lines

    report = proof.shows
    say(f"  ✓ checkpoint    signed by {proof.key.name}, of {proof.checkpoint.size:,} entries")
    for line in proof.key_changes:
        say(f"  ✓ keys          {line}")
    for line in proof_lines(proof):
        say(f"  ✓ {printable(line)}")
    for line in report.findings:
        say(f"  ✗ {printable(line)}")
    if report.findings:
        say("FINDINGS: the proof is whole, and what it shows is not as it should be.")
    else:
        say(f"VALID. {report.vendor} was put out of {report.committee}, and nothing from after reached it.")


def _write(proof: "RemovalProof") -> None:
    from audit.removal_lines import when

    report = proof.shows
    leaves = [
        {"person": one.person, "event_id": one.event_id, "at": when(one.ts), "entry": one.position}
        for one in report.leaves
    ]
    counts = {"sessions": len(report.sessions), "later_messages": report.later, "deliberation_members": report.members}
    counts["late_members_see_all"] = report.shared
    whole = {
        "shut_at": when(report.shut_at),
        "cleared_at": when(report.cleared_at),
        "whole_until": when(report.whole_until),
    }
    about = {"committee": report.committee, "vendor": report.vendor, "buyer": report.buyer}
    export = {"export": proof.export, "entry": proof.written.entry, "files": proof.files, "size": proof.checkpoint.size}
    valid = not report.findings
    write_json({"valid": valid, **about, "leaves": leaves, **counts, **whole, **export, "findings": report.findings})
