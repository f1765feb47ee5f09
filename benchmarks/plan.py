"""How a measurement is asked for."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.report import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a measurement may write, and whether it is only to show that it works."""

    place: Path
    quick: bool

    def size(self, full: T, quick: T) -> T:
        """``full``, or ``quick`` in a smoke run."""
        return quick if self.quick else full

    def folder(self, name: str) -> Path:
        """A new folder for the measurement's files."""
        path = self.place / name
        path.mkdir(parents=True)
        return path


Measurement = Callable[[Plan], Coroutine[Any, Any, Sequence[Row]]]
