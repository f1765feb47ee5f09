"""What to tell people of an export's timestamps, and the check of their signatures where a certificate is named."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.parts import VerificationError
from audit.timestamps import FOLDER, FORGED, Timestamp
from audit.tsp import TimestampError
from config.clock import iso

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Authorities = Sequence["Certificate"]


def load_authorities(path: Path) -> Authorities:
    """The certificates in the PEM file ``path``, which are trusted to name TSAs.

    Raises:
        OSError: The file cannot be read.
        TimestampError: It holds no certificate, or ``cryptography`` is too old to check one.
    """
    data = path.read_bytes()
    try:
        from audit.tsa import read_authorities  # noqa: PLC0415  # an older cryptography is enough for all the rest
    except ImportError:
        raise TimestampError("to check timestamps, cryptography 45 or newer is needed") from None
    return read_authorities(data)


def verify_timestamps(found: Sequence[Timestamp], authorities: Authorities) -> list[str]:
    """The names of the TSAs that made ``found``, when every one of them is by one that ``authorities`` name.

    Raises:
        VerificationError: One is not, or there is none: who takes timestamps away must not get a better answer.
    """
    from audit.tsa import verify_token  # noqa: PLC0415  # an older cryptography is enough for all the rest

    if not found:
        meaning = "the export holds no timestamp, and you asked for them to be checked"
        raise VerificationError("timestamps", "there is none", where=FOLDER, meaning=meaning)
    names = set()
    for one in found:
        try:
            names.add(verify_token(one.token, authorities))
        except TimestampError as error:
            raise VerificationError("timestamps", str(error), where=one.name, meaning=FORGED) from None
    return sorted(names)


def describe(found: Sequence[Timestamp], names: Sequence[str] | None) -> str:
    """A sentence about ``found``, at least one; ``names`` are their TSAs, ``None`` where nobody checked that."""
    newest = found[-1]
    when = iso(newest.token.at)[:19].replace("T", " ")
    off = "" if newest.token.accuracy_ms is None else f" ± {newest.token.accuracy_ms / 1_000:g} s"
    told = "claimed, not verified: name the TSA's root with --tsa-cert" if names is None else f"by {'; '.join(names)}"
    return f"{len(found)}, the newest of {newest.size:,} entries at {when} UTC{off}, {told}"
