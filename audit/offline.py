"""Verifying an export on this machine: its files, all its cores, temporary files for what would fill its memory."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import IO

from audit.files import Folder
from audit.keys import verify_signature
from audit.note import VerifierKey
from audit.parts import Report
from audit.processes import Workers
from audit.verify import verify_bundle


def verify_folder(
    folder: Path,
    key: VerifierKey | Sequence[VerifierKey],
    *,
    root: VerifierKey | None = None,
    seen: Mapping[str, bytes] = MappingProxyType({}),
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """As :func:`audit.verify.verify_bundle`, in up to ``processes`` processes, by default one for each core.

    Raises:
        ChildProcessError: One of them was ended.
        VerificationError: A check failed.
    """
    with Workers(processes) as workers, ExitStack() as files:

        def scratch() -> IO[bytes]:
            return files.enter_context(TemporaryFile())

        return verify_bundle(
            Folder(folder), key, verify_signature, progress, root=root, seen=seen, run=workers, scratch=scratch
        )
