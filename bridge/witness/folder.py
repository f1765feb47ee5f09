"""What a witness keeps: its key, the logs that it watches, and what it saw of each last."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit.files import read_vkeys
from audit.heads import read_head, write_head
from audit.keys import SigningKey, create_key, read_key, write_whole
from audit.note import ML_DSA_44, NoteError, VerifierKey
from audit.tree import Head
from config.errors import ConclaveError, ConflictError, NotFoundError


class WitnessFolderError(ConclaveError):
    """The folder of a witness is not as it must be."""

    code = "witness"


@dataclass(frozen=True, slots=True)
class WitnessFolder:
    """``witness.key``, ``witness.vkey``, ``logs.txt``; for each log a folder with ``log.vkey`` and ``head.json``.

    With an ML-DSA-44 key in ``witness-mldsa44.key`` beside the first one, it says each word with both.
    """

    root: Path

    def create(self, name: str, *, post_quantum: bool = False) -> SigningKey:
        """The Ed25519 key of a new witness called ``name``, such as ``witness.partner.example``.

        Raises:
            WitnessFolderError: ``name`` cannot be one.
            KeyFileError: There is a witness already, the folder cannot be written, or such keys cannot be made here.
        """
        if not name or "+" in name or any(char.isspace() for char in name):
            raise WitnessFolderError(f"{name!r} cannot be a witness's name", hint="such as witness.partner.example")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = [create_key(self._second, name, algorithm=ML_DSA_44)] if post_quantum else []
        keys.insert(0, create_key(self.root / "witness.key", name))
        (self.root / "witness.vkey").write_text("".join(f"{key.cosigner}\n" for key in keys))
        return keys[0]

    def key(self) -> SigningKey:
        """The witness's Ed25519 key.

        Raises:
            KeyFileError: It is missing or malformed.
        """
        return read_key(self.root / "witness.key")

    def signing_keys(self) -> list[SigningKey]:
        """The witness's keys: Ed25519, and ML-DSA-44 where it has one.

        Raises:
            KeyFileError: One is missing or malformed.
        """
        told = self.root / "witness.vkey"  # who was told of a second key misses its word
        second = self._second.exists() or (told.exists() and len(told.read_text().splitlines()) > 1)
        return [self.key(), *([read_key(self._second, algorithm=ML_DSA_44)] if second else [])]

    def add(self, *log: VerifierKey) -> None:
        """Watch the log with these keys from its beginning.

        Raises:
            ConflictError: A log of that origin is watched already.
        """
        origin = log[0].name
        place = self._place(origin)
        if place.exists() or origin in self._added():
            raise ConflictError(
                f"the log {origin} is watched already, or was",
                hint="when its keys were changed: conclave witness rekey LOG.VKEY; else begin anew with another name"
                " and folder: conclave witness init",
            )
        fresh = place.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        write_head(fresh / "head.json", Head())
        (fresh / "log.vkey").write_text("".join(f"{key}\n" for key in log))
        fresh.rename(place)
        with self._list.open("a") as file:
            file.write(f"{origin}\n")
            file.flush()
            os.fsync(file.fileno())

    def rekey(self, *log: VerifierKey) -> None:
        """Take these keys for a log that is watched already, and go on from what was seen of it.

        Raises:
            NotFoundError: No log of that origin is watched.
        """
        origin = log[0].name
        if origin not in self.logs():
            raise NotFoundError(f"the log {origin} is not watched", hint="conclave witness add LOG.VKEY")
        write_whole(self._place(origin) / "log.vkey", "".join(f"{key}\n" for key in log).encode())

    def logs(self) -> Mapping[str, Sequence[VerifierKey]]:
        """The keys of the logs that are watched, by origin.

        Raises:
            WitnessFolderError: A file of one is missing or malformed.
        """
        for origin in self._added():
            self.seen(origin)
        found = {}
        for place in sorted(path for path in (self.root / "logs").glob("*") if path.suffix != ".new"):
            try:
                keys = read_vkeys(place / "log.vkey")
            except (OSError, NoteError) as error:
                raise _broken(place / "log.vkey", error) from None
            self.seen(keys[0].name)
            found[keys[0].name] = keys
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
    def _second(self) -> Path:
        return self.root / "witness-mldsa44.key"

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
