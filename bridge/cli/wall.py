"""``conclave wall``."""

from typing import Annotated

import typer

from bridge.cli.client import segment
from bridge.cli.output import Json, Yes, confirm, day, listing, say, write_json
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Walls: companies that must never meet."
)
APPS = {"wall": app}

First = Annotated[str, typer.Argument(metavar="COMPANY", help="One company's id.")]
Second = Annotated[str, typer.Argument(metavar="OTHER", help="The other company's id.")]
Reason = Annotated[str, typer.Option(help="Kept in the ledger.")]


@app.command()
def add(ctx: typer.Context, first: First, second: Second, reason: Reason, as_json: Json = False) -> None:
    """Keep two companies apart: no engagement that would bring them together is opened."""
    found = client_of(ctx).post("/v1/walls", {"first": first, "second": second, "reason": reason})
    if as_json:
        write_json(found)
    else:
        say(f"A wall stands between {found['first']} and {found['second']}.")


@app.command()
def remove(
    ctx: typer.Context, first: First, second: Second, reason: Reason, yes: Yes = False, as_json: Json = False
) -> None:
    """Let two companies meet again."""
    confirm(f"Take down the wall between {first} and {second}?", yes)
    path = f"/v1/walls/{segment(first)}/{segment(second)}/remove"
    found = client_of(ctx).post(path, {"reason": reason})
    if as_json:
        write_json(found)
    else:
        say(f"The wall between {found['first']} and {found['second']} is down: they may meet again.")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All walls."""
    listing(
        client_of(ctx).items("/v1/walls"),
        as_json,
        [
            ("company", lambda row: row["first"]),
            ("other", lambda row: row["second"]),
            ("reason", lambda row: row["reason"]),
            ("since", lambda row: day(row["added_at"])),
            ("by", lambda row: row["added_by"]),
        ],
        "No wall yet. Next: conclave wall add COMPANY OTHER --reason TEXT",
    )
