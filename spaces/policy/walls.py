"""Walls: pairs of companies that must never meet in an engagement. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spaces.policy.refusal import Code, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """Two companies, smaller id first, that must never meet; ``reason`` is the officer's."""

    first: str
    second: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse what is no wall.

        Raises:
            ValueError: The ids are not two, in order: one wall must not be stored under two names.
        """
        if self.first >= self.second:
            raise ValueError(f"a wall stands between two companies in order, not {self.first!r} and {self.second!r}")

    def separates(self, companies: Collection[str]) -> bool:
        """Whether both of its companies are among ``companies``."""
        return self.first in companies and self.second in companies


def wall_between(one: str, other: str, reason: str = "") -> Wall:
    """The wall between two companies, the same whichever is named first.

    Raises:
        ValueError: They are one and the same.
    """
    first, second = sorted((one, other))
    return Wall(first=first, second=second, reason=reason)


def refuse_wall(companies: Collection[str], walls: Iterable[Wall]) -> Refusal | None:
    """Say why ``companies`` must not meet in one engagement, or ``None`` when no wall stands between any two of them.

    For every kind of engagement: it looks at the whole set of companies, however many take part. Of several walls the
    first by name is said, so that the answer is always the same.
    """
    hit = min((wall for wall in walls if wall.separates(companies)), key=lambda w: (w.first, w.second), default=None)
    if hit is None:
        return None
    return Refusal(Code.WALL_STANDS, f"a wall stands between {hit.first} and {hit.second}: {hit.reason}")
