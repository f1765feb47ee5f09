"""What a witness keeps: its key, the logs that it watches, and what it saw of each last."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit.heads import read_head, write_head
from audit.keys import SigningKey, create_key, read_key
from audit.note import NoteError, VerifierKey
from audit.tree import Head
from config.errors import ConclaveError, ConflictError


class WitnessFolderError(ConclaveError):
    """The folder of a witness is not as it must be."""

    code = "witness"


@dataclass(frozen=True, slots=True)
class WitnessFolder:
    """``witness.key``, ``witness.vkey``, ``logs.txt``; for each log a folder with ``log.vkey`` and ``head.json``."""

    root: Path

    def create(self, name: str) -> SigningKey:
        """A new witness called ``name``, such as ``witness.partner.example``.

        Raises:
            WitnessFolderError: ``name`` cannot be one.
            KeyFileError: There is a witness already, or the folder cannot be written.
        """
        if not name or "+" in name or any(char.isspace() for char in name):
            raise WitnessFolderError(f"{name!r} cannot be a witness's name", hint="such as witness.partner.example")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = create_key(self.root / "witness.key", name)
        (self.root / "witness.vkey").write_text(f"{key.cosigner}\n")
        return key

    def key(self) -> SigningKey:
        """The witness's key.

        Raises:
            KeyFileError: It is missing or malformed.
        """
        return read_key(self.root / "witness.key")

    def add(self, log: VerifierKey) -> None:
        """Watch ``log`` from its beginning.

        Raises:
            ConflictError: A log of that origin is watched already.
        """
        place = self._place(log.name)
        if place.exists() or log.name in self._added():
            raise ConflictError(
                f"the log {log.name} is watched already, or was",
                hint="begin anew with another name and folder: conclave witness init",
            )
        fresh = place.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        write_head(fresh / "head.json", Head())
        (fresh / "log.vkey").write_text(f"{log}\n")
        fresh.rename(place)
        with self._list.open("a") as file:
            file.write(f"{log.name}\n")
            file.flush()
            os.fsync(file.fileno())

    def logs(self) -> Mapping[str, VerifierKey]:
        """The logs that are watched, by origin.

        Raises:
            WitnessFolderError: A file of one is missing or malformed.
        """
        for origin in self._added():
            self.seen(origin)
        found = {}
        for place in sorted(path for path in (self.root / "logs").glob("*") if path.suffix != ".new"):
            try:
                key = VerifierKey.parse((place / "log.vkey").read_text())
            except (OSError, NoteError) as error:
                raise _broken(place / "log.vkey", error) from None
            self.seen(key.name)
            found[key.name] = key
        return found

    def seen(self, origin: str) -> Head:
        """What was seen of a watched log last.

        Raises:
            WitnessFolderError: The memory is missing or malformed; without it nothing may be cosigned.
        """
        path = self._place(origin) / "head.json"
        try:
            return read_head(path)
        except (OSError, ValueError) as error:
            raise _broken(path, error) from None

    def remember(self, origin: str, head: Head) -> None:
        """Have on disk that ``head`` was seen."""
        write_head(self._place(origin) / "head.json", head)

    @property
    def _list(self) -> Path:
        """Every log that was ever added: one whose folder is gone is missed."""
        return self.root / "logs.txt"

    def _added(self) -> list[str]:
        return self._list.read_text().splitlines() if self._list.exists() else []

    def _place(self, origin: str) -> Path:
        return self.root / "logs" / sha256(origin.encode()).hexdigest()[:32]


def _broken(path: Path, error: Exception) -> WitnessFolderError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return WitnessFolderError(
        f"the witness cannot use {path}: {reason}",
        hint="a witness that forgot what it saw begins anew: conclave witness init, with another name and folder",
    )
