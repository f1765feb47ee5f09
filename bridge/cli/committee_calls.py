"""What the commands of committees have in common: calls, trials before a question, and how the answers are said."""

from typing import Any

import typer

from bridge.cli.client import HubClient, segment
from bridge.cli.output import note, say, write_json
from bridge.cli.rooms_settled import settled
from bridge.cli.session import client_of

PATH = "/v1/committees"


def path_of(name: str, what: str = "") -> str:
    """The path of a committee, or of what is done to it."""
    return f"{PATH}/{segment(name)}{what}"


def call(ctx: typer.Context, path: str, body: dict[str, Any], wait: bool) -> dict[str, Any]:
    """Do something to a committee; returns it, once its rooms are as they should be where that is waited for."""
    client: HubClient = client_of(ctx)
    found = client.post(path, body)
    return settled(client, path_of(found["id"])) if wait else found


def tried(ctx: typer.Context, name: str, act: str, **more: object) -> dict[str, Any]:
    """The committee, once the hub has said that ``act`` would be done: nobody is asked about what is refused anyway.

    Raises:
        CallFailedError: It would be refused, and why.
    """
    client = client_of(ctx)
    client.rehearse(path_of(name, "/try"), {"act": act, **more})
    return client.get(path_of(name))


def tell(found: dict[str, Any], as_json: bool, text: str) -> None:
    """Say what was done, and where the homeserver does not know of it yet."""
    if as_json:
        write_json(found)
        return
    say(text)
    if not found["enforced"]:
        note("The homeserver does not answer; it is told as soon as it does.")


def clock(text: str | None) -> str:
    """An RFC 3339 time in UTC, to the second, or a dash."""
    return "–" if text is None else f"{text[:10]} {text[11:19]} UTC"


def attending(one: dict[str, Any]) -> str:
    """How many of a vendor's own people are in."""
    if not one["enrolled"] and not one["inside"]:
        return f"{one['vendor']}: nobody is enrolled"
    people = "1 person" if one["enrolled"] == 1 else f"{one['enrolled']} people"
    return f"{one['vendor']}: {one['inside'] or 'none'} of {people} in"


def warn_of_absent(found: dict[str, Any]) -> None:
    """Say which vendors nobody is enrolled of: whoever lets them in talks to an empty room."""
    for one in found["attendance"]:
        if not one["enrolled"]:
            company = one["vendor"]
            note(f"Nobody of {company} is enrolled, so nobody of it comes. Next: conclave person invite --help")
