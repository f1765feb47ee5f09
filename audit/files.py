"""An exported bundle on disk."""

import os
from dataclasses import dataclass
from pathlib import Path

from audit.note import VerifierKey


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below ``root``; an :class:`audit.verify.Bundle`. Links are not followed: they count as unreadable."""

    root: Path

    def names(self) -> set[str]:
        """Every file's path, relative, with forward slashes."""
        found = set()
        for directory, _, files in os.walk(self.root):
            found |= {(Path(directory) / name).relative_to(self.root).as_posix() for name in files}
        return found

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing, unreadable, a link, or its name leads out of the folder.
        """
        path = self.root / name
        if path.is_symlink() or not path.resolve().is_relative_to(self.root.resolve()):
            raise OSError(None, "it is a link, or outside the folder")
        return path.read_bytes()


def read_vkey(path: Path) -> VerifierKey:
    """The log's public key in the file ``path``.

    Raises:
        OSError: The file cannot be read.
        NoteError: It holds no such key.
    """
    return VerifierKey.parse(path.read_bytes().decode("ascii", errors="replace"))
