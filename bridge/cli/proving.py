"""``conclave audit prove``, and the check of what it wrote: proofs that go alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from audit.printable import printable
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, check_parent, say, write_json
from bridge.cli.session import client_of

if TYPE_CHECKING:
    from audit.note import VerifierKey
    from audit.proof_check import ProofReport, Trust
    from audit.quorum import Policy
    from audit.stamped import Authorities


def prove(
    ctx: typer.Context,
    entry: Annotated[int | None, typer.Option(min=0, help="The number of the entry to prove.")] = None,
    event: Annotated[str | None, typer.Option(help="The id of the Matrix event to prove.", show_default=False)] = None,
    between: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two saved checkpoints, the older first: prove that the log only grew.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Write a proof that anyone can check alone: of one entry, or between two checkpoints."""
    if sum(item is not None for item in (entry, event, between)) != 1:
        hint = "--entry NUMBER, --event ID, or --between OLD NEW"
        raise CallFailedError("name one thing to prove", code="usage", hint=hint, usage=True)
    if out is not None:
        check_parent(out)
    client = client_of(ctx)
    if event is not None:
        entry = int(client.get(f"/v1/ledger/events/{quote(event, safe='')}")["position"])
    if entry is not None:
        _prove_entry(client, entry, out or Path(f"entry-{entry}.tlog-proof"), as_json)
    elif between is not None:
        _prove_growth(client, *between, out, as_json)


def _prove_entry(client: HubClient, entry: int, out: Path, as_json: bool) -> None:
    import base64

    from audit.keys import verify_signature
    from audit.note import NoteError, VerifierKey
    from audit.proof import EntryProof
    from audit.tree import ProofError

    found = client.get(f"/v1/ledger/entries/{entry}")
    proof = EntryProof(
        index=entry,
        hashes=[base64.b64decode(node) for node in found["proof"]],
        note=found["checkpoint"].encode(),
        extra=base64.b64decode(found["bytes"]),
    )
    try:
        proof.verify(VerifierKey.parse(client.get("/v1/ledger")["vkey"]), verify_signature)
    except (NoteError, ProofError) as error:
        raise CallFailedError(f"the hub's proof of entry {entry} does not hold: {error}", code="proof") from None
    _write(out, proof.encode())
    if as_json:
        write_json({"out": str(out), "entry": entry, "size": found["size"]})
        return
    say(f"{out} written: entry {entry:,} is in the log of {found['size']:,} entries.")
    say(f"Next: conclave audit verify {out} --vkey log.vkey")


def _prove_growth(client: HubClient, old: Path, new: Path, out: Path | None, as_json: bool) -> None:
    import base64

    from audit.keys import verify_signature
    from audit.note import LOG_ALGORITHMS, VerifierKey
    from audit.tree import ProofError, verify_consistency
    from audit.witness import Submission

    ledger = client.get("/v1/ledger")
    keys = [VerifierKey.parse(key, algorithm=LOG_ALGORITHMS) for key in (*ledger["vkeys"], *ledger["retired"])]
    first, second = (_checkpoint(path, keys, verify_signature) for path in (old, new))
    if first.size > second.size:
        raise CallFailedError(f"{old} is of a larger log than {new}", code="order", hint="name the older one first")
    answer = client.get("/v1/ledger/consistency", first=first.size, second=second.size)
    proof = [base64.b64decode(node) for node in answer["proof"]]
    try:
        if first.size:
            verify_consistency(first.size, second.size, proof, first.root, second.root)
    except ProofError as error:
        detail = f"the log of {new} does not extend that of {old}: {error}"
        raise CallFailedError(detail, code="fork", hint="keep both files: they show that the log was changed") from None
    if out is not None:
        _write(out, Submission(old=first.size, proof=proof, note=new.read_bytes()).encode())
    if as_json:
        write_json({"extends": True, "first": first.size, "second": second.size, "proof": answer["proof"]})
        return
    say(f"The log grew from {first.size:,} to {second.size:,} entries, and nothing before was changed.")


def _checkpoint(path: Path, keys: "list[VerifierKey]", verify: Any) -> Any:
    """The checkpoint in the file ``path``, signed by one of the log's keys: those of today, or one before them."""
    from audit.note import Checkpoint, NoteError, open_by_one

    try:
        return Checkpoint.parse(open_by_one(path.read_bytes(), keys, verify))
    except (OSError, NoteError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallFailedError(f"{path} is no checkpoint of this log: {reason}", code="checkpoint", usage=True) from None


def _write(out: Path, data: bytes) -> None:
    try:
        with out.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise CallFailedError(f"{out} exists already", code="exists", hint="name another: --out", usage=True) from None
    except OSError as error:
        raise CallFailedError(f"cannot write {out}: {error.strerror}", code="out", usage=True) from None


def verify_proof(path: Path, trust: "Trust", statements: Path | None, policy: "Policy | None", as_json: bool) -> None:
    """Check a proof of one entry, and say what it proves.

    Raises:
        typer.Exit: 1, it does not hold.
    """
    from audit.key_history import parse_statements
    from audit.keys import verify_signature
    from audit.note import NoteError
    from audit.parts import VerificationError
    from audit.proof_check import Trust, check_proof
    from audit.tree import ProofError

    try:
        notes = [] if statements is None else parse_statements(statements.read_bytes())
        whole = Trust(trust.keys, trust.root, [note.encode() for _, note in notes])
        found = check_proof(path.read_bytes(), whole, policy, verify_signature)
    except (OSError, NoteError, ProofError, VerificationError, ValueError, RecursionError) as error:
        if as_json:
            write_json({"valid": False, "detail": str(error)})
        else:
            say(f"INVALID: {printable(str(error))}.")
        raise typer.Exit(1) from None
    _tell(found, as_json)


def _tell(found: "ProofReport", as_json: bool) -> None:
    import json

    if as_json:
        counts = {"entry": found.index, "size": found.checkpoint.size, "witnesses": found.witnesses or []}
        write_json({"valid": True, **counts, "body": found.entry})
        return
    say(f"  ✓ checkpoint   of {found.checkpoint.size:,} entries, signed by {found.key.name}")
    if found.witnesses is not None:
        say(f"  ✓ witnesses    {', '.join(map(printable, found.witnesses)) or 'none needed'}")
    entry = json.dumps(found.entry, ensure_ascii=False, sort_keys=True)
    say(f"  ✓ entry {found.index:,}".ljust(17) + printable(entry, 2_000))
    say("VALID.")


def read_policy(path: Path | None) -> "Policy | None":
    """The policy in the file ``path``, where one is named.

    Raises:
        CallFailedError: It cannot be read or is none.
    """
    from audit.quorum import PolicyError, parse_policy

    if path is None:
        return None
    try:
        return parse_policy(path.read_bytes())
    except (OSError, PolicyError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallFailedError(f"{path} is no policy of witnesses: {reason}", code="policy", usage=True) from None


def read_tsa_cert(path: Path | None) -> "Authorities | None":
    """The certificates in the file ``path``, where one is named.

    Raises:
        CallFailedError: It cannot be read or holds none.
    """
    from audit.stamped import load_authorities
    from audit.tsp import TimestampError

    if path is None:
        return None
    try:
        return load_authorities(path)
    except (OSError, TimestampError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallFailedError(f"{path} is no certificate of a TSA: {reason}", code="tsa_cert", usage=True) from None
