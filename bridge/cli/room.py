"""``conclave room``."""

from typing import Annotated, Any

import typer

from bridge.cli.client import segment
from bridge.cli.output import Json, listing, show
from bridge.cli.session import client_of

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Managed rooms.")
APPS = {"room": app}


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All rooms."""
    listing(
        client_of(ctx).items("/v1/rooms"),
        as_json,
        [
            ("name", lambda row: row["name"]),
            ("kind", lambda row: row["kind"]),
            ("engagement", lambda row: row["engagement"]),
            ("people", lambda row: str(row["members"])),
            ("recording", lambda row: row["recording"]),
            ("state", lambda row: row["problem"] or ("ready" if row["settled"] else "being set up")),
            ("room", lambda row: row["room_id"] or "–"),
            ("key", lambda row: row["key"]),
        ],
        "No room yet. Next: conclave partnership open COMPANY --team TEAM, or conclave committee open NAME",
    )


@app.command("show")
def show_(
    ctx: typer.Context, room: Annotated[str, typer.Argument(help="Key or Matrix room id.")], as_json: Json = False
) -> None:
    """One room: its charter, who is in it, and what is wrong with it if anything is."""
    found = client_of(ctx).get(f"/v1/rooms/{segment(room)}")
    encryption = "carries no conversation" if found["kind"] == "space" else "end to end, from creation"
    show(
        found,
        as_json,
        [
            ("name", found["name"]),
            ("kind", found["kind"]),
            ("topic", found["topic"]),
            ("engagement", found["engagement"]),
            ("room", found["room_id"] or "not made yet"),
            ("key", found["key"]),
            ("version", found["room_version"]),
            ("history", found["history_visibility"]),
            ("encryption", encryption),
            ("recording", found["recording"]),
            ("open", "yes" if found["open"] else "closed for good"),
            *_state(found),
            ("people", ", ".join(found["people"]) or "nobody"),
        ],
    )


def _state(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Whether the room is as it should be; if not, why not, since when, and what happens next."""
    state = "as its charter says" if found["settled"] else "being set up"
    if found["waiting"]:
        state = f"{found['waiting']} to be applied: conclave plan --engagement {found['engagement']}"
    lines = [("state", found["problem"] or state)]
    if found["problem"]:
        lines += [("stuck since", found["stuck_since"]), ("next try", found["next_try"])]
    return lines + [
        ("drift", f"{item['type']} {item['state_key']}, since {item['found_at']}") for item in found["drift"]
    ]
