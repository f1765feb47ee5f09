"""``conclave company``."""

from typing import Annotated, Any

import typer

from bridge.cli.client import segment
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, Yes, confirm, day, listing, say, show, write_json
from bridge.cli.session import client_of

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Companies of the hub.")
APPS = {"company": app}

Company = Annotated[str, typer.Argument(help="The company's id, such as northwind.")]


@app.command()
def add(  # noqa: PLR0913, PLR0917  # each is an option of the command
    ctx: typer.Context,
    company: Company,
    name: Annotated[str, typer.Option(help='Such as "Northwind Trading".')],
    kind: Annotated[str, typer.Option(help="reseller, supplier or partner.")] = "partner",
    until: Annotated[str | None, typer.Option(help="Last day of the contract, such as 2027-12-31.")] = None,
    seats: Annotated[int | None, typer.Option(help="How many people it may have.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own key for it, such as a CRM number.")] = None,
    max_upload: Annotated[str | None, typer.Option(help="The largest file it may share, such as 10M.")] = None,
    homeserver: Annotated[
        str | None, typer.Option(help="Its own homeserver, such as partner.example; fixed from then on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Enter a company. Nobody there can see anyone until there is an engagement."""
    body: dict[str, Any] = {"id": company, "name": name, "kind": kind, "until": until, "seats": seats}
    body |= {"external_id": external_id, "max_upload": None if max_upload is None else size(max_upload)}
    found = client_of(ctx).post("/v1/companies", {**body, "homeserver": homeserver})
    if as_json:
        write_json(found)
    else:
        say(f"Added {found['name']} ({found['id']}). No engagement yet: nobody there can see anyone here.")
        if found["homeserver"]:
            say(f"  homeserver  {found['homeserver']}   (its people keep their accounts there)")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All companies."""
    listing(
        client_of(ctx).items("/v1/companies"),
        as_json,
        [
            ("id", lambda row: row["id"]),
            ("name", lambda row: row["name"]),
            ("kind", lambda row: row["kind"]),
            ("status", lambda row: row["status"]),
            ("seats", lambda row: str(row["seats"] or "–")),
            ("until", lambda row: row["until"] or "–"),
        ],
        "No company yet. Next: conclave company add ID --name NAME",
    )


@app.command("show")
def show_(ctx: typer.Context, company: Company, as_json: Json = False) -> None:
    """One company with its people."""
    client = client_of(ctx)
    found = client.get(f"/v1/companies/{segment(company)}")
    people = list(client.items("/v1/people", company=company))
    taken = sum(one["status"] != "suspended" for one in people)
    show(
        {**found, "people": people},
        as_json,
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("kind", found["kind"]),
            ("status", found["status"]),
            ("external id", found["external_id"] or "–"),
            ("seats", f"{taken} of {found['seats']} taken" if found["seats"] else "not limited"),
            ("until", found["until"] or "no end set"),
            (
                "files",
                f"at most {found['max_upload']:,} bytes" if found["max_upload"] else "as large as the server takes",
            ),
            ("homeserver", found["homeserver"] or "the hub's"),
            ("added", day(found["added_at"])),
            ("people", ", ".join(f"{one['name']} ({one['status']})" for one in people) or "none yet"),
        ],
    )


@app.command()
def change(
    ctx: typer.Context,
    company: Company,
    max_upload: Annotated[str, typer.Option(help="The largest file it may share, such as 10M; none for no limit.")],
    as_json: Json = False,
) -> None:
    """Change what a company may do."""
    limit = None if max_upload == "none" else size(max_upload)
    answer = client_of(ctx).post(f"/v1/companies/{segment(company)}/change", {"max_upload": limit})
    if as_json:
        write_json(answer)
        return
    allowed = "files as large as the server takes" if limit is None else f"files of at most {limit:,} bytes"
    say(f"{answer['company']['name']} may share {allowed}{enforcement(answer)}")


def size(text: str) -> int:
    """Bytes, written as ``10M`` or as a plain number.

    Raises:
        CallFailedError: It is no size.
    """
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    factors = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    if not (digits.isascii() and digits.isdecimal() and int(digits) > 0 and unit in factors):
        raise CallFailedError(f"{text!r} is not a size such as 10M", code="invalid_input", usage=True)
    return int(digits) * factors[unit]


@app.command()
def suspend(
    ctx: typer.Context,
    company: Company,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Shut a company's people out: no sending, joining or signing in; they leave every room."""
    confirm(f"Shut everyone of {company} out?", yes)
    _changed(client_of(ctx).post(f"/v1/companies/{segment(company)}/suspend", {"reason": reason}), as_json, "suspended")


@app.command()
def resume(ctx: typer.Context, company: Company, as_json: Json = False) -> None:
    """Lift a suspension: the company's people are back in their rooms."""
    _changed(client_of(ctx).post(f"/v1/companies/{segment(company)}/resume"), as_json, "active again")


def _changed(answer: dict[str, Any], as_json: bool, state: str) -> None:
    if as_json:
        write_json(answer)
    else:
        say(f"{answer['company']['name']} is {state}{enforcement(answer)}")


def enforcement(answer: dict[str, Any]) -> str:
    """Whether the guard has the change already, as the end of a sentence."""
    if answer["enforced"]:
        return "; the homeserver enforces it now."
    return "; recorded, but the homeserver does not answer: it enforces it as soon as it does."
