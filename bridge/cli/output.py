"""What commands write: data to standard output, as tables for people or JSON for programs; messages beside it."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.printable import printable
from bridge.cli.acting import say_who_acts
from bridge.cli.errors import CallFailedError

Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
PIPE_WIDTH = 200
MAX_CELL = 2_000


def say(text: str) -> None:
    """A line for people, on standard output."""
    typer.echo(text)


def note(text: str) -> None:
    """A line beside the data, on standard error."""
    typer.echo(text, err=True)


def write_json(value: Any) -> None:
    """One JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show(value: Any, as_json: bool, lines: Iterable[tuple[str, str]]) -> None:
    """One thing: as JSON, or as its members below one another."""
    if as_json:
        write_json(value)
        return
    rows = list(lines)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        say(f"{name.ljust(width)}  {printable(text, MAX_CELL)}")


def listing(
    items: Iterable[dict[str, Any]],
    as_json: bool,
    columns: Sequence[tuple[str, Callable[[dict[str, Any]], str]]],
    empty: str,
) -> None:
    """Many things: as a JSON array, or as a table; ``empty`` is said when there is none."""
    rows = list(items)
    if as_json:
        write_json(rows)
        return
    if not rows:
        note(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, _ in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(printable(value(row), MAX_CELL) for _, value in columns))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False).print(table)


def day(time: str | None) -> str:
    """The date of an RFC 3339 time, or a dash."""
    return time[:10] if time else "–"


def check_parent(out: Path) -> None:
    """Find out before anything is asked for, and so recorded, whether ``out`` can be written; no folder is made for it.

    Raises:
        CallFailedError: It cannot.
    """
    if not out.parent.is_dir():
        detail = f"cannot write {out}: there is no folder {out.parent}"
        raise CallFailedError(detail, code="out", hint="make the folder, or name another place: --out", usage=True)
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise CallFailedError(
            f"cannot write to {out.parent}: {error.strerror}", code="out", hint="name another folder", usage=True
        ) from None


def confirm(question: str, yes: bool) -> None:
    """Go on when the person agrees; ``--yes`` agrees, and off a terminal nothing is asked.

    Raises:
        CallFailedError: It would have to be asked, and there is no terminal.
        typer.Exit: They do not, or they leave with Ctrl-C or Ctrl-D.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CallFailedError(f"{question} Not asked off a terminal; say --yes.", code="not_asked", usage=True)
    say_who_acts()
    try:
        agreed = typer.confirm(question, default=False)
    except typer.Abort:
        agreed = False
        note("")
    if not agreed:
        note("Nothing was changed.")
        raise typer.Exit(1)


def counted(number: int, noun: str) -> str:
    """``1 vendor``, ``2 vendors``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
