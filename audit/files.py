"""An exported bundle on disk."""

import os
from dataclasses import dataclass
from pathlib import Path

from audit.note import LOG_ALGORITHMS, NoteError, VerifierKey


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below ``root``; an :class:`audit.verify.Bundle`. Links are not followed: they count as unreadable."""

    root: Path

    def names(self) -> set[str]:
        """The path of every file and every link, relative, with forward slashes.

        Raises:
            OSError: A folder cannot be read: who knows what is in it.
        """
        found = set()
        for directory, folders, files in os.walk(self.root, onerror=_raise):
            paths = [Path(directory, name) for name in files]
            paths += [path for name in folders if (path := Path(directory, name)).is_symlink()]
            found |= {path.relative_to(self.root).as_posix() for path in paths}
        return found

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing, unreadable, a link or a pipe, or its name leads out of the folder.
        """
        path = self.root / name
        try:
            inside = path.resolve().is_relative_to(self.root.resolve())
        except (RuntimeError, ValueError):  # links that lead to themselves, a name with NUL
            inside = False
        if path.is_symlink() or not inside:
            raise OSError(None, "it is a link, or outside the folder")
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no regular file")
        return path.read_bytes()


def _raise(error: OSError) -> None:
    raise error


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
        raise NoteError("the keys are not of one log: their names differ")
    if len({key.algorithm for key in keys}) < len(keys):
        raise NoteError("the keys are not of one log: two of them are for one algorithm")
    return sorted(keys, key=lambda key: key.algorithm)
