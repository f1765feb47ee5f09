"""The meaning of a log's entries, read in order: form, time, and the unbroken numbers of every source. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from audit.canonical import CanonicalError
from audit.entry import EntryError, actor_key, parse_entry
from audit.index import COMPANY, ROOM, Scope
from audit.indexes import check_index
from audit.parts import GAP, MALFORMED, Report, VerificationError

LANDMARKS = frozenset({"log.opened", "audit.exported", "index.published"})
"""Kinds of entries that say something of the log itself, and are looked at one by one."""

NO_SEEDS: Mapping[int, str] = {}


class Walk:
    """Reads entries in order: form, time, and the unbroken numbers of every source, actor and room.

    ``wrong`` is the first thing that does not fit; whether the log says so is known when its root was found.
    """

    def __init__(self, report: Report, seeds: Mapping[int, str] = NO_SEEDS) -> None:
        self._report = report
        self._seeds = seeds
        self._companies: Counter[str] = Counter()
        self._last: dict[tuple[str, str], int] = {}
        self._at = 0
        self.position = 0
        self.first: dict[str, Any] = {}
        self.digests: dict[str, int] = {}
        self.exports: dict[int, dict[str, Any]] = {}
        self.wrong: VerificationError | None = None

    def take(self, data: bytes) -> None:
        """Take the next entry."""
        if self.wrong is None:
            try:
                self._step(data)
            except VerificationError as error:
                self.wrong = error

    def check_opening(self) -> None:
        """Return when the first entry opens this log with this key.

        Raises:
            VerificationError: It does not.
        """
        checkpoint, key, first = self._report.checkpoint, self._report.key, self.first
        data = first.get("data", {})
        opens = first.get("kind") == "log.opened" and data.get("origin") == checkpoint.origin
        if not opens or data.get("log_key") != str(key):
            detail = "does not open this log with the key you hold"
            raise VerificationError("meaning", detail, where="entry 0", meaning=MALFORMED)

    def _step(self, data: bytes) -> None:
        where = f"entry {self.position:,}"
        try:
            entry = parse_entry(data)
        except (CanonicalError, EntryError) as error:
            raise VerificationError("meaning", str(error), where=where, meaning=MALFORMED) from None
        where += f" ({entry['kind']})"
        if entry["at"] < self._at:
            raise VerificationError("time", "is dated before the one in front of it", where=where, meaning=GAP)
        for name, key, number in _numbers(entry):
            expected = self._last.get((name, key), 0) + 1
            if number != expected:
                detail = f"has {name}_seq {number} of {key}, expected {expected}"
                raise VerificationError("sequence", detail, where=where, meaning=GAP)
            self._last[name, key] = number
        if "room" in entry:
            self._companies.update(entry.get("companies", ()))
        if repeated := self.digests.keys() & entry.get("sd", ()):
            detail = f"repeats the digest of a disclosure of entry {self.digests[min(repeated)]:,}"
            raise VerificationError("meaning", detail, where=where, meaning=MALFORMED)
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        self._at = self._report.last_at = entry["at"]
        self._report.kinds[entry["kind"]] += 1
        self.digests.update(dict.fromkeys(entry.get("sd", ()), self.position))
        if entry["kind"] in LANDMARKS:
            self._landmark(entry)
        self.position += 1

    def _landmark(self, entry: dict[str, Any]) -> None:
        """Take an entry of ``LANDMARKS`` at ``self.position``; all numbers up to it, and its own, are known."""
        if self.position == 0:
            self.first = entry
        if entry["kind"] == "audit.exported":
            self.exports[self.position] = entry
        if entry["kind"] == "index.published":
            self._check_index(entry)

    def _check_index(self, entry: dict[str, Any]) -> None:
        counts = {Scope(COMPANY, name): count for name, count in self._companies.items()}
        counts |= {Scope(ROOM, name): count for (kind, name), count in self._last.items() if kind == "room"}
        check_index(entry, self.position, counts, self._seeds.get(self.position))
        for digest in entry["sd"]:
            del self.digests[digest]  # nothing personal: it is no disclosure that may be withheld


def _numbers(entry: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    yield "source", entry["source"], entry["source_seq"]
    yield "actor", actor_key(entry["actor"]), entry["actor_seq"]
    if "room" in entry:
        yield "room", entry["room"], entry["room_seq"]
