"""Exports as they come from the hub: whole, or not at all."""

import shutil
import tarfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from audit.archive import Archive, ArchiveError
from audit.parts import MANIFEST_SIGNATURE
from audit.printable import printable
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError


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
        partial.mkdir()
        with client.stream(f"/v1/exports/{entry}/bundle") as response, tarfile.open(fileobj=response, mode="r|") as tar:
            for member in tar:
                _unpack(tar, member, partial)
                files += 1
        _check_signed((partial / MANIFEST_SIGNATURE).is_file())
        partial.rename(out)
    except (tarfile.TarError, HTTPException, OSError, EOFError, ValueError) as error:
        raise _broken_off(error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def fetch_archive(client: HubClient, entry: int, out: Path) -> Archive:
    """Write the bundle as it comes into a file beside ``out``, look whether it is one, and move it there."""
    partial = out.with_name(f".{out.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with client.stream(f"/v1/exports/{entry}/bundle") as response, partial.open("xb") as file:
            shutil.copyfileobj(response, file)
        archive = Archive.open(partial)
        _check_signed(MANIFEST_SIGNATURE in archive.places)
        partial.rename(out)
    except (ArchiveError, HTTPException, OSError, ValueError) as error:
        raise _broken_off(error) from None
    finally:
        partial.unlink(missing_ok=True)
    return Archive(out, archive.places)


def _check_signed(signed: bool) -> None:
    """The signature of the manifest comes last.

    Raises:
        CallFailedError: It did not come.
    """
    if not signed:
        raise CallFailedError("the hub broke off in the middle", code="interrupted", hint="export again")


def _broken_off(error: Exception) -> CallFailedError:
    reason = "the hub broke off in the middle" if isinstance(error, HTTPException) else error
    return CallFailedError(f"the export did not arrive whole: {reason}", code="interrupted", hint="export again")
