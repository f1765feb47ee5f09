"""The meaning of a log's entries, in order: form, time, and the unbroken numbers of every source. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from audit.canonical import CanonicalError
from audit.digests import Digests
from audit.entry import EntryError, actor_key, parse_entry
from audit.index import COMPANY, INDEX_KIND, ROOM, Scope
from audit.indexes import check_index
from audit.parts import CHANGED, GAP, MALFORMED, Report, VerificationError
from audit.stretch import Leg, shown_digests
from audit.succession import KEY_KINDS

NO_SEEDS: Mapping[int, str] = MappingProxyType({})


class Walk:
    """Holds the legs of a log against each other, in order, and keeps what later checks need of its entries.

    ``wrong`` is the first thing that does not fit; whether the log says so is known when its root was found. What it is
    says :meth:`_step`, entry by entry: a leg only says whether that is needed, so that two ways through the log, by one
    process or by several, end in the same words.

    ``seeds`` are those that belong to no index so far.

    Memory: a number for every source, actor, room and company, and the entries of exports; it does not grow with the
    entries.
    """

    def __init__(self, report: Report, digests: Digests, seeds: Mapping[int, str] = NO_SEEDS) -> None:
        self._report = report
        self.seeds = dict(seeds)
        self._companies: Counter[str] = Counter()
        self._last: dict[tuple[str, str], int] = {}
        self._at = 0
        self.position = 0
        self.first: dict[str, Any] = {}
        self.digests = digests
        self.exports: dict[int, dict[str, Any]] = {}
        self.key_changes: dict[int, dict[str, Any]] = {}
        self.wrong: VerificationError | None = None

    def take(self, leg: Leg, entries: Callable[[], Iterable[bytes]]) -> None:
        """Take the next leg; ``entries`` reads it again."""
        if self.wrong is not None:
            return
        if not self._fits(leg):
            self.wrong = self._first_wrong(entries())
            return
        self._last.update((key, last) for key, (_, last) in leg.numbers.items())
        self._at = self._report.last_at = leg.last_at
        self._report.kinds.update(leg.kinds)
        self._companies.update(leg.companies)
        self.position = leg.start + leg.size
        for position, digests in leg.digests:
            self.digests.add(position, digests)
        if leg.landmark is not None:
            try:
                self._landmark(self.position - 1, leg.landmark)
            except VerificationError as error:
                self.wrong = error

    def _fits(self, leg: Leg) -> bool:
        return (
            leg.fits
            and leg.first_at >= self._at
            and all(first == self._last.get(key, 0) + 1 for key, (first, _) in leg.numbers.items())
        )

    def _landmark(self, position: int, entry: dict[str, Any]) -> None:
        """Take an entry of ``LANDMARKS``; all numbers up to it, and its own, are known.

        Raises:
            VerificationError: It is an index that does not say what was counted.
        """
        if position == 0:
            self.first = entry
        if entry["kind"] == "audit.exported":
            self.exports[position] = entry
        if entry["kind"] in KEY_KINDS:
            self.key_changes[position] = entry
        if entry["kind"] == INDEX_KIND:
            counts = {Scope(COMPANY, name): count for name, count in self._companies.items()}
            counts |= {Scope(ROOM, name): count for (scope, name), count in self._last.items() if scope == ROOM}
            check_index(entry, position, counts, self.seeds.pop(position, None))

    def _first_wrong(self, entries: Iterable[bytes]) -> VerificationError:
        """What is wrong in the next ``entries``; ``position`` is then that of the entry."""
        try:
            for data in entries:
                self._step(data)
                self.position += 1
        except VerificationError as error:
            return error
        where = f"entry {self.position - 1:,}"
        return VerificationError("entries", "changed while it was read", where=where, meaning=CHANGED)

    def _step(self, data: bytes) -> None:
        """Hold the entry at ``position`` against those before it.

        Raises:
            VerificationError: It does not fit.
        """
        where = f"entry {self.position:,}"
        try:
            entry = parse_entry(data)
        except (CanonicalError, EntryError) as error:
            raise VerificationError("meaning", str(error), where=where, meaning=MALFORMED) from None
        where += f" ({entry['kind']})"
        if entry["at"] < self._at:
            raise VerificationError("time", "is dated before the one in front of it", where=where, meaning=GAP)
        for scope, key, number in _numbers(entry):
            expected = self._last.get((scope, key), 0) + 1
            if number != expected:
                detail = f"has {scope}_seq {number} of {key}, expected {expected}"
                raise VerificationError("sequence", detail, where=where, meaning=GAP)
            self._last[scope, key] = number
        self._at = entry["at"]
        if digests := shown_digests(entry):
            self.digests.add(self.position, digests)


def _numbers(entry: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    yield "source", entry["source"], entry["source_seq"]
    yield "actor", actor_key(entry["actor"]), entry["actor_seq"]
    if "room" in entry:
        yield "room", entry["room"], entry["room_seq"]
