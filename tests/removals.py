"""Removal proofs by the real pipeline: a committee's life as entries, and the folder that shows a removal."""

from collections.abc import Iterable, Sequence
from typing import Any

from audit.entry import Actor, Draft, person_actor, system_actor
from audit.index import Scope
from audit.keys import verify_ed25519
from audit.note import Checkpoint, open_note
from audit.proof import EntryProof
from audit.removal import CLEARED, ENROLLED, HUB, JOINED_ONLY
from audit.store import LedgerStore
from audit.tiles import TileHashes
from audit.tree import inclusion_proof
from tests.fakes.hub import START
from tests.ledger import LOG_KEY, Files, Handed, Ledger
from tests.trails import trail

PITCH_ROOM, DELIBERATION_ROOM = "!pitch:hub.example", "!deliberation:hub.example"
PEOPLE = {"ann": "contoso", "bea": "contoso", "vic": "adatum", "val": "adatum", "rob": "fabrikam"}
BOT, HELPER = system_actor("conclave"), system_actor("conclave-helper")
CLEARED_AT = START + 1_000


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
        about = {"committee": "crm", "vendor": "adatum", "pitch": "rm_p", "deliberation": "rm_d", **data}
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
            ),
        )
        for name, company in PEOPLE.items()
    ]


def pitched(*, history: str | None = JOINED_ONLY) -> Story:
    """Two rooms; the buyers in both, the vendor in one; something said in each. Nothing is cleared yet."""
    story = Story()
    story.create(PITCH_ROOM, "rm_p", history=history)
    story.create(DELIBERATION_ROOM, "rm_d")
    for room, names in ((PITCH_ROOM, ("ann", "bea", "vic", "val")), (DELIBERATION_ROOM, ("ann", "bea"))):
        for name in names:
            story.member(room, "joined", name)
    story.message(PITCH_ROOM, "ann", "s1")
    story.message(PITCH_ROOM, "vic", "s2")
    story.message(DELIBERATION_ROOM, "bea", "d1")
    return story


def removed() -> Story:
    """The whole of it as it should be."""
    story = pitched()
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    story.message(DELIBERATION_ROOM, "ann", "d2", CLEARED_AT + 200)
    return story


async def removal(
    ledger: Ledger, drafts: Iterable[Handed], facts: Sequence[str] | None = None, *, enrol: bool = True
) -> Files:
    """The removal proof of what ``drafts`` tell; ``facts`` names whose enrolments are in it."""
    await ledger.append([*(enrolments() if enrol else []), *drafts])
    parts = {"pitch": PITCH_ROOM, "deliberation": DELIBERATION_ROOM}
    content: dict[str, bytes] = {}
    for name, room in parts.items():
        files = await trail(ledger, Scope("room", room))
        content |= {f"{name}/{path}": data for path, data in files.content.items()}
    shown = {f"prs_{name}" for name in (("ann", "bea", "vic", "val") if facts is None else facts)}
    async with ledger.db.read() as connection:
        store = LedgerStore(connection)
        head = await store.head()
        for row in await store.of_kinds([CLEARED, ENROLLED], head.size):
            proof = await prove(store, row.position)
            if row.kind == CLEARED or any(person.encode() in row.body for person in shown):
                content[f"facts/{row.position}.tlog-proof"] = proof.encode()
    return Files(content)


async def prove(store: LedgerStore, position: int) -> EntryProof:
    """The proof of one entry."""
    note = (await store.head()).checkpoint
    assert note is not None
    size = Checkpoint.parse(open_note(note, LOG_KEY.public, verify_ed25519)).size
    tiles: dict[tuple[int, int], list[bytes]] = {}
    while True:
        try:
            hashes = inclusion_proof(position, size, TileHashes(lambda *at: tiles[at]))
        except KeyError as missing:
            tiles[missing.args[0]] = await store.tile(*missing.args[0])
            continue
        row = await store.entry(position)
        assert row is not None
        return EntryProof(index=position, hashes=hashes, note=note, extra=row.body)
