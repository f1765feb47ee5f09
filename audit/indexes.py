"""The index entries of a bundle: each says how much of every company and room there is; it is computed anew. Pure."""

from collections.abc import Mapping
from typing import Any

from audit.entry import Disclosure, EntryError
from audit.index import SEED, Index, Scope, decode, index_data
from audit.parts import CHANGED, INDEXES, Bundle, VerificationError, strict_json

MISCOUNTED = "an export of one company or room could leave something out unnoticed"


def read_seeds(bundle: Bundle) -> dict[int, str]:
    """The disclosures of the seeds of a bundle's index entries, by the entry's number: few, whatever the log's size.

    An export has no such file where its log has no index; an index without its seed is found by :func:`check_index`.

    Raises:
        VerificationError: The file is malformed or unreadable.
    """
    seeds: dict[int, str] = {}
    try:
        text = bundle.read(INDEXES)
    except FileNotFoundError:
        return seeds
    except OSError as error:
        detail, meaning = f"cannot read it: {error.strerror or error}", "a file cannot be read here"
        raise VerificationError("index", detail, where=INDEXES, meaning=meaning) from None
    if text and not text.endswith(b"\n"):
        raise VerificationError("index", "ends in the middle of a line", where=INDEXES, meaning=CHANGED)
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        try:
            item = strict_json(line)
            position, seed = item.pop("entry"), item.pop("disclosure")
            if item or type(position) is not int or not isinstance(seed, str) or position in seeds:
                raise ValueError("is not the number of an entry and a disclosure, or stands here twice")
            seeds[position] = seed
        except (ValueError, KeyError, RecursionError) as error:
            where = f"{INDEXES} line {number}"
            raise VerificationError("index", str(error), where=where, meaning=CHANGED) from None
    return seeds


def check_index(entry: Mapping[str, Any], position: int, counts: Mapping[Scope, int], seed: str | None) -> None:
    """Return when the index entry at ``position`` commits to ``counts``, which were counted in front of it.

    ``seed`` is the disclosure of its seed.

    Raises:
        VerificationError: It does not, or its seed is not there.
    """
    where = f"entry {position:,} ({entry['kind']})"
    if seed is None:
        detail, meaning = f"has no seed in {INDEXES}", "the export is not whole"
        raise VerificationError("index", detail, where=where, meaning=meaning)
    try:
        given = Disclosure.decode(seed)
        fits = entry.get("sd") == [given.digest()] and given.name == SEED
        index = Index(counts, decode(given.value))
    except (EntryError, ValueError):
        fits = False
    if not fits:
        raise VerificationError("index", f"has another seed than in {INDEXES}", where=where, meaning=CHANGED)
    if entry["data"] != index_data(index):
        detail = "does not say how many entries the companies and rooms have"
        raise VerificationError("index", detail, where=where, meaning=MISCOUNTED)
