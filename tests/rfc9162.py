"""RFC 9162, section 2.1, as it is written: recursive, slow, and with nothing of ``audit`` in it.

The entries are the numbers themselves: D[i] is ``entry(i)``.
"""

from functools import cache
from hashlib import sha256


def entry(index: int) -> bytes:
    """D[index]."""
    return f"entry {index}".encode()


@cache
def mth(low: int, high: int) -> bytes:
    """MTH(D[low:high]), section 2.1.1."""
    if low == high:
        return sha256().digest()
    if high - low == 1:
        return sha256(b"\x00" + entry(low)).digest()
    k = split(high - low)
    return sha256(b"\x01" + mth(low, low + k) + mth(low + k, high)).digest()


def leaves(low: int, high: int) -> list[bytes]:
    """The leaf hashes of D[low:high]."""
    return [mth(index, index + 1) for index in range(low, high)]


def path(m: int, low: int, high: int) -> list[bytes]:
    """PATH(m, D[low:high]), section 2.1.3.1."""
    if high - low == 1:
        return []
    k = split(high - low)
    if m < k:
        return [*path(m, low, low + k), mth(low + k, high)]
    return [*path(m - k, low + k, high), mth(low, low + k)]


def proof(m: int, n: int) -> list[bytes]:
    """PROOF(m, D_n), section 2.1.4.1."""
    return _subproof(m, 0, n, whole=True)


def _subproof(m: int, low: int, high: int, *, whole: bool) -> list[bytes]:
    if m == high - low:
        return [] if whole else [mth(low, high)]
    k = split(high - low)
    if m <= k:
        return [*_subproof(m, low, low + k, whole=whole), mth(low + k, high)]
    return [*_subproof(m - k, low + k, high, whole=False), mth(low, low + k)]


def split(n: int) -> int:
    """The largest power of two smaller than ``n``."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Subtrees:
    """A :class:`audit.tree.HashReader` over D."""

    def subtree(self, level: int, index: int) -> bytes:
        return mth(index << level, (index + 1) << level)
