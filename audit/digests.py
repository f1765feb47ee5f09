"""The digests of a log's disclosures, of any number, beside little memory. Pure.

They are kept twice in scratch files: in the order of the entries, to hold the disclosures against them; and in sorted
runs, which are merged to find a digest that stands in the log twice.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from heapq import merge
from itertools import pairwise

from audit.parts import Scratch

RUN = 16_384
"""Records that are sorted at a time, in memory: some two megabytes."""
_KEY, _POSITION = 32, 8
_RECORD = _KEY + _POSITION
_HELD = 4 * 1024 * 1024


class Digests:
    """Takes the digests of entries in order; then tells them again, and whether one of them came twice."""

    def __init__(self, scratch: Callable[[], Scratch]) -> None:
        self._ordered, self._sorted = scratch(), scratch()
        self._fresh: list[bytes] = []
        self._runs: list[int] = []

    def add(self, position: int, digests: Sequence[str]) -> None:
        """Take those of the next entry that has some."""
        at = position.to_bytes(_POSITION, "big")
        records = [digest_key(digest) + at for digest in digests]
        self._ordered.write(b"".join(records))
        self._fresh += records
        if len(self._fresh) >= RUN:
            self._write_run()

    def _write_run(self) -> None:
        self._sorted.write(b"".join(sorted(self._fresh)))
        self._runs.append(len(self._fresh))
        self._fresh = []

    def by_entry(self) -> Iterator[tuple[int, set[bytes]]]:
        """Each entry's position and the keys of its digests, in order; once, when all are taken."""
        position, keys = -1, set[bytes]()
        for record in _records(self._ordered, 0, len(self._fresh) + sum(self._runs), RUN):
            if (at := int.from_bytes(record[_KEY:], "big")) != position:
                if keys:
                    yield position, keys
                position, keys = at, set()
            keys.add(record[:_KEY])
        if keys:
            yield position, keys

    def first_repeated(self) -> tuple[int, int] | None:
        """The first entry with a digest that an earlier one has, and the first that has it; ``None`` where none is."""
        block = max(1, _HELD // _RECORD // (len(self._runs) + 1))
        starts = [sum(self._runs[:at]) for at in range(len(self._runs))]
        runs = [_records(self._sorted, start, count, block) for start, count in zip(starts, self._runs, strict=True)]
        repeated = (
            (int.from_bytes(two[_KEY:], "big"), int.from_bytes(one[_KEY:], "big"))
            for one, two in pairwise(merge(*runs, sorted(self._fresh)))
            if one[:_KEY] == two[:_KEY]
        )
        return min(repeated, default=None)


def digest_key(digest: str) -> bytes:
    """What stands for a digest here: of one length, whatever a log calls a digest."""
    return sha256(digest.encode()).digest()


def _records(scratch: Scratch, start: int, count: int, block: int) -> Iterator[bytes]:
    """``count`` records from record ``start`` on, read ``block`` at a time."""
    for at in range(start, start + count, block):
        scratch.seek(at * _RECORD)
        data = scratch.read(min(block, start + count - at) * _RECORD)
        for offset in range(0, len(data), _RECORD):
            yield data[offset : offset + _RECORD]


class Memory:
    """A :class:`audit.parts.Scratch` for logs that fit into memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def write(self, data: bytes, /) -> int:
        """See :class:`audit.parts.Scratch`."""
        self._data[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, count: int, /) -> bytes:
        """See :class:`audit.parts.Scratch`."""
        data = bytes(self._data[self._at : self._at + count])
        self._at += len(data)
        return data

    def seek(self, offset: int, /) -> int:
        """See :class:`audit.parts.Scratch`."""
        self._at = offset
        return offset
