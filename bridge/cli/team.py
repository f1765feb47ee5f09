"""``conclave team``."""

from typing import Annotated, Any

import typer

from bridge.cli.client import segment
from bridge.cli.company import enforcement
from bridge.cli.output import Json, listing, say, show, write_json
from bridge.cli.session import client_of

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Teams of the host company.")
APPS = {"team": app}

Team = Annotated[str, typer.Argument(help="The team's name, such as partner-north.")]
Person = Annotated[str, typer.Argument(help="Id, e-mail address or Matrix user id.")]


@app.command()
def add(ctx: typer.Context, team: Team, person: Person, as_json: Json = False) -> None:
    """Put a person of the host company into a team; they enter the rooms of its partnerships."""
    answer = client_of(ctx).post(f"/v1/teams/{segment(team)}/join", {"person": person})
    _changed(answer, as_json, f"in the team {team}")


@app.command()
def remove(ctx: typer.Context, team: Team, person: Person, as_json: Json = False) -> None:
    """Take a person out of a team; they leave the rooms of its partnerships."""
    answer = client_of(ctx).post(f"/v1/teams/{segment(team)}/leave", {"person": person})
    _changed(answer, as_json, f"no longer in the team {team}")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All teams."""
    listing(
        client_of(ctx).items("/v1/teams"),
        as_json,
        [("team", lambda row: row["team"]), ("people", lambda row: str(row["people"]))],
        "No team yet. Next: conclave team add TEAM PERSON",
    )


@app.command("show")
def show_(ctx: typer.Context, team: Team, as_json: Json = False) -> None:
    """Who is in a team."""
    found = client_of(ctx).get(f"/v1/teams/{segment(team)}")
    people = [f"{one['name']} ({one['status']})" for one in found["people"]]
    show(found, as_json, [("team", found["team"]), ("people", ", ".join(people))])


def _changed(answer: dict[str, Any], as_json: bool, state: str) -> None:
    if as_json:
        write_json(answer)
    else:
        say(f"{answer['person']['name']} is {state}{enforcement(answer)}")
