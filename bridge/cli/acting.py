"""What a command does in somebody's name: on whose credential it acts, and whether it asked a hub for a change yet."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Acting:
    """One command: what to say before its first change or question, and whether a hub was asked for a change."""

    notice: str = ""
    asked: bool = False


_RUNNING: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def acting() -> Iterator[Acting]:
    """The command that runs inside; outside of one, as in the demo, nothing is said or kept."""
    running = Acting()
    token = _RUNNING.set(running)
    try:
        yield running
    finally:
        _RUNNING.reset(token)


def act_as_administrator(place: str, url: str) -> None:
    """Have the command say, once and in time, that it acts by the credential in ``place``: nobody chose it."""
    if running := _RUNNING.get():
        running.notice = f"Acting as the hub's administrator, by {place}; as yourself: --hub {url}"


def say_who_acts() -> None:
    """Say it before a change or a question, where it was not said yet."""
    running = _RUNNING.get()
    if running is not None and running.notice:
        sys.stderr.write(f"{running.notice}\n")
        running.notice = ""


def ask_for_change() -> None:
    """Note that a hub is asked for a change now: from here on it may have been made."""
    say_who_acts()
    if running := _RUNNING.get():
        running.asked = True
