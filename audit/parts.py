"""The parts of an exported bundle: the names of its files, how they are read, and what may be wrong with them. Pure."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from audit.note import Checkpoint, VerifierKey
from audit.printable import printable
from audit.sshsig import ssh_public_key

MANIFEST = "manifest.json"
MANIFEST_SIGNATURE = "manifest.json.sig"
CHECKPOINT = "checkpoint"
LOG_KEY = "keys/log.vkey"
SIGNERS = "keys/export.allowed_signers"
DISCLOSURES = "disclosures.ndjson"
INDEXES = "indexes.ndjson"
NAMESPACE = "conclave-export@v1"
FORMAT = "conclave-bundle/1"


class Bundle(Protocol):
    """The files of an export."""

    def names(self) -> set[str]:
        """Every file's path, relative, with forward slashes."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing or unreadable.
        """
        ...


class VerificationError(Exception):
    """The bundle is not what the log committed to: ``check`` failed at ``where``; ``meaning`` says what that is."""

    def __init__(self, check: str, detail: str, *, where: str = "", meaning: str) -> None:
        where, detail = printable(where), printable(detail)  # a forger chose them
        super().__init__(f"{check}: {f'{where} ' if where else ''}{detail}")
        self.check = check
        self.detail = detail
        self.where = where
        self.meaning = meaning


CHANGED = "the file was changed after export, or the log's key is not the one you hold"
GAP = "something was kept from the log, or written to it by other hands than the hub's"
MALFORMED = "the log holds a malformed entry"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a valid bundle holds; ``last_at`` is the time of the newest entry, ``export`` the export's own name.

    ``note`` is the checkpoint as it was read, with every signature.
    """

    checkpoint: Checkpoint
    key: VerifierKey
    note: bytes = b""
    export: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    last_at: int | None = None
    files: int = 0
    disclosed: int = 0
    withheld: int = 0


def read_part(bundle: Bundle, name: str, check: str) -> bytes:
    """The bytes of one file, which ``check`` needs.

    Raises:
        VerificationError: It is missing or unreadable.
    """
    try:
        return bundle.read(name)
    except OSError as error:
        reason = error.strerror or str(error)
        meaning = "a file is missing" if isinstance(error, FileNotFoundError) else "a file cannot be read here"
        raise VerificationError(check, f"cannot read it: {reason}", where=name, meaning=meaning) from None


def signers_line(key: VerifierKey) -> str:
    """The one line of ``keys/export.allowed_signers`` (ssh-keygen(1), "ALLOWED SIGNERS")."""
    return f'{key.name} namespaces="{NAMESPACE}" {ssh_public_key(key.public_key)}\n'


def strict_json(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``, UTF-8, read as every reader must: no name twice, no number that JSON has not.

    Raises:
        ValueError: It is something else.
    """
    value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
