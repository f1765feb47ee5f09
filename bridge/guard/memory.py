"""What one process of Synapse remembers of the documents. Imports nothing of Synapse."""

from enum import Enum
from typing import Any, Final, Literal

from spaces.policy.documents import Record

MAX_ABSENT = 10_000
"""How many names without a record are remembered: clients can make up ever new ones."""


class Recall(Enum):
    """What memory says beside records and their absence."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Recall.UNKNOWN


class Memory:
    """Records by (kind, key), dropped when Synapse's replication says that one changed.

    Has the members of a ``CachedFunction`` that ``ModuleApi.register_cached_function`` uses: ``invalidate``,
    ``invalidate_all``, ``__module__`` and ``__name__``.
    """

    __name__ = "conclave_records"

    def __init__(self, max_absent: int = MAX_ABSENT) -> None:
        self.changes = 0
        self._known: dict[tuple[str, str], Record | None] = {}
        self._absent: set[tuple[str, str]] = set()
        self._max_absent = max_absent

    def recall(self, at: tuple[str, str]) -> Record | Literal[Recall.UNKNOWN] | None:
        """The record, ``None`` where it is known that there is none, or ``UNKNOWN``."""
        return self._known.get(at, UNKNOWN)

    def remember(self, at: tuple[str, str], record: Record | None) -> None:
        """Keep a record, or that there is none; of the latter a bounded number."""
        if record is None:
            if len(self._absent) >= self._max_absent:
                for name in self._absent:
                    self._known.pop(name, None)
                self._absent.clear()
            self._absent.add(at)
        self._known[at] = record

    def invalidate(self, key: tuple[Any, ...]) -> None:
        """Forget one record."""
        self.changes += 1
        self._known.pop((str(key[0]), str(key[1])), None)

    def invalidate_all(self) -> None:
        """Forget every record."""
        self.changes += 1
        self._known.clear()
        self._absent.clear()
