"""Writes ``docs/silence.md`` from the table. Run by ``make docs``; a test compares it with what is there."""

import re
from pathlib import Path

from tests.silence.table import MEANING, TABLE, By, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "silence.md"

TEXT = """<!-- Written by `make docs` from tests/silence/table.py: change it there. -->

# Silence: what one company can learn of another

Two companies without a common engagement cannot learn of each other's existence. A test tries: as a person of one
company it calls every address that the homeserver serves and every call of the Matrix client-server specification,
twice, once with what a second company really has and once with what never was. The answers have to be the same. It does
so at the homeserver itself and through the shipped `config/Caddyfile`. The list of addresses is taken from the running
release of Synapse: one that this table does not know fails the test.

## What closes an address

{meanings}

An address marked with ° tells who already holds a random id (of a room, an event, a file: 128 bits and more) that there
is such a thing. It never tells this of what can be guessed: user ids, names, e-mail addresses.

## What the proxy is needed for

Synapse asks nobody about messages between devices and about one-time keys. The proxy hands both to the guard, inside
the homeserver, which passes on what is for people who share a room and drops the rest: the sender gets the answer that
an invented address gets. It hands over signing in as well: a password that is no text makes Synapse fail for users who
exist. And it has no way to two calls with which Synapse would ask an identity server of the caller's choice.

The hub need not run for any of this. `conclave up` on one machine has no proxy: there a message between devices reaches
who has the address, and shows the sender's. Put `config/Caddyfile` in front of every hub that partners use.

The proxy also has no way to Synapse's administration, the guard's and the hub's internal addresses, and federation.

## What stays open

- **A file by its `mxc://` address.** Any account may fetch any file whose address it knows. The address has 136 random
  bits and stands inside encrypted messages; the file itself is ciphertext. A person's picture is not: whoever once
  shared a room with the person may have kept its address.
- **User ids tell the company.** `@bob.northwind:…` names Northwind. No address above confirms a guess.
- **How long an answer takes.** A sign-in with a wrong password takes as long for a user who does not exist as for one
  who does: the guard sees to that. Other answers are not made equally slow; they differ by less than the noise of a
  network.
- **How much happens.** The places in Synapse's streams that `/sync` and `/messages` hand out count the events of the
  whole homeserver, and some other things. Whoever keeps comparing them learns how busy the hub is; not who, with whom,
  or where.
- **Who is in a room, to who was just taken out of it.** A client that syncs from before it was taken out is told to
  forget the keys of everybody who is in the room by then, and so that they are.
- **What people tell each other.** The host's people talk to both.

## The table

The hub's own account is the only administrator; every address below `/_synapse/admin/` refuses everyone else before it
looks at what was asked for, and the proxy has no way there.

{table}
"""


def document() -> str:
    """What the document should be."""
    meanings = "\n".join(f"- **{by}**: {MEANING[by]}." for by in By if any(row.by is by for row in TABLE))
    rows = [f"| `{_shown(row)}`{'°' if row.oracle else ''} | {row.by} | {row.note} |" for row in TABLE]
    table = "\n".join(["| address | closed by | |", "| --- | --- | --- |", *rows])
    return TEXT.format(meanings=meanings, table=table)


def _shown(row: Row) -> str:
    methods, path = row.call.split(" ", 1)
    fixed = re.sub(r"\{=([^}]*)\}", r"\1", path)
    return f"{methods.replace('|', '/')} {fixed}"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
