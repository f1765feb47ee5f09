"""Exports as they come from the hub: whole, or not at all."""

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from audit.printable import printable
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError


def check_parent(out: Path) -> None:
    """Find out before the export is ordered, and so recorded, whether it can be written.

    Raises:
        CallFailedError: It cannot.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise CallFailedError(
            f"cannot write to {out.parent}: {error.strerror}", code="out", hint="name another folder", usage=True
        ) from None


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file of an export below ``folder``; Python's own filters for that came with 3.11.4.

    Raises:
        TarError: It is no regular file, or its name leads out of the folder.
        OSError: It cannot be written, or stands there already.
    """
    name, content = PurePosixPath(member.name), tar.extractfile(member) if member.isreg() else None
    if content is None or name.is_absolute() or ".." in name.parts:
        raise tarfile.TarError(f"{printable(member.name, 200)} is no file of an export")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)


def fetch_bundle(client: HubClient, entry: int, out: Path) -> int:
    """Unpack the bundle beside ``out`` and move it there whole; returns how many files it has."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    files = 0
    try:
        partial.mkdir(parents=True)
        with client.stream(f"/v1/exports/{entry}/bundle") as response, tarfile.open(fileobj=response, mode="r|") as tar:
            for member in tar:
                _unpack(tar, member, partial)
                files += 1
        if not (partial / "manifest.json.sig").is_file():
            raise CallFailedError("the hub broke off in the middle", code="interrupted", hint="export again")
        partial.rename(out)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise CallFailedError(
            f"the export did not arrive whole: {error}", code="interrupted", hint="export again"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files
