"""``conclave partnership``."""

from typing import Annotated, Any

import typer

from bridge.cli.client import HubClient, segment
from bridge.cli.output import Json, Yes, confirm, day, listing, say, show, write_json
from bridge.cli.rooms_settled import settled
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Partnerships: a Space with rooms, shared with one company.",
)
APPS = {"partnership": app}

_OPEN = "Open. Everyone concerned sees it in their client now."
_EMPTY = "Open, and empty: people come in as they enrol. Next: conclave person invite"

Partnership = Annotated[str, typer.Argument(help="The partnership's id, such as northwind.")]
Wait = Annotated[bool, typer.Option(help="Wait until every room is as it should be.")]


@app.command("open")
def open_(
    ctx: typer.Context,
    partner: Annotated[str, typer.Argument(help="The company's id.")],
    team: Annotated[str, typer.Option(help="The team of the host company that takes part.")],
    template: Annotated[str, typer.Option(help="Which rooms.")] = "reseller",
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Begin a partnership: a Space with the template's rooms, and everyone concerned in them."""
    client = client_of(ctx)
    found = client.post("/v1/partnerships", {"partner": partner, "team": team, "template": template})
    if wait:
        found = settled(client, f"/v1/partnerships/{segment(found['id'])}")
    if as_json:
        write_json(found)
        return
    for room in found["rooms"]:
        say(f"  + {room['kind']:<8} {room['name']:<24} {_features(room)}")
    say(f"  + people   {_people(client, partner, team)}")
    if found["settled"]:
        say(_OPEN if any(room["members"] for room in found["rooms"]) else _EMPTY)
    else:
        say(f"Opening. Next: conclave partnership show {found['id']}")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All partnerships."""
    listing(
        client_of(ctx).items("/v1/partnerships"),
        as_json,
        [
            ("id", lambda row: row["id"]),
            ("partner", lambda row: row["partner"]),
            ("template", lambda row: row["template"]),
            ("team", lambda row: row["team"]),
            ("status", lambda row: row["status"]),
            ("opened", lambda row: day(row["opened_at"])),
            ("closed", lambda row: day(row["closed_at"])),
        ],
        "No partnership yet. Next: conclave partnership open COMPANY --team TEAM",
    )


@app.command("show")
def show_(ctx: typer.Context, partnership: Partnership, as_json: Json = False) -> None:
    """One partnership with its rooms."""
    found = client_of(ctx).get(f"/v1/partnerships/{segment(partnership)}")
    rooms = [(room["kind"], f"{room['name']}: {room['members']} people, {_state(room)}") for room in found["rooms"]]
    show(
        found,
        as_json,
        [
            ("id", found["id"]),
            ("partner", found["partner"]),
            ("team", found["team"]),
            ("template", found["template"]),
            ("status", found["status"]),
            ("opened", f"{day(found['opened_at'])} by {found['opened_by']}"),
            ("closed", day(found["closed_at"])),
            *rooms,
        ],
    )


@app.command()
def close(
    ctx: typer.Context,
    partnership: Partnership,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    wait: Wait = True,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End a partnership: nothing more can be said in its rooms, people leave them, the record stays."""
    confirm(f"Close {partnership} for good?", yes)
    client = client_of(ctx)
    found = client.post(f"/v1/partnerships/{segment(partnership)}/close", {"reason": reason})
    if wait:
        found = settled(client, f"/v1/partnerships/{segment(found['id'])}")
    if as_json:
        write_json(found)
    elif found["settled"]:
        say(f"Closed. {len(found['rooms'])} rooms are frozen and everybody has left them; the record stays.")
    else:
        say(f"Closing: nothing more can be said. Next: conclave partnership show {found['id']}")


def _features(room: dict[str, Any]) -> str:
    if room["kind"] == "space":
        return "lists the rooms, carries no conversation"
    return f"encrypted, history from joining on, {room['recording']}"


def _state(room: dict[str, Any]) -> str:
    if room["problem"]:
        return f"stuck: {room['problem']}"
    return "as it should be" if room["settled"] else "being set up"


def _people(client: HubClient, partner: str, team: str) -> str:
    members = client.get(f"/v1/teams/{segment(team)}")["people"]
    guests = list(client.items("/v1/people", company=partner))
    return f"{_count(members)} of the team {team}, {_count(guests)} of {partner}"


def _count(people: list[dict[str, Any]]) -> str:
    active = sum(one["status"] == "active" for one in people)
    invited = sum(one["status"] == "invited" for one in people)
    return f"{active} ({invited} more when they enrol)" if invited else str(active)
