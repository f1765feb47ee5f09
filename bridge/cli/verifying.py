"""``conclave audit verify``: an export or a proof, offline."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.printable import printable
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, say, write_json
from bridge.cli.progress import progress_bar
from bridge.cli.proving import read_policy, read_tsa_cert, verify_proof
from bridge.cli.removals import check_removal, open_archive
from bridge.cli.trails import check_trail

if TYPE_CHECKING:
    from audit.note import VerifierKey
    from audit.parts import Report
    from audit.proof_check import Trust
    from audit.quorum import Policy
    from audit.stamped import Authorities


_Bundle = Annotated[
    Path, typer.Argument(help="The exported folder, or the file of a proof, be it .tlog-proof or .tar.")
]
_Vkey = Annotated[
    Path,
    typer.Option(help="The log's public keys, one a line, got by another way than the export; each must have signed."),
]
_Policy = Annotated[Path | None, typer.Option(help="Your policy of witnesses: enough of them must have cosigned.")]
_Root = Annotated[Path | None, typer.Option(help="The public key of the log's root, where you hold it.")]
_Statements = Annotated[
    Path | None, typer.Option(help="For a proof, after the keys changed: keys/statements.ndjson of an export.")
]
_Seen = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint that you saved: the log must extend it. Again for more.", show_default=False),
]
_TsaCert = Annotated[
    Path | None, typer.Option(help="The TSA's root certificate, PEM: the timestamps must be by that TSA.")
]
_Processes = Annotated[
    int | None, typer.Option(min=1, help="At most so many processes; one a core if not said.", show_default=False)
]


def verify(  # noqa: PLR0913, PLR0917  # a command's options
    bundle: _Bundle,
    vkey: _Vkey,
    policy: _Policy = None,
    root: _Root = None,
    statements: _Statements = None,
    seen: _Seen = None,
    tsa_cert: _TsaCert = None,
    processes: _Processes = None,
    as_json: Json = False,
) -> None:
    """Check an export, every file of it, or a proof. Needs no network and no hub."""
    from audit.archive import is_archive

    _refuse_own(bundle, vkey, root, policy)
    trust, quorum, authorities = _trust(vkey, root), read_policy(policy), read_tsa_cert(tsa_cert)
    if bundle.is_file() and is_archive(bundle):
        _refuse_extras(seen, authorities, "a removal proof")
        _check_archive(bundle, trust, quorum, as_json)
    elif bundle.is_file():
        _refuse_extras(seen, authorities, "a proof")
        verify_proof(bundle, trust, statements, quorum, as_json)
    else:
        work = _Work(seen, _read_seen(seen or []), processes)
        _check_folder(bundle, trust, quorum, authorities, work, as_json)


def _check_folder(
    bundle: Path,
    trust: "Trust",
    quorum: "Policy | None",
    authorities: "Authorities | None",
    work: "_Work",
    json: bool,
) -> None:
    from audit.files import Folder
    from audit.removal_file import is_removal
    from audit.trail import is_trail

    if not bundle.is_dir():
        detail = f"{bundle} is {'neither a file nor a folder' if bundle.exists() else 'not there'}"
        hint = "name the exported folder, or the file of a proof"
        raise CallFailedError(detail, code="bundle", hint=hint, usage=True)
    with _verdict(json):
        if is_removal(Folder(bundle)):
            _refuse_extras(work.asked, authorities, "a removal proof")
            check_removal(Folder(bundle), trust, quorum, json)
        elif is_trail(Folder(bundle)):
            _refuse_extras(work.asked, authorities, "a trail")
            check_trail(bundle, trust, lambda found: _witnessed(found, quorum), json)
        else:
            _check_whole(bundle, trust, quorum, authorities, work, json)


def _check_archive(path: Path, trust: "Trust", policy: "Policy | None", as_json: bool) -> None:
    from audit.removal_file import is_removal

    archive = open_archive(path)
    if not is_removal(archive):
        hint = "unpack an export, and name the folder"
        raise CallFailedError(f"{path} holds no removal proof", code="bundle", hint=hint, usage=True)
    with _verdict(as_json):
        check_removal(archive, trust, policy, as_json)


@dataclass(frozen=True, slots=True)
class _Work:
    """What an export is held against, as it was ``asked`` and read, and by how many processes."""

    asked: list[Path] | None
    seen: dict[str, bytes]
    processes: int | None


@contextmanager
def _verdict(as_json: bool) -> Iterator[None]:
    """Say that the export is not valid, where that is found.

    Raises:
        typer.Exit: 1, it is not.
    """
    from audit.parts import VerificationError

    try:
        yield
    except VerificationError as error:
        if as_json:
            write_json({"valid": False, "check": error.check, "where": error.where, "detail": error.detail})
        else:
            say(f"  ✗ {error.where or error.check}  {error.detail}")
            say(f"INVALID: {error.meaning}.")
        raise typer.Exit(1) from None
    except ChildProcessError as error:
        hint = "verify again, with --processes 1 if it does not help"
        raise CallFailedError(f"not verified: {error.strerror}", code="processes", hint=hint) from None


def _check_whole(  # what the command was told
    bundle: Path, trust: "Trust", policy: "Policy | None", authorities: "Authorities | None", work: _Work, as_json: bool
) -> None:
    from audit.offline import verify_folder
    from audit.stamped import verify_timestamps

    with progress_bar("entries") as progress:
        report = verify_folder(
            bundle, trust.keys, root=trust.root, seen=work.seen, processes=work.processes, progress=progress
        )
    witnesses = _witnessed(report, policy)
    authority = None if authorities is None else verify_timestamps(report.timestamps, authorities)
    _tell(report, bundle, witnesses, authority, as_json)


def _refuse_own(bundle: Path, *paths: Path | None) -> None:
    from audit.files import refuse_own
    from audit.note import NoteError

    try:
        refuse_own(bundle, paths)
    except NoteError as error:
        hint = "name the log.vkey that you got by another way than the export"
        raise CallFailedError(str(error), code="vkey", hint=hint, usage=True) from None


def _trust(vkey: Path, root: Path | None) -> "Trust":
    from audit.proof_check import Trust

    return Trust(_read_keys(vkey), None if root is None else _read_keys(root)[0])


def _refuse_extras(seen: list[Path] | None, authorities: "Authorities | None", what: str) -> None:
    if seen or authorities is not None:
        detail = f"--seen and --tsa-cert go with an export of the whole log, not with {what}"
        raise CallFailedError(detail, code="usage", usage=True)


def _read_seen(paths: list[Path]) -> dict[str, bytes]:
    try:
        return {str(path): path.read_bytes() for path in paths}
    except OSError as error:
        hint = "name files with checkpoints, such as the file checkpoint of an older export"
        raise CallFailedError(f"{error.filename}: {error.strerror}", code="seen", hint=hint, usage=True) from None


def _read_keys(path: Path) -> "list[VerifierKey]":
    from audit.files import read_vkeys
    from audit.note import NoteError

    try:
        return read_vkeys(path)
    except (OSError, NoteError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallFailedError(
            f"{path} is not a log's public key: {reason}",
            code="vkey",
            hint="name the log.vkey that you got when the hub was set up; on its own machine it is .conclave/log.vkey",
            usage=True,
        ) from None


def _tell(
    report: "Report", bundle: Path, witnesses: list[str] | None, authority: list[str] | None, as_json: bool
) -> None:
    """Say what a valid export holds; ``witnesses``, ``authority`` are ``None`` where no policy or TSA was named."""
    from audit.manifest import GUIDE
    from audit.stamped import describe
    from config.clock import iso

    root, newest = base64.b64encode(report.checkpoint.root).decode(), iso(report.last_at or 0)
    if as_json:
        _write(report, root, newest, witnesses, authority)
        return
    say(f"  ✓ checkpoint      signed by {report.key.name}: root {root}")
    for line in report.key_changes:
        say(f"  ✓ keys            {line}")
    if witnesses is not None:
        say(f"  ✓ witnesses       {', '.join(map(printable, witnesses)) or 'none needed'}")
    if report.seen:
        say("  ✓ seen before".ljust(20) + f"the log extends {report.seen} saved checkpoint{'s' * (report.seen > 1)}")
    until = f"{newest[:19].replace('T', ' ')} UTC"
    if report.closed:
        say(f"  ✓ closed          {printable(report.closed)}; its newest entry is of {until}")
    else:
        say(f"  ✓ export          {printable(report.export)}, of everything up to {until}")
    say(f"  ✓ {report.checkpoint.size:,} entries".ljust(20) + "in the log, in order, numbered without a gap")
    if report.timestamps:
        mark = "·" if authority is None else "✓"
        say(f"  {mark} timestamps".ljust(20) + printable(describe(report.timestamps, authority)))
    say("  ✓ disclosures".ljust(20) + f"{report.disclosed} belong to their entries, {report.withheld} withheld")
    say("  ✓ files".ljust(20) + f"{report.files} as they have to be, none missing, none added")
    guide = bundle / GUIDE
    say(f"VALID. The same with tools of others: see {guide}" if guide.exists() else "VALID.")


def _write(report: "Report", root: str, newest: str, witnesses: list[str] | None, authority: list[str] | None) -> None:
    """The same as JSON."""
    from config.clock import iso

    counts = {"size": report.checkpoint.size, "kinds": dict(report.kinds), "files": report.files}
    found = {"root": root, "newest": newest, "export": report.export, "closed": report.closed}
    stamps = [{"size": one.size, "at": iso(one.token.at)} for one in report.timestamps]
    told = {"seen": report.seen, "timestamps": stamps, "timestamps_by": authority, "witnesses": witnesses or []}
    write_json({"valid": True, **counts, **found, **told})


def _witnessed(report: "Report", policy: "Policy | None") -> list[str] | None:
    """Who of the policy's witnesses cosigned the bundle's checkpoint; ``None`` where no policy was named.

    Raises:
        VerificationError: Not enough of them did.
    """
    from audit.keys import verify_signature
    from audit.note import NoteError
    from audit.parts import CHECKPOINT, VerificationError
    from audit.quorum import witnessed

    if policy is None:
        return None
    try:
        return witnessed(report.note, report.keys, policy, verify_signature)
    except NoteError as error:
        meaning = "the log was not seen by those whom you trust, or it shows them another history than you"
        raise VerificationError("witnesses", str(error), where=CHECKPOINT, meaning=meaning) from None
