"""The parts of an exported bundle: the names of its files, how they are read, and what may be wrong with them. Pure."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from audit.note import Checkpoint, VerifierKey
from audit.printable import printable
from audit.sshsig import ssh_public_key

if TYPE_CHECKING:
    from audit.timestamps import Timestamp

MANIFEST = "manifest.json"
MANIFEST_SIGNATURE = "manifest.json.sig"
CHECKPOINT = "checkpoint"
LOG_KEY = "keys/log.vkey"
SIGNERS = "keys/export.allowed_signers"
DISCLOSURES = "disclosures.ndjson"
INDEXES = "indexes.ndjson"
STATEMENTS = "keys/statements.ndjson"
POLICY = "policy.tlog-policy"
NAMESPACE = "conclave-export@v1"
FORMAT = "conclave-bundle/1"


MAX_PART = 256 * (2 + 65_535)
"""The size of the largest file that is read whole: an entry bundle of the largest entries."""
Result = TypeVar("Result")


class Bundle(Protocol):
    """The files of an export."""

    def names(self) -> Iterable[str]:
        """Every file's path, relative, with forward slashes."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of one file that is read whole: any but the disclosures, which can be of any size.

        Raises:
            OSError: It is missing, unreadable, or larger than ``MAX_PART``.
        """
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file of any size, piece by piece.

        Raises:
            OSError: It is missing or unreadable.
        """
        ...


class Scratch(Protocol):
    """A place for what is not to be held in memory; a binary file that is gone when it is no longer used."""

    def write(self, data: bytes, /) -> int:
        """Write at the place where the last call left off."""
        ...

    def read(self, count: int, /) -> bytes:
        """Up to ``count`` bytes from there."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to ``offset``."""
        ...


class Run(Protocol):
    """Does the same work for many tasks, perhaps several at a time; the results come in the order of the tasks."""

    def __call__(self, work: Callable[[int], Result], tasks: Sequence[int]) -> Iterator[Result]:
        """The result of ``work`` for each of ``tasks``."""
        ...


def one_by_one(work: Callable[[int], Result], tasks: Sequence[int]) -> Iterator[Result]:
    """A :class:`Run` in the process that asks."""
    return map(work, tasks)


class VerificationError(Exception):
    """The bundle is not what the log committed to: ``check`` failed at ``where``; ``meaning`` says what that is."""

    def __init__(self, check: str, detail: str, *, where: str = "", meaning: str) -> None:
        where, detail = printable(where), printable(detail)  # a forger chose them
        super().__init__(f"{check}: {f'{where} ' if where else ''}{detail}")
        self.check = check
        self.detail = detail
        self.where = where
        self.meaning = meaning

    def __reduce__(self) -> tuple[Callable[..., "VerificationError"], tuple[str, ...]]:
        """How it comes over from another process."""
        return _error, (self.check, self.detail, self.where, self.meaning)


def _error(check: str, detail: str, where: str, meaning: str) -> VerificationError:
    return VerificationError(check, detail, where=where, meaning=meaning)


CHANGED = "the file was changed after export, or the log's key is not the one you hold"
GAP = "something was kept from the log, or written to it by other hands than the hub's"
MALFORMED = "the log holds a malformed entry"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a valid bundle holds; ``last_at`` is the time of the newest entry, ``export`` the export's own name.

    Where it is no export but a log that was closed, ``closed`` says in words what follows it.
    ``note`` is the checkpoint as it was read, with every signature; ``seen`` counts the caller's own that it extends.
    ``keys`` are those that had to sign it: the caller's, or what came in their place; ``key`` is the first of them.
    ``key_changes`` says in words how the log's keys changed. ``timestamps`` are of this log, and only claimed:
    whether a TSA made them, ``audit.tsa`` tells.
    """

    checkpoint: Checkpoint
    key: VerifierKey
    keys: tuple[VerifierKey, ...] = ()
    key_changes: list[str] = field(default_factory=list)
    note: bytes = b""
    export: str = ""
    closed: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    last_at: int | None = None
    files: int = 0
    disclosed: int = 0
    withheld: int = 0
    seen: int = 0
    timestamps: list["Timestamp"] = field(default_factory=list)


def read_part(bundle: Bundle, name: str, check: str) -> bytes:
    """The bytes of one file, which ``check`` needs.

    Raises:
        VerificationError: It is missing or unreadable.
    """
    try:
        return bundle.read(name)
    except OSError as error:
        raise _unreadable(name, check, error) from None


def read_chunks(bundle: Bundle, name: str, check: str) -> Iterator[bytes]:
    """The bytes of one file of any size, which ``check`` needs.

    Raises:
        VerificationError: It is missing or unreadable.
    """
    try:
        yield from bundle.chunks(name)
    except OSError as error:
        raise _unreadable(name, check, error) from None


def _unreadable(name: str, check: str, error: OSError) -> VerificationError:
    reason = error.strerror or str(error)
    meaning = "a file is missing" if isinstance(error, FileNotFoundError) else "a file cannot be read here"
    return VerificationError(check, f"cannot read it: {reason}", where=name, meaning=meaning)


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
