"""The disclosures of a bundle: personal data beside the log, each bound to its entry by a digest. Pure.

A line for each, in the order of the entries, so that any number of them is held against the log in one pass.
"""

from collections.abc import Iterator

from audit.digests import Digests, digest_key
from audit.entry import Disclosure, EntryError
from audit.parts import CHANGED, DISCLOSURES, Bundle, VerificationError, read_chunks, strict_json

MAX_LINE = 1024 * 1024


def check_disclosures(bundle: Bundle, digests: Digests) -> tuple[int, int]:
    """Check that every disclosure belongs to the entry that it names; how many there are, and how many are withheld.

    Raises:
        VerificationError: One does not.
    """
    entries = digests.by_entry()
    position, left = -1, set[bytes]()
    disclosed = withheld = 0
    for number, line in enumerate(_lines(bundle), start=1):
        entry, key = _parse(number, line)
        if entry < position:
            raise _wrong("is not in the order of the entries", number)
        while entry > position:
            withheld += len(left)
            position, left = next(entries, (entry, set()))
        if entry != position or key not in left:
            raise _wrong("does not belong to the entry it names", number)
        left.remove(key)
        disclosed += 1
    return disclosed, withheld + len(left) + sum(len(keys) for _, keys in entries)


def _parse(number: int, line: bytes) -> tuple[int, bytes]:
    """The entry that a line names, and the key of its digest."""
    try:
        item = strict_json(line)
        disclosure, entry = item["disclosure"], item["entry"]
        key = digest_key(Disclosure.decode(disclosure).digest())
    except (EntryError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _wrong(str(error), number) from None
    if type(entry) is not int or len(item) != 2:
        raise _wrong("does not belong to the entry it names", number)
    return entry, key


def _lines(bundle: Bundle) -> Iterator[bytes]:
    """The lines of the file, none of them longer than a megabyte."""
    rest, number = b"", 0
    for chunk in read_chunks(bundle, DISCLOSURES, "disclosures"):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        number += len(whole)
        if len(rest) > MAX_LINE:
            raise _wrong(f"has more than {MAX_LINE:,} bytes", number + 1)
    if rest:
        raise VerificationError("disclosures", "ends in the middle of a line", where=DISCLOSURES, meaning=CHANGED)


def _wrong(detail: str, number: int) -> VerificationError:
    return VerificationError("disclosures", detail, where=f"{DISCLOSURES} line {number}", meaning=CHANGED)
