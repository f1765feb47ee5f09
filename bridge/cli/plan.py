"""``conclave plan`` and ``conclave apply``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, check_parent, note, say, write_json
from bridge.cli.session import client_of

CHANGES = 3
ROOMS_AT_ONCE = 20
SIGNS = {"create-room": "+", "add-member": "+", "remove-member": "-", "set-state": "~"}
MARKS = {"done": "✓", "done already": "·", "failed": "✗"}


def plan(
    ctx: typer.Context,
    engagement: Annotated[
        str | None, typer.Option(help="Only this partnership or committee.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan to a file.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show what would change so that every room is what its charter says; exit status 3 when something would."""
    if out is not None:
        check_parent(out)
    found = client_of(ctx).get("/v1/plan", engagement=engagement)
    if out is not None:
        _write(out, found)
    if as_json:
        write_json(found)
    else:
        _show(found, out)
    if found["rooms"]:
        raise typer.Exit(CHANGES)


def apply(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What conclave plan --out wrote.")],
    as_json: Json = False,
) -> None:
    """Carry out a plan, exactly; a plan that no longer fits is refused before anything is done."""
    client, found = client_of(ctx), _read(file)
    client.post("/v1/plan/apply", {"plan": found, "check": True})
    actions: list[dict[str, Any]] = []
    for part in _parts(found):
        for item in _apply(client, part):
            actions.append(item)
            if not as_json:
                problem = f": {item['problem']}" if item["problem"] else ""
                say(f"  {MARKS[item['status']]} {item['name']}  {item['text']}{problem}")
    failed = sum(item["status"] == "failed" for item in actions)
    if as_json:
        write_json({"actions": actions, "failed": failed})
    else:
        say(f"{len(actions) - failed} of {len(actions)} done." if actions else "Nothing to do.")
    if failed:
        raise CallFailedError(
            f"{failed} of {len(actions)} actions failed; the others are done",
            code="apply_failed",
            hint=f"conclave apply {file} again, or conclave room show ROOM",
        )


def _apply(client: HubClient, part: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.post("/v1/plan/apply", {"plan": part})["actions"]
    return found


def _parts(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan in parts of some twenty rooms, those of one engagement together, so that no call takes long."""
    rooms: list[dict[str, Any]] = []
    for room in found["rooms"]:
        if len(rooms) >= ROOMS_AT_ONCE and room["engagement"] != rooms[-1]["engagement"]:
            yield {**found, "rooms": rooms}
            rooms = []
        rooms.append(room)
    if rooms:
        yield {**found, "rooms": rooms}


def _show(found: dict[str, Any], out: Path | None) -> None:
    for room in found["rooms"]:
        say(f"{room['name']}  {room['engagement']}  {room['key']}")
        for action in room["actions"]:
            say(f"  {SIGNS[action['do']]} {action['text']}")
    if not found["rooms"]:
        say("Nothing to do: every room is what its charter says.")
        return
    count = sum(len(room["actions"]) for room in found["rooms"])
    say(f"{_many(count, 'change')} in {_many(len(found['rooms']), 'room')}.")
    note(
        f"Next: conclave apply {out}" if out is not None else "Next: conclave plan --out FILE, then conclave apply FILE"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _write(path: Path, found: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CallFailedError(f"cannot write {path}: {error.strerror}", code="file", usage=True) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise CallFailedError(f"cannot read {path}: {error.strerror}", code="file", usage=True) from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("rooms"), list):
        hint = "conclave plan --out FILE writes one"
        raise CallFailedError(f"{path} is not a plan", code="file", hint=hint, usage=True)
    return found


def _single(command: Any) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    return app


APPS = {"plan": _single(plan), "apply": _single(apply)}
