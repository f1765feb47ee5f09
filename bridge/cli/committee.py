"""``conclave committee``."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from bridge.cli.answers import answer, answers
from bridge.cli.committee_calls import PATH, attending, call, clock, path_of, tell, tried, warn_of_absent
from bridge.cli.committee_seats import add_member, chair, declare, remove_member
from bridge.cli.committee_story import timeline
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, Yes, confirm, counted, listing, note, say, show, write_json
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
_STANDSTILL = "For so many days the committee cannot be closed."
_TIME = "RFC 3339 with its zone, such as 2027-02-11T09:00:00Z."


class Late(StrEnum):
    """What a member who joins late gets of what was said before."""

    SEE_ALL = "see-all"
    FROM_JOINING = "from-joining"


@app.command("open")
def open_(  # noqa: PLR0913, PLR0917  # each is an option of the command
    ctx: typer.Context,
    name: Name,
    chair_: Annotated[str, typer.Option("--chair", help="Who chairs: id, e-mail address or Matrix user id.")],
    members: Annotated[str, typer.Option(help="The others of the buyer who decide, with commas between them.")] = "",
    title: Annotated[str | None, typer.Option(help="What it is called in clients; the name where not given.")] = None,
    buyer: Annotated[str, typer.Option(help="The company that decides; the host where none is given.")] = "",
    late_members: Annotated[Late, typer.Option(help=_LATE)] = Late.FROM_JOINING,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Begin a committee: a Space and a deliberation room, in which no vendor ever is."""
    people = [item.strip() for item in members.split(",") if item.strip()]
    if members and not people:
        raise _wrong("open", f"--members {members!r} names nobody; expected people with commas between them")
    if title is not None and not title.strip():
        raise _wrong("open", "--title is empty; expected what the committee is called in clients")
    body: dict[str, Any] = {"id": name, "title": title or name, "chair": chair_, "members": people or [chair_]}
    body["late_members"] = late_members.value
    found = call(ctx, PATH, {**body, "buyer": buyer} if buyer else body, wait)
    if as_json:
        write_json(found)
        return
    for room in found["rooms"]:
        say(f"  + {room['kind']:<8} {room['name']}")
    many = counted(len(found["members"]), "member")
    say(f"Open. {many} to come in, as each declares: conclave committee declare {name} --none")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All committees."""
    listing(
        client_of(ctx).items(PATH),
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
    found = client_of(ctx).get(path_of(name))
    show(
        found,
        as_json,
        [
            ("id", found["id"]),
            ("title", found["title"]),
            ("buyer", found["buyer"]),
            ("phase", found["phase"]),
            ("pitch", clock(found["pitch_at"])),
            ("clear", clock(found["clear_at"])),
            ("decided", _decision(found)),
            ("standstill", "–" if found["standstill_until"] is None else f"until {clock(found['standstill_until'])}"),
            ("late", _LATE_MEMBERS[found["late_members"]]),
            *(("member", _member(one, found["chair"])) for one in found["members"]),
            *(("vendor", attending(one)) for one in found["attendance"]),
            *((room["kind"], f"{room['name']}: {_state(room)}") for room in found["rooms"]),
            ("findings", _findings(found)),
        ],
    )


@app.command("add-vendor")
def add_vendor(ctx: typer.Context, name: Name, vendor: Vendor, wait: Wait = True, as_json: Json = False) -> None:
    """Ask a company to pitch: it gets a room with the buyers, where it sees nobody else."""
    found = call(ctx, path_of(name, "/vendors"), {"vendor": vendor}, wait)
    tell(found, as_json, f"{vendor} has its pitch room; its people come in when the pitches begin.")


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
        raise _wrong("schedule", "say --pitch TIME or --clear TIME, or both")
    body = {"pitch_at": _moment("--pitch", pitch), "clear_at": _moment("--clear", clear)}
    found = call(ctx, path_of(name, "/schedule"), body, wait=False)
    tell(found, as_json, _planned(found))


@app.command()
def start(ctx: typer.Context, name: Name, wait: Wait = True, yes: Yes = False, as_json: Json = False) -> None:
    """Let the vendors into their pitch rooms, now, whatever time was set for it."""
    before = tried(ctx, name, "start")
    warn_of_absent(before)
    if before["pitch_at"] is not None and not as_json:
        note(f"The pitches were to begin at {clock(before['pitch_at'])}; they begin now instead.")
    confirm(f"Let {counted(len(before['vendors']), 'vendor')} in?", yes)
    found = call(ctx, path_of(name, "/start"), {}, wait)
    tell(found, as_json, f"Pitch, each in a room of its own. {'; '.join(map(attending, found['attendance']))}.")


app.command()(timeline)
app.command("add-member")(add_member)
app.command("remove-member")(remove_member)
app.command("chair")(chair)
app.command()(declare)
app.command()(answer)
app.command()(answers)


@app.command()
def clear(ctx: typer.Context, name: Name, wait: Wait = True, yes: Yes = False, as_json: Json = False) -> None:
    """Clear the room: every vendor leaves, now; the pitch rooms are frozen for the buyers to read."""
    before = tried(ctx, name, "clear")
    vendors = [one["vendor"] for one in before["vendors"]]
    if not as_json:
        note(
            f"Out of {'its pitch room' if len(vendors) == 1 else 'their pitch rooms'} now: {', '.join(vendors)}. What"
            " was seen there they keep;"
        )
        note("they see nothing more.")
    confirm("Clear the room?", yes)
    found = call(ctx, path_of(name, "/clear"), {}, wait)
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
    standstill_days: Annotated[int, typer.Option(min=0, max=365, help=_STANDSTILL)] = 0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Choose a vendor. No vendor is told: that is for you to do."""
    tried(ctx, name, "decide", vendor=winner)
    confirm(f"Choose {winner} for {name}, for good?", yes)
    body = {"winner": winner, "standstill_days": standstill_days}
    found = call(ctx, path_of(name, "/decide"), body, wait=False)
    tell(found, as_json, f"Decided: {winner}. No vendor was told.")


@app.command()
def debrief(  # each is an option of the command
    ctx: typer.Context, name: Name, vendor: Vendor, wait: Wait = True, yes: Yes = False, as_json: Json = False
) -> None:
    """Open a room for the buyers and one vendor, after the decision; every vendor may have one, also at a time."""
    tried(ctx, name, "debrief", vendor=vendor)
    confirm(f"Let everybody of {vendor} into a room with the buyers?", yes)
    found = call(ctx, path_of(name, "/debrief"), {"vendor": vendor}, wait)
    tell(found, as_json, f"The debriefing of {vendor} is open.")


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
    before = tried(ctx, name, "close")
    if before["winner"] is None and not as_json:
        note(f"Nothing was decided: {name} is in phase {before['phase']}.")
    confirm(f"Close {name} for good?", yes)
    found = call(ctx, path_of(name, "/close"), {"reason": reason}, wait)
    tell(found, as_json, "Closed. Everybody has left its rooms; the record stays.")


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


def _member(one: dict[str, Any], chair_: str) -> str:
    said = {"none": "declared no conflict", "conflict": "declared a conflict, and is out"}
    seat = ", chair" if one["person"] == chair_ else ""
    return f"{one['name']}{seat}, {one['user_id']}: {said.get(one['declared'], 'has not declared')}"


def _decision(found: dict[str, Any]) -> str:
    if found["winner"] is not None:
        return f"{found['winner']}, {clock(found['decided_at'])}"
    return "nothing: it was closed before" if found["phase"] == "closed" else "–"


def _planned(found: dict[str, Any]) -> str:
    said = [
        f"{word} at {clock(found[name])}" for word, name in (("in", "pitch_at"), ("out", "clear_at")) if found[name]
    ]
    return f"Vendors {', '.join(said)}."


def _moment(option: str, text: str) -> str | None:
    """The time that an option gives, as it was written; ``None`` where it is not given.

    Raises:
        CallFailedError: It is no time, or has no zone.
    """
    if not text:
        return None
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        raise _wrong("schedule", f"{option} {text!r} is no time; expected {_TIME}") from None
    if zone is None:
        raise _wrong("schedule", f"{option} {text!r} lacks its zone; expected {_TIME}")
    return text


def _wrong(command: str, text: str) -> CallFailedError:
    hint = f"conclave committee {command} --help"
    return CallFailedError(text.removesuffix("."), code="usage", hint=hint, usage=True)
