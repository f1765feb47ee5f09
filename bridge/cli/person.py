"""``conclave person``."""

import getpass
import sys
from typing import Annotated, Any

import typer

from bridge.cli.client import HubClient, segment
from bridge.cli.company import enforcement
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, Yes, confirm, day, listing, note, say, show, write_json
from bridge.cli.session import client_of

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="People: invite, enrol, suspend."
)
APPS = {"person": app}

Person = Annotated[str, typer.Argument(help="Id, e-mail address or Matrix user id.")]


@app.command()
def invite(
    ctx: typer.Context,
    company: Annotated[str, typer.Option(help="The company's id.")],
    name: Annotated[str, typer.Option(help='Such as "Bob Lee".')],
    email: Annotated[str, typer.Option(help="Such as bob@northwind.example.")],
    role: Annotated[str, typer.Option(help="member or company-admin.")] = "member",
    team: Annotated[list[str] | None, typer.Option(help="A team of the host company; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Make a single-use enrolment link for a person. Inviting them again replaces the link."""
    body = {"company": company, "name": name, "email": email, "role": role, "teams": team or []}
    answer = client_of(ctx).post("/v1/people", body)
    if as_json:
        write_json(answer)
        return
    say(f"{answer['person']['name']} invited, until {answer['expires_at'][:16].replace('T', ' ')} UTC.")
    say(f"  link  {answer['link']}   (single use; give it to them alone)")


@app.command()
def enrol(
    ctx: typer.Context,
    link: Annotated[str, typer.Argument(help="The enrolment link.")],
    username: Annotated[str | None, typer.Option(help="The user name to choose.")] = None,
    matrix_id: Annotated[
        str | None, typer.Option(help="Instead: your address on your company's own homeserver, @bob:partner.example.")
    ] = None,
) -> None:
    """Take up an invitation from a terminal: asks for a password, or reads it from standard input.

    With --matrix-id there is no password: the account is on your company's own homeserver.
    """
    del ctx
    if (username is None) == (matrix_id is None):
        raise CallFailedError(
            "expected --username, or --matrix-id where your company has its own homeserver", code="username", usage=True
        )
    if matrix_id is not None:
        answer = _enrol(link, "/v1/enrol/remote", {"user_id": matrix_id})
        say(f"Enrolled as {answer['user_id']}. Your Matrix client gets invitations to your rooms: accept them there.")
        return
    if sys.stdin.isatty():
        password = getpass.getpass("Password (at least 12 characters): ")
        if getpass.getpass("Password, again: ") != password:
            raise CallFailedError("the two passwords differ", code="password", usage=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    answer = _enrol(link, "/v1/enrol", {"username": username, "password": password})
    say(f"Enrolled as {answer['user_id']}. Sign in from any Matrix client:")
    say(f"  homeserver  {answer['homeserver']}")
    say(f"  user name   {answer['user_id'].removeprefix('@').split(':')[0]}")


def _enrol(link: str, path: str, given: dict[str, Any]) -> dict[str, Any]:
    base, found, secret = link.rpartition("/enrol/")
    if not found or not secret:
        raise CallFailedError(f"{link!r} is not an enrolment link", code="link", hint="copy the whole link", usage=True)
    return HubClient(url=base, token="").post(path, {"secret": secret, **given})


@app.command("list")
def list_(
    ctx: typer.Context,
    company: Annotated[str | None, typer.Option(help="Only people of this company.")] = None,
    as_json: Json = False,
) -> None:
    """People, of one company where asked."""
    listing(
        client_of(ctx).items("/v1/people", company=company),
        as_json,
        [
            ("name", lambda row: row["name"]),
            ("company", lambda row: row["company"]),
            ("email", lambda row: row["email"]),
            ("role", lambda row: row["role"]),
            ("status", lambda row: row["status"]),
            ("account", lambda row: row["user_id"] or "–"),
            ("id", lambda row: row["id"]),
        ],
        "Nobody yet. Next: conclave person invite --company ID --name NAME --email ADDRESS",
    )


@app.command("show")
def show_(ctx: typer.Context, person: Person, as_json: Json = False) -> None:
    """One person."""
    found = client_of(ctx).get(f"/v1/people/{segment(person)}")
    show(
        found,
        as_json,
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("company", f"{found['company']} ({found['role']})"),
            ("email", found["email"]),
            ("status", found["status"]),
            ("account", found["user_id"] or "not enrolled yet"),
            ("teams", ", ".join(found["teams"]) or "none"),
            ("invited", day(found["invited_at"])),
            ("enrolled", day(found["enrolled_at"])),
        ],
    )


@app.command()
def suspend(
    ctx: typer.Context,
    person: Person,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Shut a person out: no sending, joining or signing in; they leave every room."""
    confirm(f"Shut {person} out?", yes)
    _changed(client_of(ctx).post(f"/v1/people/{segment(person)}/suspend", {"reason": reason}), as_json, "suspended")


@app.command()
def resume(ctx: typer.Context, person: Person, as_json: Json = False) -> None:
    """Lift a suspension: the person is back in their rooms."""
    _changed(client_of(ctx).post(f"/v1/people/{segment(person)}/resume"), as_json, "active again")


def _changed(answer: dict[str, Any], as_json: bool, state: str) -> None:
    if as_json:
        write_json(answer)
        return
    say(f"{answer['person']['name']} is {state}{enforcement(answer)}")
    if not answer["enforced"]:
        note("Next: conclave doctor")
