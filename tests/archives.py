"""Bundles in one file, as the hub sends them."""

from pathlib import Path

from audit.archive import BLOCK, END, tar_header
from tests.ledger import Files


def packed(files: Files, path: Path) -> Path:
    """``files`` in the archive ``path``."""
    path.write_bytes(archive(*files.content.items()))
    return path


def archive(*members: tuple[str, bytes]) -> bytes:
    """An archive of these files."""
    return b"".join(member(name, data) for name, data in members) + END


def member(name: str, data: bytes) -> bytes:
    """One file in an archive."""
    return tar_header(name, len(data)) + data + b"\0" * (-len(data) % BLOCK)
