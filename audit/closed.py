"""A log that was closed after a restore: the statement that closed it stands in the place of a manifest. Pure.

Nobody ordered an export of it, so nobody signed which files there are: there may be those of such a folder and no
others. What each holds follows from the log, but for cosignatures and timestamps, which speak for themselves.
"""

from audit.manifest import check_key_files, is_tile
from audit.note import NoteError, VerifierKey, Verify
from audit.parts import (
    CHECKPOINT,
    DISCLOSURES,
    INDEXES,
    LOG_KEY,
    MANIFEST,
    SIGNERS,
    STATEMENTS,
    Bundle,
    Report,
    VerificationError,
    read_part,
)
from audit.seen import check_seen
from audit.succession import SUCCEED, KeyStatement, LogKeys, check_succession, open_statement
from audit.timestamps import FOLDER
from audit.walk import Walk

SUCCESSION = "succession.note"
COSIGNED = "checkpoint.cosigned"
"""The newest checkpoint that enough witnesses cosigned; the log may have had more signed entries than that."""
WRONG = "the folder is not of the log that was closed, or somebody closed it who may not"
_KNOWN = {SUCCESSION, CHECKPOINT, COSIGNED, LOG_KEY, SIGNERS, DISCLOSURES, INDEXES, STATEMENTS}


def is_closed(bundle: Bundle) -> bool:
    """Whether ``bundle`` is a closed log: it has the statement that closed one, and no manifest."""
    try:
        names = set(bundle.names())
    except OSError:
        return False
    return SUCCESSION in names and MANIFEST not in names


def check_closed(bundle: Bundle, report: Report, walk: Walk, log_keys: LogKeys, verify: Verify) -> None:
    """Check that the root closed this very log at this very head, and that every file is one of it.

    Raises:
        VerificationError: A check failed.
    """
    note = read_part(bundle, SUCCESSION, "closed")
    try:
        statement = open_statement(note, verify)
        if statement.act != SUCCEED:
            raise NoteError("the statement closes no log")
        check_succession(statement)
        _check_log(statement, report, log_keys)
        export_key = VerifierKey.parse(str(walk.first["data"]["export_key"]))
    except (NoteError, KeyError, ValueError) as error:
        raise VerificationError("closed", str(error), where=SUCCESSION, meaning=WRONG) from None
    report.files = _check_names(bundle, report.checkpoint.size)
    check_key_files(bundle, log_keys, export_key)
    if COSIGNED in set(bundle.names()):
        keys = (*log_keys.current, *log_keys.retired)
        check_seen(bundle, report.checkpoint, {COSIGNED: read_part(bundle, COSIGNED, "seen")}, keys, verify)
    report.closed = _line(statement)


def _line(statement: KeyStatement) -> str:
    lost = statement.signed.size if statement.signed else 0
    kept = statement.restored.size if statement.restored else 0
    return f"{statement.successor} follows it, on the root key's word; entries {kept:,} to {lost - 1:,} were lost"


def _check_log(statement: KeyStatement, report: Report, log_keys: LogKeys) -> None:
    """Return when the statement is about the log that was read.

    Raises:
        NoteError: It is about another, or about another state of it.
    """
    if statement.origin != report.checkpoint.origin or statement.old != log_keys.current:
        raise NoteError("the statement closes another log, or one with other keys")
    if statement.root != log_keys.root:
        raise NoteError("the statement is signed by another root key than the log names")
    if statement.restored != report.checkpoint:
        raise NoteError("the statement closes the log at another head than the folder's checkpoint")


def _check_names(bundle: Bundle, size: int) -> int:
    """How many files there are, none but those of a log of ``size`` entries; each that has to be there is read."""
    names = set(bundle.names())
    extra = sorted(name for name in names - _KNOWN if not name.startswith(FOLDER) and not is_tile(name, size))
    if extra:
        raise VerificationError("files", "is no part of a closed log", where=extra[0], meaning="a file was added")
    return len(names)
