"""``conclave committee add-member``, ``remove-member``, ``chair`` and ``declare``: who sits on a committee."""

from typing import Annotated, Any

import typer

from bridge.cli.committee_calls import call, path_of, tell, tried
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, Yes, confirm

Name = Annotated[str, typer.Argument(metavar="NAME", help="The committee's id, such as crm-2027.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="Id, e-mail address or Matrix user id.")]


def add_member(ctx: typer.Context, name: Name, person: Person, as_json: Json = False) -> None:
    """Take one more of the buyer's people in, once they declared; what they get of before, show says."""
    found = call(ctx, path_of(name, "/members"), {"person": person}, wait=False)
    tell(found, as_json, f"{person} comes in once they declared: conclave committee declare {name} --none")


def remove_member(ctx: typer.Context, name: Name, person: Person, as_json: Json = False) -> None:
    """Take a member off, be it one who never declares: they leave the committee's rooms, and can be taken in again."""
    found = call(ctx, path_of(name, "/members/remove"), {"person": person}, wait=False)
    tell(found, as_json, f"{person} is no member any more, and leaves the rooms of {name}.")


def chair(ctx: typer.Context, name: Name, person: Person, as_json: Json = False) -> None:
    """Hand the chair on to another member, one who declared that they have no conflict of interest."""
    found = call(ctx, path_of(name, "/chair"), {"person": person}, wait=False)
    tell(found, as_json, f"{person} chairs {name} now.")


def declare(
    ctx: typer.Context,
    name: Name,
    none: Annotated[bool, typer.Option("--none", help="I have no conflict of interest.")] = False,
    conflict: Annotated[str | None, typer.Option(help="I have one: which; it can be erased later.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Say for yourself whether you have a conflict of interest; with one you stay out, for good, whatever you are."""
    if none == (conflict is not None):
        raise _wrong("say either --none or --conflict TEXT")
    if conflict is not None and not conflict.strip():
        raise _wrong("--conflict is empty; expected what the conflict is, in a few words")
    body: dict[str, Any] = {"conflict": not none, "statement": conflict or ""}
    if not none:
        tried(ctx, name, "declare", conflict=True)
        confirm(f"With a conflict of interest you stay out of {name} for good, and do nothing in it. Declare it?", yes)
    found = call(ctx, path_of(name, "/declare"), body, wait=False)
    tell(found, as_json, "Recorded. You come in now." if none else "Recorded. The rooms stay shut for you.")


def _wrong(text: str) -> CallFailedError:
    return CallFailedError(text, code="usage", hint="conclave committee declare --help", usage=True)
