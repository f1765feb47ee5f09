"""``conclave committee answer`` and ``answers``: what a committee publishes to all its vendors."""

import time
from typing import Annotated, Any

import typer

from audit.printable import printable
from bridge.cli.client import HubClient, segment
from bridge.cli.output import Json, Yes, confirm, listing, note, say, write_json
from bridge.cli.session import client_of

PATIENCE_S = 120
LOOK_S = 0.2
MAX_SHOWN = 4_000
MARKS = {"waiting": "…", "delivered": "✓", "dropped": "✗"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The committee's id, such as crm-2027.")]


def answer(
    ctx: typer.Context,
    name: Name,
    text: Annotated[str, typer.Option("--answer", help="What every vendor is to read, in its own room.")],
    question: Annotated[str, typer.Option(help="The question, in words that do not tell who asked.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until it was said in every room.")] = True,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Publish an answer to all vendors at once, each in its own room, in the same words; it cannot be taken back."""
    client = client_of(ctx)
    client.rehearse(f"/v1/committees/{segment(name)}/try", {"act": "answer", "answer": text, "question": question})
    if not as_json:
        note("Every vendor is to read this, in its own room, and not who asked or who answers:")
        for line in (f"Question: {question}\nAnswer: {text}" if question else f"Answer: {text}").splitlines():
            note(f"  {printable(line, MAX_SHOWN)}")
    confirm("Publish it?", yes)
    path = f"/v1/committees/{segment(name)}/answers"
    made = client.post(path, {"answer": text, "question": question})
    found = _told(client, f"{path}/{made['id']}") if wait else made
    if as_json:
        write_json(found)
    else:
        _tell(found)
        if not made["enforced"]:
            note("The homeserver does not answer; it is told as soon as it does.")
    if any(one["state"] == "dropped" for one in found["deliveries"]):
        raise typer.Exit(1)


def answers(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """What was published to all vendors, and how it fared with each."""
    listing(
        client_of(ctx).items(f"/v1/committees/{segment(name)}/answers"),
        as_json,
        [
            ("no.", lambda row: str(row["number"])),
            ("at (UTC)", lambda row: f"{row['published_at'][:10]} {row['published_at'][11:19]}"),
            ("question", lambda row: row["question"]),
            ("answer", lambda row: row["answer"]),
            ("vendors", lambda row: "  ".join(map(_line, row["deliveries"]))),
        ],
        f"Nothing was published yet. Next: conclave committee answer {name} --answer TEXT",
    )


def _told(client: HubClient, path: str) -> dict[str, Any]:
    """The answer once it waits nowhere any more, or as it is when patience ends."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        found = client.get(path)
        if all(one["state"] != "waiting" for one in found["deliveries"]) or time.monotonic() > ends:
            return found
        time.sleep(LOOK_S)


def _tell(found: dict[str, Any]) -> None:
    for one in found["deliveries"]:
        say(f"  {printable(_line(one))}")
    states = {one["state"] for one in found["deliveries"]}
    if states == {"delivered"}:
        say("Published: said in every vendor's room, in the same words.")
    elif "dropped" in states:
        say("Published, and not said everywhere: tell those who are marked ✗ by hand, in the same words.")
    else:
        say(f"Published; it is still being said. conclave committee answers {found['committee']}")


def _line(one: dict[str, Any]) -> str:
    return f"{MARKS[one['state']]} {one['vendor']}" + (f": {one['problem']}" if one["problem"] else "")
