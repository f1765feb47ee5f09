"""The disclosures of a bundle: personal data beside the log, each bound to its entry by a digest. Pure."""

from collections.abc import Mapping

from audit.entry import Disclosure, EntryError
from audit.parts import CHANGED, DISCLOSURES, Bundle, VerificationError, read_part, strict_json


def check_disclosures(bundle: Bundle, digests: Mapping[str, int]) -> tuple[int, int]:
    """Check that every disclosure belongs to the entry that it names; how many there are, and how many are withheld.

    ``digests`` are those of the entries, with the number of the entry.

    Raises:
        VerificationError: One does not.
    """
    open_digests, text, found = dict(digests), read_part(bundle, DISCLOSURES, "disclosures"), 0
    if text and not text.endswith(b"\n"):
        raise VerificationError("disclosures", "ends in the middle of a line", where=DISCLOSURES, meaning=CHANGED)
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        where = f"{DISCLOSURES} line {number}"
        try:
            item = strict_json(line)
            digest = Disclosure.decode(item["disclosure"]).digest()
        except (EntryError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise VerificationError("disclosures", str(error), where=where, meaning=CHANGED) from None
        position = open_digests.pop(digest, None)
        if position is None or type(item.get("entry")) is not int or item["entry"] != position or len(item) != 2:
            detail = "does not belong to the entry it names"
            raise VerificationError("disclosures", detail, where=where, meaning=CHANGED)
        found += 1
    return found, len(open_digests)
