"""Removal proofs by the real pipeline: a committee's life as entries, and the proof of a removal."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from audit.bundle import ExportOrder
from audit.entry import Actor, Draft, person_actor, system_actor
from audit.index import Scope, decode
from audit.index_store import IndexStore
from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.part_export import read_counts
from audit.parts import MANIFEST, MANIFEST_SIGNATURE, NAMESPACE, SIGNERS, VerificationError, signers_line
from audit.removal import CLEARED, ENROLLED, HUB, JOINED_ONLY, judge_removal
from audit.removal_export import Judged, RemovalOrder, write_removal
from audit.removal_file import FACTS
from audit.removal_report import Entry, Removal, RemovalReport, Room
from audit.sshsig import ssh_sign
from audit.store import EntryRow, LedgerStore
from config.clock import DAY
from config.db import Database
from tests.fakes.hub import START
from tests.ledger import EXPORT_KEY, LOG_KEY, ORIGIN, Files, Handed, Ledger, signed, signing_key

PITCH_ROOM, DELIBERATION_ROOM = "!pitch:hub.example", "!deliberation:hub.example"
PEOPLE = {"ann": "contoso", "bea": "contoso", "vic": "adatum", "val": "adatum", "rob": "fabrikam"}
BOT, HELPER = system_actor("conclave"), system_actor("conclave-helper")
CLEARED_AT = START + 1_000
SHUT_AT = CLEARED_AT - 300
"""The hub was down when the time came; the guard was not."""


class Story:
    """Drafts of events in the two rooms, in order; ``ts`` grows with each."""

    def __init__(self) -> None:
        self.drafts: list[Handed] = []
        self._number = 0

    def event(self, room: str, kind: str, actor: Actor, *, ts: int | None = None, **data: Any) -> None:
        self._number += 1
        companies = ["adatum", "contoso"] if room == PITCH_ROOM else ["contoso"]
        told = {"event_id": f"${self._number}", "ts": START + self._number if ts is None else ts, **data}
        draft = Draft(kind=kind, actor=actor, room=room, engagement="crm", companies=companies, data=told)
        self.drafts.append(("homeserver", draft))

    def create(self, room: str, key: str, *, history: str | None = JOINED_ONLY) -> None:
        self.event(room, "room.created", BOT, type="m.room.create", room_key=key)
        self.event(room, "member.joined", BOT, type="m.room.member", subject=HUB)
        if history is not None:
            kind = "m.room.history_visibility"
            self.event(room, "state.changed", BOT, type=kind, state_key="", content_sha256=history)

    def member(self, room: str, kind: str, name: str, ts: int | None = None) -> None:
        subject = person_actor(f"prs_{name}")
        self.event(room, f"member.{kind}", BOT, ts=ts, type="m.room.member", subject=subject)

    def helper(self, room: str, kind: str, ts: int | None = None) -> None:
        actor = HELPER if kind == "joined" else BOT
        self.event(room, f"member.{kind}", actor, ts=ts, type="m.room.member", subject=HELPER)

    def answer(self, room: str, session: str, ts: int | None = None) -> None:
        """The helper comes, says something, and goes."""
        self.helper(room, "invited", ts)
        self.helper(room, "joined", ts)
        self.event(room, "message.sent", HELPER, ts=ts, type="m.room.encrypted", session_id=session)
        self.helper(room, "removed", ts)

    def message(self, room: str, name: str, session: str | None, ts: int | None = None) -> None:
        data = {} if session is None else {"session_id": session}
        self.event(room, "message.sent", person_actor(f"prs_{name}"), ts=ts, type="m.room.encrypted", **data)

    def clear(self, **data: Any) -> None:
        about: dict[str, Any] = {"committee": "crm", "vendor": "adatum", "pitch": "rm_p", "deliberation": "rm_d"}
        about |= {"clear_at": SHUT_AT, **data}
        companies = ["adatum", "contoso"]
        draft = Draft(kind=CLEARED, actor=person_actor("prs_ann"), engagement="crm", companies=companies, data=about)
        self.drafts.append(("api", draft))


def enrolments() -> list[Handed]:
    """The enrolment of everybody there is."""
    return [
        (
            "api",
            Draft(
                kind=ENROLLED,
                actor=person_actor(f"prs_{name}"),
                companies=[company],
                data={"person": f"prs_{name}", "company": company, "role": "member"},
                disclose={"user_id": f"@{name}:{company}.example"},
            ),
        )
        for name, company in PEOPLE.items()
    ]


def pitched(*, history: str | None = JOINED_ONLY, deliberation: str = JOINED_ONLY) -> Story:
    """Two rooms; the buyers in both, the vendor in one; something said in each. Nothing is cleared yet."""
    story = Story()
    story.create(PITCH_ROOM, "rm_p", history=history)
    story.create(DELIBERATION_ROOM, "rm_d", history=deliberation)
    for room, names in ((PITCH_ROOM, ("ann", "bea", "vic", "val")), (DELIBERATION_ROOM, ("ann", "bea"))):
        for name in names:
            story.member(room, "joined", name)
    story.message(PITCH_ROOM, "ann", "s1")
    story.message(PITCH_ROOM, "vic", "s2")
    story.message(DELIBERATION_ROOM, "bea", "d1")
    return story


def removed(*, deliberation: str = JOINED_ONLY, word: str | None = None) -> Story:
    """The whole of it as it should be; ``word`` is what the clearing says of the history of the deliberation room."""
    story = pitched(deliberation=deliberation)
    story.clear(**({} if word is None else {"history": word}))
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    story.message(DELIBERATION_ROOM, "ann", "d2", CLEARED_AT + 200)
    return story


ABOUT = Removal("crm", "adatum")
IN_ROOMS = ("ann", "bea", "vic", "val")


async def removal(
    ledger: Ledger,
    drafts: Iterable[Handed],
    facts: Sequence[str] | None = None,
    *,
    enrol: bool = True,
    later: Iterable[Handed] = (),
) -> Files:
    """The removal proof of what ``drafts`` tell; ``facts`` names whose enrolments are in it.

    What is ``later`` came between the order and the proof.
    It is written without being judged: as a hub writes it that does not look, and signs what it is told to.
    """
    await ledger.append([*(enrolments() if enrol else []), *drafts, ordered()])
    await ledger.append(later)
    async with ledger.db.read() as connection:
        store = LedgerStore(connection)
        order = await order_of(store, IndexStore(connection))
        rows = await store.of_kinds([CLEARED, ENROLLED], order.export.size)
    shown = {f"prs_{name}" for name in (IN_ROOMS if facts is None else facts)}
    own = [row for row in rows if row.kind == CLEARED or any(person.encode() in row.body for person in shown)]
    judged = Judged(report=await said(ledger.db, own, order.index), facts=own)
    files = write_removal(ledger.db, order, judged, [LOG_KEY.public], EXPORT_KEY)
    return Files({file.path: b"".join(file.chunks) async for file in files})


def ordered(about: Removal = ABOUT) -> Handed:
    """The entry of an export of ``about``."""
    data = {"export": "exp_1", "scope": str(about)}
    return "api", Draft(kind="audit.exported", actor=person_actor("prs_auditor"), data=data)


async def order_of(store: LedgerStore, indexes: IndexStore) -> RemovalOrder:
    """The newest export, as of the newest checkpoint."""
    row, note = await indexes.newest("audit.exported"), (await store.head()).checkpoint
    assert row is not None
    assert note is not None
    counted = await read_counts(indexes, row.position)
    assert counted is not None
    head = Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519))
    export = ExportOrder(
        export="exp_1",
        position=row.position,
        person="prs_auditor",
        at=START + DAY,
        software="test",
        origin=ORIGIN,
        size=head.size,
        root=head.root,
        checkpoint=note,
    )
    about = Removal.parse(str(json.loads(row.body)["data"]["scope"]))
    assert about is not None
    return RemovalOrder(export=export, about=about, index=counted[0], counts=counted[1])


async def said(db: Database, facts: Sequence[EntryRow], before: int) -> RemovalReport:
    """What is judged; where it is no removal, an empty report of the two rooms: the verifier has to say so."""
    async with db.read() as connection:
        store = LedgerStore(connection)
        index = await store.entry(before)
        assert index is not None
        pitch, deliberation = [
            Room(Scope("room", room), _bodies(await store.page(start=0, limit=before, kind=None, room=room)))
            for room in (PITCH_ROOM, DELIBERATION_ROOM)
        ]
    try:
        return judge_removal(ABOUT, _bodies(facts), pitch, deliberation, index.at)
    except VerificationError:
        return RemovalReport(
            committee="crm",
            vendor="adatum",
            buyer="contoso",
            shut_at=0,
            cleared_at=0,
            cleared_entry=0,
            pitch=pitch.scope,
            deliberation=deliberation.scope,
            whole_until=index.at,
            enrolled={},
        )


def _bodies(rows: Sequence[EntryRow]) -> list[Entry]:
    return [(row.position, json.loads(row.body)) for row in rows]


def resigned(files: Files, **said: Any) -> Files:
    """``files`` as who holds the export's key can leave them: the manifest lists what there is, and says ``said``."""
    manifest = json.loads(files.content[MANIFEST]) | said
    listed = sorted(files.names() - {MANIFEST, MANIFEST_SIGNATURE})
    manifest["files"] = {name: sha256(files.content[name]).hexdigest() for name in listed}
    return signed(files, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


def by_another_key(files: Files) -> dict[str, Files]:
    """``files`` with a page and a manifest of somebody else, whose key stands beside the one that the log names."""
    own, other = files.content[SIGNERS].decode(), signing_key("log.example/hub/export", 9)
    theirs = signers_line(other.public)
    changed = {
        "in front": theirs + own,
        "behind": own + theirs,
        "with a comment": f"{theirs.strip()} {own.split()[-1]}\n",
    }
    found = {}
    for name, signers in changed.items():
        forged = resigned(files.but(SIGNERS, signers.encode()).but("page.html", b"<p>litware</p>"))
        signature = ssh_sign(forged.content[MANIFEST], NAMESPACE, other.public.public_key, other).encode()
        found[f"another key {name}"] = forged.but(MANIFEST_SIGNATURE, signature)
    return found


def facts_but(files: Files, change: Callable[[list[Any]], list[Any]]) -> Files:
    """``files`` with other facts, counted and signed."""
    lines = change([json.loads(line) for line in files.content[FACTS].splitlines()])
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    before = Counter(json.loads(files.content[MANIFEST])["counts"]["by_kind"])
    before.subtract(kinds_in(files.content[FACTS]))
    before.update(kinds_in(content))
    kinds = {kind: count for kind, count in before.items() if count}
    return resigned(files.but(FACTS, content), counts={"entries": sum(kinds.values()), "by_kind": kinds})


def kinds_in(lines: bytes) -> Counter[str]:
    """The kinds of the entries in a file of lines."""
    return Counter(json.loads(decode(json.loads(line)["bytes"]))["kind"] for line in lines.splitlines())
