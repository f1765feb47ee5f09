"""A bundle in one file: a tar archive in the one form in which the hub writes it.

POSIX ustar: a header for each regular file, its bytes, zeros up to a whole block, and two blocks of zeros behind the
last. Whatever else tar can hold is refused: nothing is in the file that is not in the bundle, and nothing in it leads a
program that unpacks it elsewhere. Who packed a folder with a tar of their own verifies the folder.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from audit.parts import MAX_PART
from audit.printable import printable

BLOCK = 512
CHUNK = 65_536
MAX_FILES = 65_536
END = b"\0" * 2 * BLOCK
SUFFIX = ".tar"
_NAME = re.compile(r"[A-Za-z0-9._/-]+")
"""What names are made of: every program that unpacks reads the same name, and none a drive or its end in it."""
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe",
}


class ArchiveError(Exception):
    """The file is no archive as the hub writes them."""


def tar_header(path: str, size: int) -> bytes:
    """What stands in the archive before a file of ``size`` bytes; zeros up to a whole block go behind it."""
    member = tarfile.TarInfo(path)
    member.size, member.mode = size, 0o644
    return member.tobuf(format=tarfile.PAX_FORMAT)


def is_archive(path: Path) -> bool:
    """Whether the file ``path`` is meant to be an archive: by its name, or by how it begins."""
    if path.suffix == SUFFIX:
        return True
    with path.open("rb") as file:
        return file.read(BLOCK)[257:262] == b"ustar"


@dataclass(frozen=True, slots=True)
class Archive:
    """The files in the archive ``path``; an :class:`audit.parts.Bundle`. ``places`` has offset and size of each."""

    path: Path
    places: dict[str, tuple[int, int]]

    @classmethod
    def open(cls, path: Path) -> "Archive":
        """The archive in the file ``path``. Memory: a name and two numbers for each of up to 65,536 files.

        Raises:
            ArchiveError: It is none, or holds anything but regular files, each once.
            OSError: It cannot be read.
        """
        places: dict[str, tuple[int, int]] = {}
        with path.open("rb") as file:
            while (header := file.read(BLOCK)) != END[:BLOCK]:
                name, size = _member(header)
                if name in places:
                    raise ArchiveError(f"{printable(name)} is in it twice")
                if len(places) == MAX_FILES:
                    raise ArchiveError(f"it has more than {MAX_FILES:,} files")
                places[name] = file.tell(), size
                file.seek(size, 1)
                if file.read(-size % BLOCK).strip(b"\0") or file.tell() % BLOCK:
                    raise ArchiveError(f"something stands behind {printable(name)}, or it breaks off there")
            _check_end(file)
        return cls(path, places)

    def names(self) -> Iterator[str]:
        """The path of every file."""
        yield from self.places

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: It is missing, unreadable, or too large.
        """
        _, size = self._place(name)
        if size > MAX_PART:
            raise OSError(None, f"it is larger than the {MAX_PART:,} bytes that such a file can have")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file, in pieces of 64 KiB.

        Raises:
            OSError: It is missing or unreadable.
        """
        offset, left = self._place(name)
        with self.path.open("rb") as file:
            file.seek(offset)
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise OSError(None, "the archive was cut off")
                left -= len(data)
                yield data

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self.places:
            raise FileNotFoundError(2, "No such file or directory")
        return self.places[name]


def _member(header: bytes) -> tuple[str, int]:
    """Name and size in a member's header.

    Raises:
        ArchiveError: It is not that of a regular file, or the name leads elsewhere.
    """
    if len(header) < BLOCK:
        raise ArchiveError("it breaks off in the middle" if header else "it breaks off: two blocks of zeros end it")
    if header[257:262] != b"ustar":
        raise ArchiveError("it is no tar archive, or something stands between its files")
    name = header[:100].rstrip(b"\0").decode("ascii", errors="backslashreplace")
    kind = header[156:157]
    if kind != tarfile.REGTYPE:
        raise ArchiveError(f"{printable(name)} is {_KINDS.get(kind, 'no regular file')}")
    path = PurePosixPath(name)
    if not _NAME.fullmatch(name) or path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise ArchiveError(f"the name {printable(name)} leads elsewhere, or is not written in its one form")
    digits = header[124:135]
    if not digits.isdigit() or set(digits) & set(b"89") or tar_header(name, int(digits, 8)) != header:
        raise ArchiveError(f"the header of {printable(name)} is not as the hub writes it")
    return name, int(digits, 8)


def _check_end(file: IO[bytes]) -> None:
    """Return when one more block of zeros is all that is left.

    Raises:
        ArchiveError: It is not.
    """
    if file.read(BLOCK) != END[BLOCK:]:
        raise ArchiveError("it breaks off: two blocks of zeros end it")
    if file.read(1):
        raise ArchiveError("something stands behind its end")
