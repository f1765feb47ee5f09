"""``conclave role``."""

from typing import Annotated

import typer

from bridge.cli.output import Json, listing, say, write_json
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Who of the host company may do what."
)
APPS = {"role": app}

Person = Annotated[str, typer.Argument(help="Id, e-mail address or Matrix user id.")]
Role = Annotated[str, typer.Argument(help="admin, partner-manager, compliance-officer or auditor.")]


@app.command()
def grant(ctx: typer.Context, person: Person, role: Role, as_json: Json = False) -> None:
    """Let a person of the host company do more."""
    answer = client_of(ctx).post("/v1/roles/grant", {"person": person, "role": role})
    if as_json:
        write_json(answer)
    else:
        say(f"{answer['name']} is {role} now.")


@app.command()
def revoke(ctx: typer.Context, person: Person, role: Role, as_json: Json = False) -> None:
    """Take a role back."""
    answer = client_of(ctx).post("/v1/roles/revoke", {"person": person, "role": role})
    if as_json:
        write_json(answer)
    else:
        say(f"{answer['name']} is {role} no more.")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """Everyone who holds a role."""
    listing(
        client_of(ctx).items("/v1/roles"),
        as_json,
        [
            ("name", lambda row: row["name"]),
            ("role", lambda row: row["role"]),
            ("person", lambda row: row["person"]),
        ],
        "Nobody holds a role.",
    )
