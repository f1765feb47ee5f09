"""``conclave audit removal``, and the check of what it wrote: that a committee's vendor was put out, and stayed out."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.printable import printable
from bridge.cli.client import HubClient, segment
from bridge.cli.errors import CallFailedError
from bridge.cli.fetching import check_parent, fetch_bundle
from bridge.cli.output import Json, say, write_json
from bridge.cli.session import client_of

if TYPE_CHECKING:
    from audit.proof_check import Trust
    from audit.quorum import Policy
    from audit.removal import RemovalReport

PAGE = 500


def removal(
    ctx: typer.Context,
    committee: Annotated[str, typer.Argument(help="The committee's id.")],
    vendor: Annotated[str, typer.Argument(help="The vendor's company id.")],
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist.")],
    as_json: Json = False,
) -> None:
    """Write the proof that a vendor was put out of a committee and got nothing from after, for anyone to verify."""
    if out.exists():
        raise CallFailedError(f"{out} exists already", code="exists", hint="name another folder", usage=True)
    check_parent(out)
    facts = write_removal(client_of(ctx), committee, vendor, out)
    if as_json:
        write_json({"out": str(out), "committee": committee, "vendor": vendor, "facts": facts})
        return
    say(f"{out}/ written: the trails of both rooms, and {len(facts)} single entries with their proofs.")
    say(f"Next: conclave audit verify {out} --vkey log.vkey    (the key that you got when the hub was set up)")


def write_removal(client: HubClient, committee: str, vendor: str, out: Path) -> list[int]:
    """Write the removal proof to ``out``, whole or not at all; returns the positions of its single entries.

    Raises:
        CallFailedError: The vendor was not put out, or the hub said no.
    """
    cleared = _cleared(client, committee, vendor)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in ("pitch", "deliberation"):
            order = client.post("/v1/exports", {"company": None, "room": cleared["entry"]["data"][name]})
            fetch_bundle(client, order["entry"], partial / name)
        facts = [cleared["position"], *_enrolments(client, _people(partial))]
        (partial / "facts").mkdir()
        for entry in facts:
            (partial / "facts" / f"entry-{entry}.tlog-proof").write_bytes(_proof(client, entry))
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return facts


def check_removal(folder: Path, trust: "Trust", policy: "Policy | None", as_json: bool) -> None:
    """Check the removal proof in ``folder`` and say what it shows.

    Raises:
        VerificationError: A check failed.
        typer.Exit: 1, it is whole, and shows something that should not be.
    """
    from audit.files import Folder
    from audit.keys import verify_signature
    from audit.removal import verify_removal

    report = verify_removal(Folder(folder), trust, policy, verify_signature)
    if as_json:
        _write(report)
    else:
        _tell(report)
    if report.findings:
        raise typer.Exit(1)


def _tell(report: "RemovalReport") -> None:
    from audit.removal_lines import removal_lines

    say(f"  ✓ checkpoint    signed by {report.pitch.key.name}, of {report.pitch.checkpoint.size:,} entries")
    for line in removal_lines(report):
        say(f"  ✓ {printable(line)}")
    for line in report.findings:
        say(f"  ✗ {printable(line)}")
    if report.findings:
        say("FINDINGS: the proof is whole, and what it shows is not as it should be.")
    else:
        say(f"VALID. {report.vendor} was put out of {report.committee}, and nothing from after reached it.")


def _write(report: "RemovalReport") -> None:
    from config.clock import iso

    leaves = [{"person": one.person, "event_id": one.event_id, "at": iso(one.ts)} for one in report.leaves]
    counts = {"sessions": report.sessions, "later_messages": report.later, "deliberation_members": report.members}
    whole = {"cleared_at": iso(report.cleared_at), "whole_until": iso(report.whole_until)}
    about = {"committee": report.committee, "vendor": report.vendor, "buyer": report.buyer}
    write_json(
        {"valid": not report.findings, **about, "leaves": leaves, **counts, **whole, "findings": report.findings}
    )


def _cleared(client: HubClient, committee: str, vendor: str) -> dict[str, Any]:
    """The entry of the vendor's removal."""
    client.get(f"/v1/committees/{segment(committee)}")
    for item in _entries(client, "vendor.cleared"):
        data = item["entry"]["data"]
        if (data["committee"], data["vendor"]) == (committee, vendor):
            return item
    detail = f"{vendor} was not put out of {committee}, or the log does not have it yet"
    raise CallFailedError(detail, code="not_cleared", hint=f"conclave committee timeline {committee}")


def _people(folder: Path) -> set[str]:
    """Who ever came to or went from one of the rooms whose trails are in ``folder``."""
    found = set()
    for path in folder.glob("*/trail/*.ndjson"):
        for line in path.read_bytes().splitlines():
            body = json.loads(base64.b64decode(json.loads(line)["bytes"]))
            if body["kind"].startswith("member."):
                found.add(body["data"]["subject"].get("person"))
    return found - {None}


def _enrolments(client: HubClient, people: set[str]) -> list[int]:
    return [
        item["position"] for item in _entries(client, "person.enrolled") if item["entry"]["data"]["person"] in people
    ]


def _entries(client: HubClient, kind: str) -> Iterator[dict[str, Any]]:
    """Every entry of one kind, in order."""
    start: str | None = "0"
    while start is not None:
        answer = client.get("/v1/ledger/entries", kind=kind, start=start, limit=PAGE)
        yield from answer["items"]
        start = answer["next"]


def _proof(client: HubClient, entry: int) -> bytes:
    """The proof that an entry is in the log, as a file."""
    from audit.proof import EntryProof

    found = client.get(f"/v1/ledger/entries/{entry}")
    return EntryProof(
        index=entry,
        hashes=[base64.b64decode(node) for node in found["proof"]],
        note=found["checkpoint"].encode(),
        extra=base64.b64decode(found["bytes"]),
    ).encode()
