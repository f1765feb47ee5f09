"""How the story is told: its narrator, its stage, and patience with what takes a while."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bridge.cli.client import HubClient

PASSWORD = "a password for the story only"  # noqa: S105  # of people who live for a minute
PATIENCE_S = 60
LOOK_S = 0.1

T = TypeVar("T")


class StoryError(Exception):
    """Something did not go as the story tells it."""


@dataclass(slots=True)
class Narrator:
    """Tells the story and takes its times."""

    seconds: dict[str, float] = field(default_factory=dict)

    def heading(self, text: str) -> None:
        """A new part."""
        print(f"\n{text}", flush=True)  # noqa: T201  # the story is this program's output

    def quote(self, text: str) -> None:
        """A detail."""
        print(f"      {text}", flush=True)  # noqa: T201  # as above

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """A step with its time."""
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)
        print(f"  ✓ {text}  ({self.seconds[name]:.1f} s)", flush=True)  # noqa: T201  # as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the story happens; ``suffix`` makes names unique on a hub that has heard it before."""

    client: HubClient
    place: Path
    out: Path
    host: str
    suffix: str

    @property
    def partner(self) -> str:
        """The partner's id."""
        return f"northwind{self.suffix}"

    @property
    def team(self) -> str:
        """The host's team."""
        return f"partner-north{self.suffix}"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What is counted."""

    events_sent: int = 0
    decrypted: int = 0
    refusals: int = 0
    entries: int = 0


async def call(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """A call of the hub's API, without holding up the clients."""
    return await asyncio.to_thread(function, *arguments, **options)


async def until(look: Callable[[], T | None], otherwise: str) -> T:
    """What ``look`` finds, as soon as it finds something."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        found = await call(look)
        if found is not None:
            return found
        if time.monotonic() > ends:
            raise StoryError(f"{otherwise} after {PATIENCE_S} s")
        await asyncio.sleep(LOOK_S)
