"""What a signer keeps: the log's keys, what it signed last, and the statements by which its keys came and went.

In ``keys/`` of the state directory where the hub signs itself, else in the signer's own folder. A statement that is on
disk counts; the key files follow it, at the next opening if need be.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit.files import parse_vkeys, read_vkeys
from audit.heads import write_head
from audit.keys import (
    KeyFileError,
    SigningKey,
    create_key,
    read_key,
    sync_directory,
    verify_signature,
    write_whole,
)
from audit.note import (
    ED25519,
    ML_DSA_44,
    NoteError,
    VerifierKey,
)
from audit.signer import NOTHING, FurtherKey, LocalSigner
from audit.succession import (
    ADD,
    ADOPT,
    RECOVER,
    ROOT_SUFFIX,
    ROTATE,
    SUCCEED,
    KeyStatement,
    LogKeys,
)
from bridge.signer.statements import KeyStatementError, kept_statement, signed_statement
from config.clock import SECOND, Clock, system_clock
from config.errors import ConflictError

FILES = {ED25519: "log", ML_DSA_44: "log-mldsa44"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """What a signer tells of its keys: who signs now, the Ed25519 key first; the root; the log's statements, in order.

    ``succession`` is the statement that made the log the successor of another.
    """

    current: tuple[VerifierKey, ...]
    root: VerifierKey | None = None
    statements: tuple[bytes, ...] = ()
    succession: bytes | None = None


@dataclass(frozen=True, slots=True)
class SignerFolder:
    """The folder ``root``, and ``vkey``, the file with the public keys.

    ``log.key``, ``log-mldsa44.key``, ``signer.json``, ``root.vkey``, ``root.key`` until it is taken away,
    ``statements/``; ``.next.key`` and ``.old.key`` while a rotation is under way.
    """

    root: Path
    vkey: Path

    def create(self, origin: str, *, post_quantum: bool) -> None:
        """Make what is missing of a new log's keys; whoever was killed within goes on.

        Raises:
            KeyFileError: A file cannot be written, or is not what it should be.
        """
        if not self.root_vkey.exists():
            self.root_key.unlink(missing_ok=True)  # nobody was told of it yet
            self._create_root(origin)
        for algorithm in (ED25519, ML_DSA_44) if post_quantum else (ED25519,):
            path = self._file(algorithm)
            if not path.exists():
                create_key(path, origin, algorithm=algorithm)
        if not self.memory.exists():
            LocalSigner.initialise(self.memory)
        self._tell()

    def _create_root(self, origin: str) -> SigningKey:
        key = create_key(self.root_key, f"{origin}{ROOT_SUFFIX}")
        write_whole(self.root_vkey, f"{key.public}\n".encode())
        return key

    @property
    def memory(self) -> Path:
        """What was signed last."""
        return self.root / "signer.json"

    @property
    def root_key(self) -> Path:
        """The root key, until the operator takes it away."""
        return self.root / "root.key"

    @property
    def root_vkey(self) -> Path:
        """The root's public key."""
        return self.root / "root.vkey"

    def _file(self, algorithm: int, stage: str = "") -> Path:
        return self.root / f"{FILES[algorithm]}{stage}.key"

    def open(self, clock: Clock = system_clock) -> LocalSigner:
        """The signer with the keys as the statements have them.

        Raises:
            KeyFileError: A key is missing or broken.
            SignerRefusedError: The memory is.
        """
        self.promote(clock)
        keys, (last, until) = self.keys(), self._overlap()
        old = [self._file(algorithm, ".old") for algorithm in FILES] if last else []
        further = [FurtherKey(key=key) for key in keys[1:]]
        further += [FurtherKey(key=_read(path), until=until) for path in old if path.exists()]
        self._tell()
        return LocalSigner(keys[0], self.memory, further=further, clock=clock)

    def keys(self) -> list[SigningKey]:
        """The keys that sign, the Ed25519 key first.

        Raises:
            KeyFileError: One is missing or broken.
        """
        second = self._file(ML_DSA_44)
        wanted = second.exists() or ML_DSA_44 in self._stated()
        with suppress(OSError, NoteError):  # a file that is gone or cut off says nothing, and is written anew
            wanted = wanted or any(key.algorithm == ML_DSA_44 for key in read_vkeys(self.vkey))
        return [_read(self._file(ED25519)), *([_read(second)] if wanted else [])]

    def known(self) -> KnownKeys:
        """What others are told of the keys.

        Raises:
            KeyFileError: A key is missing or broken.
        """
        current = tuple(key.public for key in self.keys())
        return KnownKeys(
            current=current,
            root=self.root_public(),
            statements=tuple(self.statements()),
            succession=self.succession(),
        )

    def root_public(self) -> VerifierKey | None:
        """The root's public key, where the log has one.

        Raises:
            KeyFileError: The file is broken.
        """
        adopted = [one.root for one in map(kept_statement, self.notes()) if one.act == ADOPT]
        if adopted:
            return adopted[0]
        try:
            return VerifierKey.parse(self.root_vkey.read_text()) if self.root_vkey.exists() else None
        except NoteError as error:
            raise KeyFileError(f"{self.root_vkey} is no public key: {error}") from None

    def statements(self) -> list[bytes]:
        """The statements about the log that were applied here, in order; not those about the logs before it."""
        notes = self.notes()
        acts = [kept_statement(note).act for note in notes]
        return notes[len(acts) - acts[::-1].index(SUCCEED) :] if SUCCEED in acts else notes

    def succession(self) -> bytes | None:
        """The statement that made this log the successor of another, where one did."""
        return next((note for note in reversed(self.notes()) if kept_statement(note).act == SUCCEED), None)

    def notes(self) -> list[bytes]:
        """Every statement that was ever applied here, in order."""
        return [path.read_bytes() for path in sorted((self.root / "statements").glob("*.note"))]

    def _stated(self) -> dict[int, tuple[VerifierKey, str]]:
        """By algorithm the key that the last statement about it names, and that statement's act."""
        found = {}
        for note in self.notes():
            statement = kept_statement(note)
            found.update({key.algorithm: (key, statement.act) for key in statement.new})
        return found

    def _overlap(self) -> tuple[str, int]:
        """The act that replaced the key last, and until when, in seconds, the old one signs too."""
        replaced = [one for one in map(kept_statement, self.notes()) if one.act in (ROTATE, RECOVER, SUCCEED)]
        return (replaced[-1].act, replaced[-1].until) if replaced else ("", 0)

    def promote(self, clock: Clock = system_clock) -> None:
        """Bring the key files to where the statements are; old keys are destroyed when their overlap is over.

        Raises:
            KeyFileError: The key that a statement names is not here.
        """
        for algorithm, (key, act) in self._stated().items():
            self._promote(algorithm, key, keep=act == ROTATE)
        if not self.notes():
            return
        self._begin_memory()
        act, until = self._overlap()
        if act != ROTATE or until <= clock() // SECOND:
            for algorithm in FILES:
                self._file(algorithm, ".old").unlink(missing_ok=True)
        root = self.root_public()
        if root is not None and not self.root_vkey.exists():
            write_whole(self.root_vkey, f"{root}\n".encode())
        self._tell()

    def _promote(self, algorithm: int, key: VerifierKey, *, keep: bool) -> None:
        path, fresh, old = self._file(algorithm), self._file(algorithm, ".next"), self._file(algorithm, ".old")
        if _is(path, key):
            return
        if not _is(fresh, key):
            raise KeyFileError(
                f"neither {path} nor {fresh} is the key that the last statement names", hint="put it back from a backup"
            )
        if keep and path.exists():
            os.replace(path, old)
        os.replace(fresh, path)
        sync_directory(self.root)

    def _tell(self) -> None:
        """Write the public keys out."""
        text = "".join(f"{key.public}\n" for key in self.keys())
        if not self.vkey.exists() or self.vkey.read_bytes() != text.encode():
            write_whole(self.vkey, text.encode())

    def log_keys(self) -> LogKeys:
        """The log's keys as far as this folder knows them: what it was told, its root, its statements.

        Raises:
            KeyFileError: They are missing or broken.
        """
        told, stated = {}, self._stated()
        if not self.vkey.exists():
            told = {key.public.algorithm: key.public for key in self.keys()}
        else:
            try:
                told = {key.algorithm: key for key in parse_vkeys(self.vkey.read_text())}
            except NoteError as error:
                raise KeyFileError(f"{self.vkey} does not hold the log's public keys: {error}") from None
        told |= {algorithm: key for algorithm, (key, _) in stated.items()}
        retired = {key for note in self.notes() for key in kept_statement(note).old} - set(told.values())
        return LogKeys(
            origin=told[ED25519].name,
            current=tuple(told[algorithm] for algorithm in sorted(told)),
            root=self.root_public(),
            retired=tuple(retired),
            number=len(self.statements()),
        )

    def prepare(self, *, recover: bool, overlap_days: int, clock: Clock = system_clock) -> bytes:
        """Make the next keys, and the request that the root is to sign; asked again, for the same keys.

        Raises:
            ConflictError: The overlap of the last rotation still goes on, or the log has no root key.
            KeyFileError: A key is missing, broken or cannot be made.
        """
        if not recover:
            self.promote(clock)
        known, now = self.log_keys(), clock() // SECOND
        if known.root is None:
            raise ConflictError(
                "this log has no root key, and nothing but a root key can name the next one",
                hint="conclave signer root create",
            )
        if not recover and any(self._file(algorithm, ".old").exists() for algorithm in FILES):
            raise ConflictError("the overlap of the last rotation still goes on", hint="rotate again after its end")
        fresh = [self.next_key(key) for key in known.current]
        statement = KeyStatement(
            act=RECOVER if recover else ROTATE,
            origin=known.origin,
            number=known.number + 1,
            at=now,
            old=known.current,
            new=tuple(key.public for key in fresh),
            root=known.root,
            until=0 if recover else now + overlap_days * 86_400,
        )
        return signed_statement(statement, *([] if recover else [_read(self._file(ED25519))]), fresh[0])

    def next_key(self, key: VerifierKey) -> SigningKey:
        """The key that is to take the place of ``key``, with the name of that; asked again, the same."""
        path = self._file(key.algorithm, ".next")
        if path.exists() and _read(path).name != key.name:
            path.unlink()  # of a request that was not applied: nothing was signed with it
        return _read(path) if path.exists() else create_key(path, key.name, algorithm=key.algorithm)

    def apply(self, note: bytes, clock: Clock = system_clock) -> KeyStatement:
        """Take the next keys into use, as the statement ``note`` that the root signed says.

        Raises:
            KeyStatementError: It is not the next statement about these keys, or not signed by whom it must.
            KeyFileError: The keys that it names are not here.
        """
        if note in self.statements()[-1:]:
            self.promote(clock)
            return kept_statement(note)
        try:
            after = self.log_keys().after(note, verify_signature)
        except NoteError as error:
            raise KeyStatementError(f"the statement cannot be applied: {error}", hint="see docs/keys.md") from None
        self.expect_next(after.current)
        self.keep(note)
        self.promote(clock)
        return kept_statement(note)

    def _begin_memory(self) -> None:
        """After a succession: put the memory of the log before away, once, and begin that of the new one."""
        notes = self.notes()
        number = max((at for at, note in enumerate(notes, start=1) if kept_statement(note).act == SUCCEED), default=0)
        former = self.root / f"signer-{number:04}.json"
        if not number or not self.memory.exists():
            return
        if not former.exists():
            write_whole(former, self.memory.read_bytes())
        if self.memory.read_bytes() == former.read_bytes():
            write_head(self.memory, NOTHING)

    def expect_next(self, keys: Iterable[VerifierKey]) -> None:
        """Return when the next keys are these.

        Raises:
            KeyFileError: They are not: the statement answers another request.
        """
        for key in keys:
            fresh = self._file(key.algorithm, ".next")
            if not _is(fresh, key):
                raise KeyFileError(f"{fresh} is not the key that the statement names", hint="ask for a new one")

    def add_post_quantum(self, clock: Clock = system_clock) -> None:
        """Have an ML-DSA-44 key sign beside the log's key from now on; where there is one, nothing happens.

        Raises:
            KeyFileError: The key cannot be made on this machine.
        """
        self.promote(clock)
        if len(self.keys()) > 1:
            return
        known = self.log_keys()
        fresh = self.next_key(VerifierKey(name=known.origin, public_key=b"", algorithm=ML_DSA_44))
        statement = KeyStatement(
            act=ADD,
            origin=known.origin,
            number=known.number + 1,
            at=clock() // SECOND,
            old=known.current,
            new=(fresh.public,),
        )
        self.keep(signed_statement(statement, _read(self._file(ED25519))))
        self.promote(clock)

    def adopt_root(self, clock: Clock = system_clock) -> None:
        """Make a root key for a log that has none, by a statement that the log's key signs.

        Raises:
            ConflictError: The log has one.
        """
        self.promote(clock)
        known = self.log_keys()
        if known.root is not None:
            raise ConflictError("this log has a root key already, and keeps it")
        self.root_key.unlink(missing_ok=True)  # of an attempt that was cut off: nobody was told of it
        root = create_key(self.root_key, f"{known.origin}{ROOT_SUFFIX}")
        statement = KeyStatement(
            act=ADOPT,
            origin=known.origin,
            number=known.number + 1,
            at=clock() // SECOND,
            old=known.current,
            root=root.public,
        )
        self.keep(signed_statement(statement, _read(self._file(ED25519)), root))
        self.promote(clock)

    def keep(self, note: bytes) -> None:
        """Have the statement on disk: from here on it counts."""
        place = self.root / "statements"
        place.mkdir(mode=0o700, exist_ok=True)
        write_whole(place / f"{len(self.notes()) + 1:04}.note", note)
        sync_directory(self.root)


def _is(path: Path, key: VerifierKey) -> bool:
    """Whether the file holds the private key of ``key``; one that is missing or broken holds none."""
    try:
        return _read(path).public == key
    except KeyFileError:
        return False


def _read(path: Path) -> SigningKey:
    return read_key(path, algorithm=ML_DSA_44 if path.name.startswith(FILES[ML_DSA_44]) else ED25519)
