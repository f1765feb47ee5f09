"""Writes the documents that follow from the code: policy, ledger, and the tables of the API. Run by ``make docs``.

``documents()`` is what they should be; a test compares it with what is there.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import bridge.app  # noqa: F401  # so that every class of error is known
from audit import entry
from audit.canonical import MAX_INTEGER
from audit.kinds import KINDS
from audit.tiles import MAX_ENTRY_SIZE
from bridge.api.authorisation import ROLES, Permission
from bridge.api.operations import OPERATIONS
from bridge.api.problems import STATUS
from config.errors import ConclaveError
from partner_onboarding.access_store import Role
from spaces.policy.blueprint import creation_content, fixed_state
from spaces.policy.checkpoints import CHECKPOINT
from spaces.policy.envelope import MAX_REACTION
from spaces.policy.records import Admission, Charter, RoomKind
from spaces.policy.refusal import EXPLANATIONS, Code, Refusal
from spaces.policy.rules import MAX_REASON

DOCS = Path(__file__).parent
PACKAGES = ("audit", "bridge", "config", "partner_onboarding", "spaces")
NOTICE = "<!-- Written by `make docs` from {source}: change it there. -->\n\n"
BLOCK = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

EXAMPLE = Charter(
    key="rm_k3x9",
    engagement="northwind",
    kind=RoomKind.ROOM,
    name="Deals",
    topic="Prices, quotes, tenders.",
    admits=(Admission(company="contoso", team="partner-north"), Admission(company="northwind")),
    companies=("contoso", "northwind"),
    contact="Dana Fox (Contoso)",
)
BOT = "@conclave:conclave.contoso.example"

POLICY = """# The policy: what is refused, and who can lift it

The same rules decide in three places: in the guard inside the homeserver, which prevents; in the reconciler, which
corrects; in the API, which explains. They are pure functions in `spaces/policy/`.

Whoever is refused gets HTTP 403 from the homeserver with the errcode `M_FORBIDDEN`, the code in `org.conclave.code`,
and a sentence for the person as the error's text:

> {example}

Whom to ask is named where asking helps: the partner manager who opened the partnership. Each refusal becomes a ledger
entry `guard.refused`. A flood is counted, not dropped: one entry for the first of a person, room, act and code within a
minute, one with the count of the rest when the minute is over.

In doubt the answer is no: a room without charter, a person or company that is not known, a date that has passed, a rule
that crashes.

## Codes

The names never change.

{codes}

## What a charter fixes of its room

The room is created with this state and has to keep it; nobody but the hub may set any of it, and the hub itself only to
what the charter says. This is the state of a room named Deals:

```json
{state}
```

In room version 11 `m.room.power_levels` also lists the hub's account with 100. In a Space there is no encryption,
because there is no conversation: whoever writes into one is refused (`SPACE_QUIET`). The hub alone keeps the newest
checkpoint of the log there, as the state `{checkpoint}`, in one form that has no room for anything else
([witnesses.md](witnesses.md#checkpoints-in-the-spaces)). When a partnership is closed,
sending needs 100, which nobody has.

A direct room ([direct.md](direct.md)) has no name; `io.element.functional_members` has clients name it after the
other person, and its two people may invite each other.

`m.room.create` has this content, by which the guard finds the charter, beside what Synapse adds:

```json
{create}
```

## What members may send

Encrypted messages; reactions of at most {reaction} characters; redactions of their own events; their own place in a
call (`org.matrix.msc3401.call.member`). In the clear stand only: a reaction, a reason of at most {reason} characters
beside a redaction or a leave, and a person's name and picture. Around a ciphertext stand its session, device and
what it relates to, each in its one form (`spaces/policy/envelope.py`), and nothing else.
"""

LEDGER = """# The ledger: entries and their kinds

Everything that happened is an entry of one append-only log: a Merkle tree as in RFC 9162, kept as C2SP tlog-tiles with
a signed checkpoint over it. How to export and verify it: [officers.md](officers.md).

## The form of an entry

Canonical JSON (RFC 8785) of at most {size:,} bytes, without fractions and without integers beyond ±{integer:,}.
Its members, of which absent ones are left out:

```
{members}
```

The leaf in the tree is SHA-256(0x00 ‖ bytes of the entry).

{rest}

So names, e-mail addresses and the Matrix user ids of people who enrol stand beside the log, in `disclosures.ndjson` of
an export, not in it. In the entries people are ids such as `prs_k3x9…`; a Matrix user id stands there only where the
hub knows no person behind it, and as the state key of somebody's place in a call. A reason given with a suspension or
closure, and a company's external id, are part of the entry: write nothing into them that may have to be erased.

`commit` is not written by this release: no content is kept.

## Kinds

`noun.past-participle`. The members of `data` may be absent where there is nothing to say.

{kinds}

Of an event, `event_id` and `type` are those of the Matrix event and `ts` is its time as the homeserver gave it, while
`at` is when the hub took it. Of a state event the SHA-256 of its content is recorded, not the content. Of a message:
who, when, in which room, the id of its Megolm session, the sending device, the size of the ciphertext, and what it
relates to. Never its content.
"""


def documents() -> dict[Path, str]:
    """Every generated document: path → text."""
    api = DOCS / "api.md"
    return {DOCS / "policy.md": policy(), DOCS / "ledger.md": ledger(), api: with_tables(api.read_text())}


def policy() -> str:
    """``policy.md``."""
    example = Refusal(Code.PERSON_UNKNOWN, "@mallory:evil.example is not enrolled in this hub").text(EXAMPLE.contact)
    codes = ((f"`{code}`", EXPLANATIONS[code].meaning, EXPLANATIONS[code].lifted_by) for code in Code)
    state = {event_type: content for (event_type, _), content in fixed_state(EXAMPLE, BOT).items()}
    text = POLICY.format(
        example=example,
        codes=table(("code", "what it means", "who can lift it"), codes),
        state=json.dumps(state, indent=2),
        create=json.dumps(creation_content(EXAMPLE), indent=2),
        checkpoint=CHECKPOINT,
        reaction=MAX_REACTION,
        reason=MAX_REASON,
    )
    return NOTICE.format(source="spaces/policy/") + text


def ledger() -> str:
    """``ledger.md``."""
    _, _, described = (entry.__doc__ or "").partition("::\n\n")
    members, _, rest = described.partition("\n\n")
    kinds = (
        (f"`{kind.name}`", kind.records + unwritten(kind.name), ", ".join(f"`{name}`" for name in sorted(kind.data)))
        for kind in KINDS.values()
    )
    text = LEDGER.format(
        size=MAX_ENTRY_SIZE,
        integer=MAX_INTEGER,
        members="\n".join(line.removeprefix("    ") for line in members.splitlines()),
        rest=rest.strip(),
        kinds=table(("kind", "what it records", "members of `data`"), kinds),
    )
    return NOTICE.format(source="audit/kinds.py and audit/entry.py") + text


def unwritten(kind: str) -> str:
    """A remark for a kind that nothing in the sources writes."""
    sources = [path for name in PACKAGES for path in (DOCS.parent / name).rglob("*.py") if path.name != "kinds.py"]
    found = any(f'"{kind}"' in path.read_text() for path in sources)
    return "" if found else " (kept for a later release; nothing writes it yet)"


def with_tables(text: str) -> str:
    """``text`` with each block between its two marks written anew."""
    blocks = {"roles": roles, "operations": operations, "problems": problems}
    return BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found['name']]()}\n\n{found[3]}", text)


def roles() -> str:
    """Which role may do what."""
    rows = (
        (f"`{permission}`", *("yes" if role in ROLES[permission] else "" for role in Role))
        for permission in Permission
        if permission in ROLES
    )
    return table(("permission", *(f"`{role}`" for role in Role)), rows)


def operations() -> str:
    """Every call, what it needs and what it is for."""
    rows = ((f"`{one.method} {one.path}`", f"`{one.needs}`", promise(one.handler)) for one in OPERATIONS)
    return table(("call", "needs", "what it does"), rows)


def promise(documented: object) -> str:
    """The first sentence of a docstring."""
    text = (documented.__doc__ or "").split("\n")[0].split(". ")[0]
    return text.rstrip(".").replace("``", "`")


def problems() -> str:
    """The codes that the API may answer with."""
    found = {
        (status, kind.code, promise(kind).split("; `")[0])
        for kind in descendants(ConclaveError)
        for status in [next((status for base, status in STATUS if issubclass(kind, base)), None)]
        if status is not None
    }
    rows = ((str(status), f"`{code}`", meaning) for status, code, meaning in sorted(found))
    return table(("status", "code", "what it means"), rows)


def descendants(kind: type[ConclaveError]) -> Iterator[type[ConclaveError]]:
    """Every class below ``kind`` that is ours."""
    for one in kind.__subclasses__():
        if one.__module__.partition(".")[0] in PACKAGES:
            yield one
        yield from descendants(one)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
