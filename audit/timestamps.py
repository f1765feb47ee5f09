"""The timestamps in an exported bundle: each has to be of a signed checkpoint of that very log.

Whether the TSA really said so is for ``audit.tsa``, with a certificate of the caller's. Pure and alone, as
``audit.verify``, which calls this.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.note import Checkpoint, NoteError, VerifierKey, Verify, open_by_one
from audit.parts import Bundle, VerificationError, read_part
from audit.structure import Roots
from audit.tiles import TileError
from audit.tsp import TimestampError, Token, read_response

FOLDER = "timestamps/"
FORGED = "the log was another when it was timestamped, or the timestamp was forged or taken from elsewhere"
_NAME = re.compile(rf"{FOLDER}(0|[1-9][0-9]{{0,18}})\.(tsr|checkpoint)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """That the log's first ``size`` entries were there at ``token.at``, if the token is the TSA's."""

    size: int
    token: Token

    @property
    def name(self) -> str:
        """The file that the token is in."""
        return token_name(self.size)


def token_name(size: int) -> str:
    """Where an export has the TSA's answer over the checkpoint of ``size`` entries."""
    return f"{FOLDER}{size}.tsr"


def note_name(size: int) -> str:
    """Where an export has the bytes that :func:`token_name` is a timestamp of."""
    return f"{FOLDER}{size}.checkpoint"


def check_timestamps(
    bundle: Bundle, checkpoint: Checkpoint, keys: Sequence[VerifierKey], verify: Verify
) -> list[Timestamp]:
    """The bundle's timestamps, of the smallest log first, when each is over a checkpoint of this log.

    The tiles of ``bundle`` have to be those of ``checkpoint``; ``keys`` are those that the log has and had.

    Raises:
        VerificationError: A stamped checkpoint is not signed by one of ``keys``, is larger than the log, or has another
            root than the log had at that size; a token is malformed or of other bytes; a file is in the wrong place.
    """
    roots = Roots(bundle, checkpoint.size)
    names = {name for name in bundle.names() if name.startswith(FOLDER)}
    return [_check(bundle, size, roots, keys, verify) for size in _sizes(names)]


def _sizes(names: set[str]) -> list[int]:
    """The sizes for which there are token and checkpoint."""
    found = set()
    for name in sorted(names):
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise _wrong(name, "is no timestamp and no checkpoint of one")
        size = int(parts[1])
        if not {token_name(size), note_name(size)} <= names:
            raise _wrong(name, "stands alone: a timestamp and its checkpoint belong together")
        found.add(size)
    return sorted(found)


def _check(bundle: Bundle, size: int, roots: Roots, keys: Sequence[VerifierKey], verify: Verify) -> Timestamp:
    note = read_part(bundle, note_name(size), "timestamps")
    try:
        stamped = Checkpoint.parse(open_by_one(note, keys, verify))
        if stamped.origin != keys[0].name or stamped.size != size:
            raise NoteError(f"is of {stamped.size:,} entries of the log {stamped.origin}")
        if stamped.size > roots.size:
            raise NoteError(f"is of {stamped.size:,} entries, this log has {roots.size:,}")
        if stamped.root != roots.at(size):
            raise NoteError("has another root than the log in this export had at that size")
    except (NoteError, TileError) as error:
        raise _wrong(note_name(size), str(error)) from None
    try:
        token = read_response(read_part(bundle, token_name(size), "timestamps"))
        token.check_data(note)
    except TimestampError as error:
        raise _wrong(token_name(size), str(error)) from None
    return Timestamp(size=size, token=token)


def _wrong(where: str, detail: str) -> VerificationError:
    return VerificationError("timestamps", detail, where=where, meaning=FORGED)
