"""How a log's keys come and go: statements, signed by the key before and by an offline root key. Pure and alone.

A statement is a signed note (C2SP signed-note) whose text has a first line of its own, which no checkpoint has, and
then lines ``name value`` in a fixed order; ``docs/keys.md`` has the format. Each names the log, and has a number: the
first statement of a log is 1, so that none can be used twice, left out, or brought from another log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.note import (
    ED25519,
    LOG_ALGORITHMS,
    ML_DSA_44,
    Checkpoint,
    NoteError,
    VerifierKey,
    Verify,
    open_note,
    split_note,
)

HEADER = "conclave-log-keys@v1"
ROTATE, RECOVER, ADD, ADOPT, SUCCEED = "rotate", "recover", "add", "adopt-root", "succeed"
MAX_OVERLAP_S = 366 * 86_400
ROOT_SUFFIX = "/root"
KINDS = {ROTATE: "key.rotated", RECOVER: "key.rotated", ADD: "key.added", ADOPT: "root.adopted"}
"""The kind of entry that brings each act into the log; a succession is in the first entry of the log that follows."""
KEY_KINDS = frozenset(KINDS.values())
MEMBERS = {ED25519: "log_key", ML_DSA_44: "post_quantum_key"}
"""What an entry calls a key of the log."""

_MEMBERS = {
    ROTATE: ("old", "new", "root", "until"),
    RECOVER: ("old", "new", "root"),
    ADD: ("old", "new"),
    ADOPT: ("old", "root"),
    SUCCEED: ("old", "new", "root", "signed", "restored"),
}
_SIGNERS = {
    ROTATE: ("old", "new", "root"),
    RECOVER: ("new", "root"),
    ADD: ("old",),
    ADOPT: ("old", "root"),
    SUCCEED: ("new", "root"),
}
_WHO = {"old": "the key before", "new": "the new key", "root": "the root key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatement:
    """That the keys ``new`` take the place of ``old``, stand beside them, or that ``root`` is the log's root key.

    ``at`` and ``until``, the end of the overlap, are in seconds. A succession also has two heads of the log
    ``origin``: the last one that was ``signed``, and the one at which the database was ``restored``.
    """

    act: str
    origin: str
    number: int
    at: int
    old: tuple[VerifierKey, ...] = ()
    new: tuple[VerifierKey, ...] = ()
    root: VerifierKey | None = None
    until: int = 0
    signed: Checkpoint | None = None
    restored: Checkpoint | None = None

    def text(self) -> str:
        """The text that is signed."""
        lines = [HEADER, f"act {self.act}", f"origin {self.origin}", f"number {self.number}", f"at {self.at}"]
        for name in _MEMBERS[self.act]:
            lines += [f"{name} {value}" for value in self._values(name)]
        return "".join(f"{line}\n" for line in lines)

    def _values(self, name: str) -> list[str]:
        value = getattr(self, name)
        if isinstance(value, Checkpoint):
            return [" ".join(value.text().split("\n")[1:3])]
        return [str(one) for one in (value if isinstance(value, tuple) else (value,))]

    @classmethod
    def parse(cls, text: str) -> "KeyStatement":
        """The statement in ``text``.

        Raises:
            NoteError: It has another form.
        """
        header, *lines = text.removesuffix("\n").split("\n")
        if header != HEADER:
            raise NoteError(f"a statement about a log's keys begins with {HEADER}")
        found: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(" ")
            found.setdefault(name, []).append(value)
        try:
            statement = cls._of(found)
            if statement.text() != text:
                raise ValueError("its lines are not in order, or one is too many")
        except (KeyError, ValueError) as error:
            raise NoteError(f"the statement about the log's keys does not have its form: {error}") from None
        return statement

    @classmethod
    def _of(cls, found: Mapping[str, list[str]]) -> "KeyStatement":
        act, origin = found["act"][0], found["origin"][0]
        if act not in _MEMBERS:
            raise ValueError(f"{act:.40} is not an act")
        vkeys = {
            name: tuple(VerifierKey.parse(one, algorithm=LOG_ALGORITHMS) for one in found.get(name, ()))
            for name in ("old", "new")
        }
        heads = {name: _head(origin, found[name][0]) for name in ("signed", "restored") if name in found}
        return cls(
            act=act,
            origin=origin,
            number=_number(found["number"][0]),
            at=_number(found["at"][0]),
            old=vkeys["old"],
            new=vkeys["new"],
            root=VerifierKey.parse(found["root"][0]) if "root" in found else None,
            until=_number(found["until"][0]) if "until" in found else 0,
            signed=heads.get("signed"),
            restored=heads.get("restored"),
        )

    @property
    def successor(self) -> str:
        """The origin of the log whose keys the new ones are."""
        return self.new[0].name if self.act == SUCCEED else self.origin

    def signers(self) -> dict[str, VerifierKey]:
        """Whose signatures the statement needs, by what they are in it.

        Raises:
            NoteError: It does not name them.
        """
        found: dict[str, VerifierKey] = {}
        for name in _SIGNERS[self.act]:
            key = self.root if name == "root" else first(getattr(self, name))
            if key is None:
                raise NoteError(f"the statement names no Ed25519 key in the place of {_WHO[name]}")
            found[name] = key
        return found


def _head(origin: str, value: str) -> Checkpoint:
    return Checkpoint.parse(f"{origin}\n" + value.replace(" ", "\n", 1) + "\n")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16 and str(int(text)) == text):
        raise ValueError(f"{text:.20} is no number")
    return int(text)


def first(keys: Iterable[VerifierKey]) -> VerifierKey | None:
    """The Ed25519 key among ``keys``: the one that signs statements."""
    return next((key for key in keys if key.algorithm == ED25519), None)


def open_statement(note: bytes, verify: Verify) -> KeyStatement:
    """The statement in ``note``, when everybody signed it whose signature such a statement needs.

    Raises:
        NoteError: It is malformed, or a signature is missing or does not hold; the text says whose.
    """
    statement = KeyStatement.parse(split_note(note)[0])
    for name, key in statement.signers().items():
        try:
            open_note(note, key, verify)
        except NoteError as error:
            raise NoteError(f"the statement about the log's keys is not signed by {_WHO[name]}: {error}") from None
    return statement


def statement_data(note: str) -> dict[str, str]:
    """What the entry that brings the statement ``note`` into the log says: the statement, and its keys for readers.

    Raises:
        NoteError: It is no statement.
    """
    statement = KeyStatement.parse(split_note(note.encode())[0])
    data = {"act": statement.act, "statement": note}
    data |= {MEMBERS[key.algorithm]: str(key) for key in statement.new}
    return data if statement.root is None else {**data, "root_key": str(statement.root)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """The keys of a log after ``number`` statements: who signs it now, who did before, and its root key."""

    origin: str
    current: tuple[VerifierKey, ...]
    root: VerifierKey | None = None
    retired: tuple[VerifierKey, ...] = ()
    number: int = 0

    @classmethod
    def opened(cls, data: Mapping[str, Any], verify: Verify) -> "LogKeys":
        """The keys that the ``data`` of a log's first entry name.

        Raises:
            NoteError: They are malformed or of another log, or the log follows another without its root's word.
        """
        origin = str(data.get("origin"))
        names = [name for name in MEMBERS.values() if name in data]
        current = tuple(VerifierKey.parse(str(data[name]), algorithm=LOG_ALGORITHMS) for name in names)
        root = VerifierKey.parse(str(data["root_key"])) if "root_key" in data else None
        keys = cls(origin=origin, current=current, root=root)
        if [key.algorithm for key in current] != list(MEMBERS)[: len(current)] or not current:
            raise NoteError("the log's first entry does not name its keys")
        if any(key.name != origin for key in current):
            raise NoteError("the log's first entry names keys of another log")
        if "succession" in data:
            keys._check_succession(str(data["succession"]).encode(), verify)
        elif root is not None:
            check_root(root, origin, current)
        return keys

    def _check_succession(self, note: bytes, verify: Verify) -> None:
        statement = open_statement(note, verify)
        if statement.act != SUCCEED or statement.new != self.current or statement.root != self.root:
            raise NoteError("the statement in the first entry is not about this log")
        check_succession(statement)

    def after(self, note: bytes, verify: Verify) -> "LogKeys":
        """The keys after the statement ``note`` too.

        Raises:
            NoteError: It is not a statement about this log as it stands, not its root's word, or not signed.
        """
        statement = KeyStatement.parse(split_note(note)[0])
        if statement.origin != self.origin:
            raise NoteError(f"the statement is about the log {statement.origin}, not about {self.origin}")
        if statement.number != self.number + 1:
            raise NoteError(f"the statement is number {statement.number} of this log, expected {self.number + 1}")
        if statement.old != self.current:
            raise NoteError("the statement is about other keys than those that the log has")
        open_statement(note, verify)
        if statement.act == ADOPT:
            return self._adopted(statement)
        changed = self._added(statement) if statement.act == ADD else self._replaced(statement)
        return replace(changed, number=statement.number)

    def _adopted(self, statement: KeyStatement) -> "LogKeys":
        if self.root is not None or statement.root is None:
            raise NoteError("the log has a root key already; there is no statement that replaces it")
        check_root(statement.root, self.origin, self.current)
        return replace(self, root=statement.root, number=statement.number)

    def _added(self, statement: KeyStatement) -> "LogKeys":
        if [key.algorithm for key in self.current] != [ED25519]:
            raise NoteError("the log has an ML-DSA-44 key already")
        if [key.algorithm for key in statement.new] != [ML_DSA_44] or statement.new[0].name != self.origin:
            raise NoteError("the statement adds a key that is not an ML-DSA-44 key of this log")
        return replace(self, current=(*self.current, *statement.new))

    def _replaced(self, statement: KeyStatement) -> "LogKeys":
        if self.root is None:
            raise NoteError("the log names no root key, without which its keys cannot be replaced")
        if statement.root != self.root:
            raise NoteError("the statement is signed by another root key than the log's")
        if statement.act not in (ROTATE, RECOVER):
            raise NoteError("the statement does not replace keys of a log that goes on")
        if [key.algorithm for key in statement.new] != [key.algorithm for key in self.current]:
            raise NoteError("the new keys are not of the same algorithms as the old ones")
        if any(key.name != self.origin for key in statement.new):
            raise NoteError("the new keys are of another log")
        before = {key.public_key for key in (*self.current, *self.retired, self.root)}
        if before & {key.public_key for key in statement.new}:
            raise NoteError("a new key is one that this log had before, or its root key: such a key does not come back")
        if statement.act == ROTATE and not 0 <= statement.until - statement.at <= MAX_OVERLAP_S:
            raise NoteError(f"the overlap of old and new key is not between 0 and {MAX_OVERLAP_S // 86_400} days")
        return replace(self, current=statement.new, retired=(*self.retired, *self.current))


def check_root(root: VerifierKey, origin: str, others: Sequence[VerifierKey]) -> None:
    """Return when ``root`` can be the root key of the log ``origin``.

    Raises:
        NoteError: It is a key for another purpose.
    """
    if root.name != f"{origin}{ROOT_SUFFIX}" or root.algorithm != ED25519:
        raise NoteError(f"{root.name} is not the name of this log's root key, which is {origin}{ROOT_SUFFIX}")
    if root.public_key in {key.public_key for key in others}:
        raise NoteError("the root key is one of the log's own keys")


def next_origin(origin: str, root: VerifierKey) -> str:
    """The origin of the log that follows ``origin``: the first one's, with ``/2``, ``/3`` … behind it.

    Raises:
        NoteError: ``origin`` is not a log of that root.
    """
    base = root.name.removesuffix(ROOT_SUFFIX)
    number = origin.removeprefix(f"{base}/") if origin != base else "1"
    if not (number.isascii() and number.isdigit() and len(number) < 6 and str(int(number)) == number):
        raise NoteError("the log and the root key that the statement names do not belong together")
    return f"{base}/{int(number) + 1}"


def check_succession(statement: KeyStatement) -> None:
    """Return when the statement says which log its new keys' log follows, and what of that was lost.

    Raises:
        NoteError: It does not, or its names do not belong together.
    """
    signed, restored = statement.signed, statement.restored
    if signed is None or restored is None or statement.root is None or not statement.old:
        raise NoteError("the statement does not say which log it follows, and where that ended")
    if not statement.root.name.endswith(ROOT_SUFFIX) or statement.successor != next_origin(
        statement.origin, statement.root
    ):
        raise NoteError("the logs and the root key that the statement names do not belong together")
    if restored.size >= signed.size:
        raise NoteError("the statement does not say that entries were lost: a log is closed for nothing else")
    if statement.successor == statement.origin or any(key.name != statement.origin for key in statement.old):
        raise NoteError("the statement names the same log twice, or keys of another")
    if {key.public_key for key in statement.new} & {key.public_key for key in (*statement.old, statement.root)}:
        raise NoteError("the new log has a key of the old one")


def follow(
    held: Sequence[VerifierKey], notes: Sequence[bytes], root: VerifierKey | None, verify: Verify
) -> tuple[VerifierKey, ...]:
    """The keys that must have signed now, for who holds the keys ``held``: theirs, or those that took their place.

    ``root`` is the log's root key, where the caller holds it; else each statement's own is believed, as far as the
    signature of the key that is held goes with it.

    Raises:
        NoteError: A statement is not signed by whom it must, or the way from a key that is held goes over the root's
            word alone.
    """
    keys = list(held)
    for note in notes:
        statement = open_statement(note, verify)
        if root is not None and statement.root is not None and statement.root != root:
            raise NoteError("a statement about the log's keys is signed by another root key than the one you hold")
        successors = list(keys)
        for at, key in enumerate(keys):
            if key not in statement.old or statement.act in (ADD, ADOPT):
                continue
            if root is None and (statement.act != ROTATE or first(statement.old) not in keys):
                raise NoteError(
                    f"no key that you hold signed the statement that replaced yours ({statement.act}, number"
                    f" {statement.number}); the log's root key did, so that key is needed too: --root"
                )
            successor = next((new for new in statement.new if new.algorithm == key.algorithm), None)
            if successor is None:
                raise NoteError("a statement names no key in the place of one that you hold")
            successors[at] = successor
        keys = successors
    return tuple(dict.fromkeys(keys))
