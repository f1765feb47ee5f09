"""``conclave audit``."""

import base64
import json
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from audit.printable import printable
from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.fetching import fetch_bundle
from bridge.cli.output import Json, check_parent, say, show, write_json
from bridge.cli.proving import prove
from bridge.cli.removals import removal
from bridge.cli.session import client_of
from bridge.cli.verifying import verify

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The ledger: tail, prove, export, verify."
)
APPS = {"audit": app}

FOLLOW_S = 0.5


@app.command()
def tail(
    ctx: typer.Context,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest to show.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as guard.refused.")] = None,
    room: Annotated[str | None, typer.Option(help="Only this room: its key or Matrix id.")] = None,
    as_json: Json = False,
) -> None:
    """The newest entries, the newest last; with --json one entry a line."""
    client = client_of(ctx)
    size = client.get("/v1/ledger")["size"]
    start = max(0, size - lines) if kind is None and room is None else 0
    entries = _entries(client, start, kind, room)
    for entry in entries[-lines:] if lines else []:
        _write_line(entry, as_json)
    at = max([size, *(entry["position"] + 1 for entry in entries)])
    while follow:
        time.sleep(FOLLOW_S)
        for entry in _entries(client, at, kind, room):
            _write_line(entry, as_json)
            at = entry["position"] + 1


def _entries(client: HubClient, start: int, kind: str | None, room: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get("/v1/ledger/entries", start=start, kind=kind, room=room, limit=500)
        found += answer["items"]
        if answer["next"] is None:
            return found
        start = int(answer["next"])


def _write_line(entry: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(entry, ensure_ascii=False))
        return
    body = entry["entry"]
    ((kind, actor),) = body["actor"].items()
    who = entry["names"].get(actor, actor) if kind == "person" else actor
    when = entry["at"][:19].replace("T", " ")
    line = f"{entry['position']:>8,}  {when}  {entry['kind']:<22}  {who:<20}  {_about(entry)}"
    typer.echo(printable(line.rstrip(), 1_000))


_ABOUT = (
    "code",
    "act",
    "count",
    "company",
    "person",
    "team",
    "role",
    "subject",
    "left",
    "before",
    "room_type",
    "type",
    "reason",
)


def _about(entry: dict[str, Any]) -> str:
    """The telling members of an entry's data."""
    body, parts = entry["entry"], []
    for name in _ABOUT:
        value = body["data"].get(name)
        if isinstance(value, dict):
            value = next(iter(value.values()))
        if isinstance(value, list):
            value = " and ".join(str(entry["names"].get(item, item)) for item in value)
        if value is not None and not (name == "type" and entry["kind"] != "state.changed"):
            parts.append(f"{name} {entry['names'].get(value, value)}" if name != "reason" else f"“{value}”")
    parts += [f"{name} {value}" for name, value in sorted(entry["disclosed"].items()) if name in _ABOUT]
    room = body.get("room", body["data"].get("place"))
    places = [entry["names"].get(room, room), body.get("engagement")]
    if any(places):
        parts.append(f"in {' of '.join(place for place in places if place)}")
    return ", ".join(parts)


@app.command("show")
def show_(
    ctx: typer.Context, entry: Annotated[int, typer.Argument(min=0, help="The entry's number.")], as_json: Json = False
) -> None:
    """One entry, checked here against the log's signed checkpoint."""
    from audit.keys import verify_signature
    from audit.note import Checkpoint, NoteError, VerifierKey, open_note
    from audit.tree import ProofError, leaf_hash, verify_inclusion

    client = client_of(ctx)
    found, key = client.get(f"/v1/ledger/entries/{entry}"), VerifierKey.parse(client.get("/v1/ledger")["vkey"])
    try:
        checkpoint = Checkpoint.parse(open_note(found["checkpoint"].encode(), key, verify_signature))
        proof = [base64.b64decode(node) for node in found["proof"]]
        leaf = leaf_hash(base64.b64decode(found["bytes"]))
        verify_inclusion(leaf, entry, checkpoint.size, proof, checkpoint.root)
    except (NoteError, ProofError) as error:
        raise CallFailedError(f"the proof of entry {entry} does not hold: {error}", code="proof") from None
    body = {**found["entry"], "at": found["at"]}
    rows = [(name, _plain(value)) for name, value in sorted(body.items()) if name not in ("v", "data")]
    rows += [(f"data.{name}", _plain(value)) for name, value in sorted(body["data"].items())]
    rows += [(f"disclosed.{name}", printable(value)) for name, value in sorted(found["disclosed"].items())]
    rows += [("names", ", ".join(f"{one} = {name}" for one, name in found["names"].items()) or "–")]
    rows += [("proof", f"in the log: {len(proof)} hashes lead to the checkpoint of {checkpoint.size:,} entries")]
    show(found, as_json, rows)


def _plain(value: Any) -> str:
    """A value as people read it: lists and objects without their brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else printable(str(value))


@app.command()
def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist.")],
    company: Annotated[
        str | None, typer.Option(help="Only the trail of this company's rooms, to be given to it.")
    ] = None,
    room: Annotated[str | None, typer.Option(help="Only the trail of this room, by key or Matrix id.")] = None,
    as_json: Json = False,
) -> None:
    """Write the whole trail, or that of a company or a room, into a folder that anyone can verify, offline."""
    if out.exists():
        raise CallFailedError(
            f"{out} exists already; an export is never written over another",
            code="exists",
            hint="name another folder",
            usage=True,
        )
    check_parent(out)
    client = client_of(ctx)
    order = client.post("/v1/exports", {"company": company, "room": room})
    files = fetch_bundle(client, order["entry"], out)
    if as_json:
        write_json({**order, "out": str(out), "files": files})
        return
    entries = json.loads((out / "manifest.json").read_bytes())["counts"]["entries"]
    say(f"  {entries:,} entries · {files} files · content is not in it")
    say(f"{out}/ written; this export is entry {order['entry']:,}.")
    say(f"Next: conclave audit verify {out} --vkey log.vkey    (the key that you got when the hub was set up)")


app.command()(prove)
app.command()(removal)


@app.command()
def reconcile(
    ctx: typer.Context,
    room: Annotated[str | None, typer.Option(help="Only this room, by key or Matrix id.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the ledger with the homeserver's own history of the rooms; exit status 1 where they differ."""
    client = client_of(ctx)
    rooms = [room] if room is not None else [item["key"] for item in client.items("/v1/rooms") if item["room_id"]]
    found = [client.get(f"/v1/ledger/rooms/{quote(name, safe='')}") for name in rooms]
    if as_json:
        write_json(found)
    else:
        for item in found:
            say(f"  {'✓' if item['agrees'] else '✗'} {item['room']}  {item['room_id']}  {item['events']:,} events")
            for name, what in _DIFFERENCES.items():
                for event_id in item[name]:
                    say(f"      {printable(event_id, 300)} {what}")
        events = sum(item["events"] for item in found)
        told = ": the ledger has each of them, once." if events and _agree(found) else "."
        say(f"{len(found)} rooms, {events:,} events{told}")
    if not _agree(found):
        raise typer.Exit(1)


_DIFFERENCES = {
    "unrecorded": "is at the homeserver and not in the ledger",
    "unknown": "is in the ledger and not at the homeserver",
    "repeated": "is in the ledger more than once",
}


def _agree(found: list[dict[str, Any]]) -> bool:
    return all(item["agrees"] for item in found)


app.command()(verify)
