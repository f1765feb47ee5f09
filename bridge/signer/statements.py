"""Requests and statements about a log's keys, as the signer and whoever holds the root key sign them."""

from audit.keys import KeyFileError, SigningKey, verify_signature
from audit.note import NoteError, open_note, sign_line, sign_note, split_note
from audit.succession import KeyStatement
from config.errors import ConclaveError


class KeyStatementError(ConclaveError):
    """A statement about the log's keys cannot be used here."""

    code = "key_statement"


def sign_as_root(note: bytes, root: SigningKey) -> bytes:
    """The request ``note`` with the signature of ``root``, which signs nothing but such statements.

    Raises:
        KeyStatementError: It is no request for this root key, or not signed by those who ask.
    """
    try:
        statement = KeyStatement.parse(split_note(note)[0])
        if statement.root != root.public:
            raise NoteError(f"it is for the root key {statement.root}, and yours is {root.public}")
        signed = note + sign_line(statement.text(), root.public, root).encode()
        for name, key in statement.signers().items():
            try:
                open_note(signed, key, verify_signature)
            except NoteError as error:
                raise NoteError(f"it is not signed by {name}: {error}") from None
    except NoteError as error:
        raise KeyStatementError(f"the root does not sign this: {error}", hint="conclave signer rotate") from None
    return signed


def signed_statement(statement: KeyStatement, first: SigningKey, *more: SigningKey) -> bytes:
    """The statement as a note that these keys signed."""
    text = statement.text()
    note = sign_note(text, first.public, first)
    return note + "".join(sign_line(text, key.public, key) for key in more).encode()


def kept_statement(note: bytes) -> KeyStatement:
    """The statement in a note that was checked before it was kept.

    Raises:
        KeyFileError: It is none.
    """
    try:
        return KeyStatement.parse(split_note(note)[0])
    except NoteError as error:
        raise KeyFileError(f"a file in statements/ is broken: {error}", hint="put it back from a backup") from None
