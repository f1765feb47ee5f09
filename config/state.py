"""The state directory: where keys, tokens, SQLite files and the embedded homeserver live, and who may use it."""

import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConclaveError

PRIVATE_DIRECTORY = 0o700
TOKEN_BYTES = 32


class StateError(ConclaveError):
    """The state directory cannot be used."""

    code = "state"


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below one state directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The hub's SQLite file."""
        return self.root / "hub.sqlite3"

    @property
    def keys(self) -> Path:
        """Private keys and the signer's memory."""
        return self.root / "keys"

    @property
    def tokens(self) -> Path:
        """What hub, homeserver and guard show each other."""
        return self.root / "tokens"

    @property
    def homeserver(self) -> Path:
        """Everything of the embedded homeserver."""
        return self.root / "homeserver"

    @property
    def helper(self) -> Path:
        """The helper's device: its Olm account, sessions and cross-signing keys."""
        return self.root / "helper"

    @property
    def admin_credential(self) -> Path:
        """The first administrator's credential, for the CLI on this machine."""
        return self.root / "admin.credential"

    @property
    def log_vkey(self) -> Path:
        """The ledger's public key, to hand out."""
        return self.root / "log.vkey"

    @property
    def hub_log(self) -> Path:
        """The service's log, when it runs embedded."""
        return self.root / "hub.log"

    def prepare(self) -> None:
        """Create what is missing, readable by the owner only.

        Raises:
            StateError: The directory cannot be created or written to.
        """
        try:
            for path in (self.root, self.keys, self.tokens, self.homeserver):
                path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            probe = self.root / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StateError(
                f"the state directory {self.root} cannot be written to: {error.strerror}",
                hint="choose another with --state or state_dir in conclave.toml",
            ) from None

    def lock(self) -> "DirectoryLock":
        """Keep every other process out until the lock is released or this process ends.

        Raises:
            StateError: Another process has it.
        """
        return DirectoryLock(self.root / "conclave.lock", f"the state directory {self.root}")

    def token(self, name: str) -> str:
        """The secret called ``name``, made (256 random bits, mode 0600) when it is not there yet.

        Raises:
            StateError: It is there and empty.
        """
        return kept_secret(self.tokens / name, lambda: secrets.token_urlsafe(TOKEN_BYTES))


def kept_secret(path: Path, new: Callable[[], str]) -> str:
    """The secret in the file ``path``, made by ``new`` (mode 0600, whole or not at all) when it is not there yet.

    Raises:
        StateError: The file is empty: nobody must get in by showing nothing.
    """
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(new() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another was quicker: its secret is the one
                os.link(fresh, path)
        finally:
            fresh.unlink()
    secret = path.read_text().strip()
    if not secret:
        hint = "put it back from a backup, or remove it and have a new one made"
        raise StateError(f"{path} is empty, expected a secret", hint=hint)
    return secret


class DirectoryLock:
    """An exclusive lock on a file, with the holder's process id in it; gone when the holder's last descriptor is."""

    def __init__(self, path: Path, what: str) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise StateError(
                f"{what} is in use by {f'process {holder}' if holder else 'another process'}",
                hint="stop that one first, or choose another directory",
            ) from None
        self.note(os.getpid())

    def note(self, pid: int) -> None:
        """Write down who holds the lock."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{pid}\n")
        self._file.flush()

    def fileno(self) -> int:
        """The descriptor: a child that inherits it holds the lock, too."""
        return self._file.fileno()

    def release(self) -> None:
        """Give up this process's hold."""
        self._file.close()
