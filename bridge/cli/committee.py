"""``conclave committee``."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from bridge.cli.answers import answer, answers
from bridge.cli.client import HubClient, segment
from bridge.cli.output import Json, Yes, confirm, listing, note, say, show, write_json
from bridge.cli.rooms_settled import settled
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Committees: buyers hear vendors, clear the room, decide.",
)
APPS = {"committee": app}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The committee's id, such as crm-2027.")]
Vendor = Annotated[str, typer.Argument(metavar="COMPANY", help="The vendor's company id.")]
Wait = Annotated[bool, typer.Option(help="Wait until every room is as it should be.")]
_LATE = "What who joins late gets of the deliberation room; it cannot be changed later."
_LATE_MEMBERS = {
    "see-all": "who joins gets all of the deliberation room from the server",
    "from-joining": "who joins gets what is said from then on",
}
_TIME = "RFC 3339 with its zone, such as 2027-02-11T09:00:00Z."


class Late(StrEnum):
    """What a member who joins late gets of what was said before."""

    SEE_ALL = "see-all"
    FROM_JOINING = "from-joining"


@app.command("open")
def open_(  # noqa: PLR0913, PLR0917  # each is an option of the command
    ctx: typer.Context,
    name: Name,
    chair: Annotated[str, typer.Option(help="Who chairs: id, e-mail address or Matrix user id.")],
    members: Annotated[str, typer.Option(help="The others of the buyer who decide, with commas between them.")] = "",
    title: Annotated[str, typer.Option(help="What it is called in clients; the name where none is given.")] = "",
    buyer: Annotated[str, typer.Option(help="The company that decides; the host where none is given.")] = "",
    late_members: Annotated[Late, typer.Option(help=_LATE)] = Late.FROM_JOINING,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Begin a committee: a Space and a deliberation room, in which no vendor ever is."""
    people = [item.strip() for item in members.split(",") if item.strip()]
    body: dict[str, Any] = {"id": name, "title": title or name, "chair": chair, "members": people or [chair]}
    body["late_members"] = late_members.value
    found = _call(ctx, "", {**body, "buyer": buyer} if buyer else body, wait)
    if as_json:
        write_json(found)
        return
    for room in found["rooms"]:
        say(f"  + {room['kind']:<8} {room['name']}")
    say(f"Open. {len(found['members'])} members come in as each declares: conclave committee declare {name} --none")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All committees."""
    listing(
        client_of(ctx).items("/v1/committees"),
        as_json,
        [
            ("id", lambda row: row["id"]),
            ("title", lambda row: row["title"]),
            ("buyer", lambda row: row["buyer"]),
            ("phase", lambda row: row["phase"]),
            ("vendors", lambda row: str(len(row["vendors"]))),
        ],
        "No committee yet. Next: conclave committee open NAME --chair PERSON --members …",
    )


@app.command("show")
def show_(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """One committee: its phase, members, vendors and rooms."""
    found = client_of(ctx).get(f"/v1/committees/{segment(name)}")
    rooms = {room["key"]: room for room in found["rooms"]}
    show(
        found,
        as_json,
        [
            ("id", found["id"]),
            ("title", found["title"]),
            ("buyer", f"{found['buyer']}, chaired by {found['chair']}"),
            ("phase", found["phase"]),
            ("pitch", _time(found["pitch_at"])),
            ("clear", _time(found["clear_at"])),
            ("decided", "–" if found["winner"] is None else f"{found['winner']}, {_time(found['decided_at'])}"),
            ("standstill", "–" if found["standstill_until"] is None else f"until {_time(found['standstill_until'])}"),
            ("late", _LATE_MEMBERS[found["late_members"]]),
            *(("member", f"{one['user_id']}: {one['declared'] or 'has not declared'}") for one in found["members"]),
            *(("vendor", f"{one['vendor']}: {_state(rooms[one['pitch']])}") for one in found["vendors"]),
            *((room["kind"], f"{room['name']}: {_state(room)}") for room in found["rooms"]),
            ("findings", _findings(found)),
        ],
    )


@app.command()
def timeline(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """What happened to a committee, each line an entry of the ledger."""
    found = client_of(ctx).get(f"/v1/committees/{segment(name)}/timeline")
    listing(
        found["items"],
        as_json,
        [
            ("entry", lambda row: f"{row['position']:,}"),
            ("at", lambda row: _time(row["at"])),
            ("what", lambda row: row["kind"]),
            ("vendor", lambda row: row["vendor"] or ""),
            ("who", lambda row: row["actor"]),
        ],
        "Nothing is in the log yet; it follows within a second.",
    )


@app.command("add-vendor")
def add_vendor(ctx: typer.Context, name: Name, vendor: Vendor, wait: Wait = True, as_json: Json = False) -> None:
    """Ask a company to pitch: it gets a room with the buyers, where it sees nobody else."""
    found = _call(ctx, f"/{segment(name)}/vendors", {"vendor": vendor}, wait)
    _tell(found, as_json, f"{vendor} has its pitch room; its people come in when the pitches begin.")


@app.command("add-member")
def add_member(
    ctx: typer.Context,
    name: Name,
    person: Annotated[str, typer.Argument(help="Id, e-mail address or Matrix user id.")],
    as_json: Json = False,
) -> None:
    """Take one more of the buyer's people in, once they declared; what they get of before, show says."""
    found = _call(ctx, f"/{segment(name)}/members", {"person": person}, wait=False)
    _tell(found, as_json, f"{person} comes in once they declared: conclave committee declare {name} --none")


@app.command()
def declare(
    ctx: typer.Context,
    name: Name,
    none: Annotated[bool, typer.Option("--none", help="I have no conflict of interest.")] = False,
    conflict: Annotated[str, typer.Option(help="I have one: which; it can be erased later.")] = "",
    as_json: Json = False,
) -> None:
    """Say for yourself whether you have a conflict of interest; with one, the rooms stay shut for you."""
    if none == bool(conflict):
        note("say either --none or --conflict TEXT")
        raise typer.Exit(2)
    body = {"conflict": not none, "statement": conflict}
    found = _call(ctx, f"/{segment(name)}/declare", body, wait=False)
    _tell(found, as_json, "Recorded. You come in now." if none else "Recorded. The rooms stay shut for you.")


@app.command()
def schedule(
    ctx: typer.Context,
    name: Name,
    pitch: Annotated[str, typer.Option(help=f"When vendors come in: {_TIME}")] = "",
    clear: Annotated[str, typer.Option(help=f"When they must be out: {_TIME}")] = "",
    as_json: Json = False,
) -> None:
    """Set when vendors come in and must be out; it is held to even while the hub is down."""
    if not pitch and not clear:
        note("say --pitch TIME or --clear TIME, or both")
        raise typer.Exit(2)
    body = {"pitch_at": pitch or None, "clear_at": clear or None}
    found = _call(ctx, f"/{segment(name)}/schedule", body, wait=False)
    _tell(found, as_json, f"Vendors in at {_time(found['pitch_at'])}, out at {_time(found['clear_at'])}.")


@app.command()
def start(ctx: typer.Context, name: Name, wait: Wait = True, as_json: Json = False) -> None:
    """Let the vendors into their pitch rooms, now."""
    found = _call(ctx, f"/{segment(name)}/start", {}, wait)
    _tell(found, as_json, f"Pitch. {len(found['vendors'])} vendors are in, each in a room of its own.")


app.command()(answer)
app.command()(answers)


@app.command()
def clear(ctx: typer.Context, name: Name, wait: Wait = True, yes: Yes = False, as_json: Json = False) -> None:
    """Clear the room: every vendor leaves, now; the pitch rooms are frozen for the buyers to read."""
    before = client_of(ctx).get(f"/v1/committees/{segment(name)}")
    vendors = [one["vendor"] for one in before["vendors"]]
    if not as_json:
        note(
            f"{len(vendors)} vendors leave their pitch rooms now: {', '.join(vendors)}. They keep what they have seen;"
        )
        note("they see nothing more.")
    confirm("Clear the room?", yes)
    found = _call(ctx, f"/{segment(name)}/clear", {}, wait)
    if as_json:
        write_json(found)
        return
    for vendor in vendors:
        say(f"  {'✓' if found['settled'] else '…'} {vendor}")
    say(f"Deliberation, until decided. conclave committee timeline {name} shows the whole story.")


@app.command()
def decide(
    ctx: typer.Context,
    name: Name,
    winner: Annotated[str, typer.Option(help="The vendor that was chosen.")],
    standstill_days: Annotated[int, typer.Option(help="For so many days the committee cannot be closed.")] = 0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Choose a vendor. No vendor is told: that is for you to do."""
    confirm(f"Choose {winner} for {name}, for good?", yes)
    body = {"winner": winner, "standstill_days": standstill_days}
    found = _call(ctx, f"/{segment(name)}/decide", body, wait=False)
    _tell(found, as_json, f"Decided: {winner}. No vendor was told.")


@app.command()
def debrief(ctx: typer.Context, name: Name, vendor: Vendor, wait: Wait = True, as_json: Json = False) -> None:
    """Open a room for the buyers and one vendor, after the decision."""
    found = _call(ctx, f"/{segment(name)}/debrief", {"vendor": vendor}, wait)
    _tell(found, as_json, f"The debriefing of {vendor} is open.")


@app.command()
def close(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    wait: Wait = True,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End a committee: nothing more can be said in its rooms, people leave them, the record stays."""
    confirm(f"Close {name} for good?", yes)
    found = _call(ctx, f"/{segment(name)}/close", {"reason": reason}, wait)
    _tell(found, as_json, "Closed. Everybody has left its rooms; the record stays.")


def _call(ctx: typer.Context, path: str, body: dict[str, Any], wait: bool) -> dict[str, Any]:
    client: HubClient = client_of(ctx)
    found = client.post(f"/v1/committees{path}", body)
    return settled(client, f"/v1/committees/{segment(found['id'])}") if wait else found


def _tell(found: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        write_json(found)
        return
    say(text)
    if not found["enforced"]:
        note("The homeserver does not answer; it is told as soon as it does.")


def _state(room: dict[str, Any]) -> str:
    if room["problem"]:
        return f"stuck: {room['problem']}"
    people = "1 person" if room["members"] == 1 else f"{room['members']} people"
    return f"{people}, {'as it should be' if room['settled'] else 'being set up'}"


def _findings(found: dict[str, Any]) -> str:
    count = found["reused_sessions"]
    if not count:
        return "none"
    messages = "1 message" if count == 1 else f"{count} messages"
    return f"{messages} that somebody who is out may open: conclave committee timeline {found['id']}"


def _time(text: str | None) -> str:
    return "–" if text is None else f"{text[:10]} {text[11:19]}"
