"""``conclave hold``."""

from typing import Annotated, Any

import typer

from bridge.cli.client import segment
from bridge.cli.company import enforcement
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, Yes, confirm, day, listing, say, write_json
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Legal holds: what they cover is neither taken back nor deleted.",
)
APPS = {"hold": app}


@app.command()
def place(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    partnership: Annotated[
        str | None, typer.Option(help="The id of a partnership or committee.", show_default=False)
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Id, e-mail address or Matrix user id.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Begin a hold on a partnership, a committee or a person."""
    if (partnership is None) == (person is None):
        raise CallFailedError(
            "a hold covers a partnership, a committee or a person: name one of them",
            code="invalid_input",
            hint="conclave hold place --partnership ID --reason TEXT",
            usage=True,
        )
    body = {"partnership": partnership, "person": person, "reason": reason}
    _changed(client_of(ctx).post("/v1/holds", body), as_json, "placed")


@app.command()
def lift(
    ctx: typer.Context,
    hold: Annotated[str, typer.Argument(help="The hold's id.")],
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End a hold. What another hold covers too stays held."""
    confirm(f"Lift {hold}? What it covered may be taken back and deleted again.", yes)
    _changed(client_of(ctx).post(f"/v1/holds/{segment(hold)}/lift", {"reason": reason}), as_json, "lifted")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """Every hold that ever was."""
    listing(
        client_of(ctx).items("/v1/holds"),
        as_json,
        [
            ("id", lambda row: row["id"]),
            ("covers", _covers),
            ("reason", lambda row: row["reason"]),
            ("placed", lambda row: day(row["placed_at"])),
            ("lifted", lambda row: day(row["lifted_at"])),
        ],
        "No hold. Next: conclave hold place --partnership ID --reason TEXT",
    )


def _covers(row: dict[str, Any]) -> str:
    return f"engagement {row['partnership']}" if row["person"] is None else f"person {row['person']}"


def _changed(answer: dict[str, Any], as_json: bool, done: str) -> None:
    if as_json:
        write_json(answer)
    else:
        say(f"Hold {answer['hold']['id']} on {_covers(answer['hold'])} {done}{enforcement(answer)}")
