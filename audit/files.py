"""An exported bundle on disk."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.note import LOG_ALGORITHMS, NoteError, VerifierKey
from audit.parts import MAX_PART

CHUNK = 65_536
EACH = "each key that is named must have signed"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below ``root``; an :class:`audit.parts.Bundle`. Links are not followed: they count as unreadable."""

    root: Path

    def names(self) -> Iterator[str]:
        """The path of every file and every link, relative, with forward slashes; an empty folder ends in one.

        Raises:
            OSError: A folder cannot be read: who knows what is in it.
        """
        for directory, folders, files in os.walk(self.root, onerror=_raise):
            place = Path(directory).relative_to(self.root)
            yield from ((place / name).as_posix() for name in files)
            yield from ((place / name).as_posix() for name in folders if Path(directory, name).is_symlink())
            if not folders and not files and place.parts:
                yield f"{place.as_posix()}/"

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing, unreadable, too large, a link or a pipe, or its name leads out of the folder.
        """
        path = self._path(name)
        if path.stat().st_size > MAX_PART:
            raise OSError(None, f"it is larger than the {MAX_PART:,} bytes that such a file can have")
        return path.read_bytes()

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file, in pieces of 64 KiB.

        Raises:
            OSError: As of :meth:`read`, but of any size.
        """
        with self._path(name).open("rb") as file:
            while data := file.read(CHUNK):
                yield data

    def _path(self, name: str) -> Path:
        path = self.root / name
        try:
            inside = path.resolve().is_relative_to(self.root.resolve())
        except (RuntimeError, ValueError):  # links that lead to themselves, a name with NUL
            inside = False
        if path.is_symlink() or not inside:
            raise OSError(None, "it is a link, or outside the folder")
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no regular file")
        return path


def _raise(error: OSError) -> None:
    raise error


def refuse_own(bundle: Path, paths: Iterable[Path | None]) -> None:
    """Return when none of ``paths``, which say whom the caller trusts, leads into the folder ``bundle``.

    A forger brings along whatever is in it, so that a key or a policy from there shows nothing.

    Raises:
        NoteError: One does. A copy of such a file elsewhere is not noticed.
    """
    for path in paths:
        if path is not None and bundle.is_dir() and path.resolve().is_relative_to(bundle.resolve()):
            raise NoteError(f"{path} is inside the export that it is to check, where a forger would put their own")


def read_vkeys(path: Path) -> list[VerifierKey]:
    """The log's public keys in the file ``path``, one a line, the Ed25519 key first.

    Raises:
        OSError: The file cannot be read.
        NoteError: It holds none, or keys that cannot be those of one log.
    """
    return parse_vkeys(path.read_bytes().decode("ascii", errors="replace"))


def parse_vkeys(text: str) -> list[VerifierKey]:
    """The log's public keys in ``text``, one a line, the Ed25519 key first.

    Raises:
        NoteError: It holds none, or keys that cannot be those of one log: several names, an algorithm twice.
    """
    keys = [VerifierKey.parse(line, algorithm=LOG_ALGORITHMS) for line in text.strip().split("\n")]
    if len({key.name for key in keys}) > 1:
        raise NoteError(f"the keys are not of one log: their names differ; {EACH}")
    if len({key.algorithm for key in keys}) < len(keys):
        raise NoteError(f"the keys are not of one log: two of them are for one algorithm; {EACH}")
    return sorted(keys, key=lambda key: key.algorithm)
