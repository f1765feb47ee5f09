"""Index entries: how many entries each company and each room has so far, committed to without naming any of them.

What shows that a part of the log is whole. An ``index.published`` entry holds the root of a small Merkle tree
(RFC 9162, section 2.1.1) with one leaf for each company and each room: its number of entries in front of that entry.
Whoever gets the trail of one company is shown its one leaf; the other leaves stay hashes that cannot be guessed, for
each is salted from a seed, and their number is rounded up. The seed is a disclosure beside the log: with it, whoever
verifies the whole log computes every index anew. Pure.

What belongs to a company here are the entries of its rooms: those that have a ``room`` and name the company.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from audit.canonical import canonical_json
from audit.tree import inclusion_proof, leaf_hash, node_hash

INDEX_KIND = "index.published"
SEED_SIZE = 32
SEED = "index_seed"
"""The name of the disclosure that holds the seed, in base64."""
LEAST_LEAVES = 256
COMPANY, ROOM = "company", "room"
WHOLE = "all"
"""The scope of an export of everything."""


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A part of the log: the entries of all rooms of a company, or of one room."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Scope | None":
        """The scope written as ``company:ID`` or ``room:ID``; ``None`` where it is neither."""
        kind, colon, name = text.partition(":")
        return cls(kind, name) if colon and name and kind in (COMPANY, ROOM) else None

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether ``entry`` belongs to it."""
        return self in scopes_of(entry)


def scopes_of(entry: Mapping[str, Any]) -> list[Scope]:
    """The scopes that ``entry`` belongs to: its room, and the companies that the room is of; none without a room."""
    room = entry.get("room")
    if room is None:
        return []
    return [Scope(ROOM, room), *(Scope(COMPANY, company) for company in entry.get("companies", ()))]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProof:
    """One leaf of an index: ``leaf`` are its bytes, ``position`` and ``proof`` lead from it to the index's root."""

    leaf: bytes
    position: int
    proof: Sequence[bytes]


def leaf_data(scope: Scope, count: int, salt: bytes) -> bytes:
    """The bytes of the leaf that says: ``scope`` has ``count`` entries; canonical JSON, written by hand for speed."""
    name, _ = _written(scope)
    return b'{"count":%d,"id":%b,"salt":"%b","scope":"%b"}' % (count, name, b64encode(salt), scope.kind.encode())


@lru_cache(maxsize=100_000)
def _written(scope: Scope) -> tuple[bytes, bytes]:
    """The id as JSON, and kind and id as what a salt is made of."""
    return canonical_json(scope.id), canonical_json([scope.kind, scope.id])


@dataclass(frozen=True)
class Index:
    """The index over ``counts``, with the salts that ``seed`` gives: the same for the same two."""

    counts: Mapping[Scope, int]
    seed: bytes
    _leaves: dict[Scope, bytes] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for scope, count in self.counts.items():
            salt = hmac.digest(self.seed, _written(scope)[1], "sha256")[:16]
            self._leaves[scope] = leaf_data(scope, count, salt)

    @property
    def size(self) -> int:
        """The number of leaves: a power of four, from 256 on."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """What the index entry commits to."""
        return self._levels[-1][0]

    def prove(self, scope: Scope) -> IndexProof:
        """The leaf of ``scope`` with its proof; ``scope`` has to have one."""
        leaf = self._leaves[scope]
        position = self._levels[0].index(leaf_hash(leaf))
        return IndexProof(leaf=leaf, position=position, proof=inclusion_proof(position, self.size, self))

    def subtree(self, level: int, index: int) -> bytes:
        """See :class:`audit.tree.HashReader`."""
        return self._levels[level][index]

    @cached_property
    def _levels(self) -> list[list[bytes]]:
        size = LEAST_LEAVES
        while size < len(self._leaves):
            size *= 4
        pads = (hmac.digest(self.seed, b"pad %d" % at, "sha256") for at in range(size - len(self._leaves)))
        # Sorted by hash: where a leaf stands says nothing about what it is of.
        levels = [sorted([*map(leaf_hash, self._leaves.values()), *map(leaf_hash, pads)])]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below), 2)])
        return levels


def index_data(index: Index) -> dict[str, Any]:
    """The ``data`` of the entry that publishes ``index``."""
    return {"root": encode(index.root), "leaves": index.size}


def counts_of(rows: Iterable[tuple[str, str, int]]) -> dict[Scope, int]:
    """Counts from rows of (kind of scope, id, count)."""
    return {Scope(kind, name): count for kind, name, count in rows}


def encode(data: bytes) -> str:
    """``data`` in base64."""
    return b64encode(data).decode()


def decode(text: str) -> bytes:
    """The value of base64.

    Raises:
        ValueError: It is none.
    """
    return b64decode(text, validate=True)
