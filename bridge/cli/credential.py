"""``conclave credential``."""

from typing import Annotated

import typer

from bridge.cli.client import segment
from bridge.cli.output import Json, Yes, confirm, day, listing, note, say, write_json
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Credentials of people's devices."
)
APPS = {"credential": app}


@app.command()
def issue(
    ctx: typer.Context,
    person: Annotated[str, typer.Argument(help="Id, e-mail address or Matrix user id.")],
    device: Annotated[str, typer.Option(help='Such as "Dana\'s laptop".')],
    days: Annotated[int | None, typer.Option(help="How long it lives.")] = None,
    as_json: Json = False,
) -> None:
    """Make a credential for one device of a person of the host company. It is shown this once."""
    answer = client_of(ctx).post("/v1/credentials", {"person": person, "device": device, "days": days})
    if as_json:
        write_json(answer)
        return
    note(
        f"For {device}, until {day(answer['credential']['expires_at'])}; shown this once. Next: conclave login ADDRESS"
    )
    say(answer["token"])


@app.command("list")
def list_(
    ctx: typer.Context,
    person: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    as_json: Json = False,
) -> None:
    """All credentials, without their secrets."""
    listing(
        client_of(ctx).items("/v1/credentials", person=person),
        as_json,
        [
            ("id", lambda row: row["id"]),
            ("person", lambda row: row["person"]),
            ("device", lambda row: row["device"]),
            ("issued", lambda row: day(row["issued_at"])),
            ("expires", lambda row: day(row["expires_at"])),
            ("revoked", lambda row: day(row["revoked_at"])),
        ],
        "No credential.",
    )


@app.command()
def revoke(
    ctx: typer.Context,
    credential: Annotated[str, typer.Argument(help="The credential's id.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make a credential useless, at once."""
    confirm(f"Revoke {credential}?", yes)
    answer = client_of(ctx).post(f"/v1/credentials/{segment(credential)}/revoke")
    if as_json:
        write_json(answer)
    else:
        say(f"{answer['id']} on {answer['device']} works no more.")
