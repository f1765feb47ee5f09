"""Closing a log whose end was lost, at the signer: its keys and its memory give way to those of the next log."""

from dataclasses import replace

from audit.heads import read_head
from audit.keys import verify_signature
from audit.note import Checkpoint, NoteError
from audit.succession import SUCCEED, KeyStatement, check_succession, next_origin, open_statement
from bridge.signer.folder import SignerFolder
from bridge.signer.statements import KeyStatementError, kept_statement, signed_statement
from config.clock import SECOND, Clock, system_clock
from config.errors import ConflictError


def prepare_succession(folder: SignerFolder, restored: Checkpoint, clock: Clock = system_clock) -> bytes:
    """Make the keys of the log that follows this one, of which ``restored`` is what is left, and the request.

    Raises:
        ConflictError: Nothing was lost, or the log has no root key.
        KeyFileError: A key cannot be made.
    """
    known, signed = folder.log_keys(), read_head(folder.memory)
    if known.root is None:
        raise ConflictError("this log has no root key", hint="see docs/keys.md")
    if restored.origin != known.origin:
        raise ConflictError(f"the database has the log {restored.origin}, and this key is of {known.origin}")
    if restored.size >= signed.size:
        raise ConflictError(
            f"the database has {restored.size:,} signed entries, and {signed.size:,} were signed: nothing was lost",
            hint="start the hub; it signs by itself",
        )
    origin = next_origin(known.origin, known.root)
    fresh = [folder.next_key(replace(key, name=origin)) for key in known.current]
    statement = KeyStatement(
        act=SUCCEED,
        origin=known.origin,
        number=known.number + 1,
        at=clock() // SECOND,
        old=known.current,
        new=tuple(key.public for key in fresh),
        root=known.root,
        signed=Checkpoint(origin=known.origin, size=signed.size, root=signed.root),
        restored=restored,
    )
    return signed_statement(statement, fresh[0])


def apply_succession(folder: SignerFolder, note: bytes, clock: Clock = system_clock) -> KeyStatement:
    """Give up this log's key and memory for those of the log that follows it, as the root signed.

    Raises:
        KeyStatementError: It is not the next statement about these keys and what they signed last.
        KeyFileError: The keys that it names are not here.
    """
    if note in folder.notes()[-1:]:
        folder.promote(clock)
        return kept_statement(note)
    known, head = folder.log_keys(), read_head(folder.memory)
    try:
        statement = open_statement(note, verify_signature)
        check_succession(statement)
        if statement.act != SUCCEED or (statement.number, statement.old) != (known.number + 1, known.current):
            raise NoteError("it is not the next statement about this log")
        if statement.root != known.root:
            raise NoteError("it is signed by another root key than the log's")
        if statement.signed != Checkpoint(origin=known.origin, size=head.size, root=head.root):
            raise NoteError("it does not name what this signer signed last")
    except NoteError as error:
        raise KeyStatementError(f"the statement cannot be applied: {error}", hint="see docs/keys.md") from None
    folder.expect_next(statement.new)
    folder.keep(note)
    folder.promote(clock)
    return statement
