"""Forged removals, by who holds the log's key and the key of exports: each is a finding, or no proof at all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.entry import Actor, Draft, person_actor, user_actor
from audit.keys import verify_signature
from audit.parts import DISCLOSURES, VerificationError
from audit.proof_check import Trust
from audit.removal import ENROLLED
from audit.removal_export import NotClearedError, judge_stored
from audit.removal_file import verify_removal
from audit.removal_report import Removal, RemovalReport
from audit.store import LedgerStore
from config.db import Database
from tests.ledger import LOG_KEY, Files, make_log
from tests.removals import (
    ABOUT,
    BOT,
    CLEARED_AT,
    DELIBERATION_ROOM,
    HELPER,
    PITCH_ROOM,
    Story,
    enrolments,
    pitched,
    removal,
    removed,
    resigned,
)

Change = Callable[[Story], None]
ANN, VIC = person_actor("prs_ann"), person_actor("prs_vic")


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


async def made(db: Database, place: Path, story: Story, shown: Sequence[str] | None = None) -> Files:
    return await removal(await make_log(db, place, []), story.drafts, shown)


def check(files: Files) -> RemovalReport:
    return verify_removal(files, Trust([LOG_KEY.public]), None, verify_signature).shows


def said(report: RemovalReport) -> list[str]:
    """The findings, without the numbers of their entries."""
    return [line.partition(": ")[2] for line in report.findings]


def leave(story: Story) -> None:
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)


def late(kind: str, type_: str, actor: Actor = ANN) -> Change:
    """Something that is no encrypted message, in the pitch room, after the clearing, while the vendor is there."""

    def change(story: Story) -> None:
        story.clear()
        story.event(PITCH_ROOM, kind, actor, ts=CLEARED_AT + 50, type=type_)
        leave(story)

    return change


READ: dict[str, Change] = {
    "words in the clear": late("event.sent", "m.room.message"),
    "a reaction": late("reaction.sent", "m.reaction"),
    "a reason beside a redaction": late("message.redacted", "m.room.redaction"),
    "the room's topic": late("state.changed", "m.room.topic"),
}


@pytest.mark.parametrize("name", READ)
async def test_what_the_vendor_could_read_before_it_was_out(db: Database, tmp_path: Path, name: str) -> None:
    story = pitched()
    READ[name](story)
    assert said(check(await made(db, tmp_path, story))) == ["$16 came before the vendor was out"]


def then(kind: str, room: str, actor: Actor, **data: Any) -> Change:
    return lambda story: story.event(room, kind, actor, ts=CLEARED_AT + 300, **data)


MESSAGE = {"type": "m.room.encrypted", "session_id": "new"}
STRANGERS: dict[str, tuple[Change, str]] = {
    "a vendor who is no member speaks where is deliberated": (
        lambda story: story.drafts.insert(13, spoken("prs_vic", 13)),
        "was sent by prs_vic, who is not of contoso",
    ),
    "somebody unknown speaks where is deliberated": (
        then("message.sent", DELIBERATION_ROOM, user_actor("@mallory:other.example"), **MESSAGE),
        "was sent by @mallory:other.example, who is not of contoso",
    ),
    "somebody whose company nobody shows": (
        then("message.sent", DELIBERATION_ROOM, person_actor("prs_rob"), **MESSAGE),
        "was sent by prs_rob, who is not of contoso",
    ),
    "somebody unknown speaks in the pitch room": (
        then("message.sent", PITCH_ROOM, user_actor("@mallory:other.example"), **MESSAGE),
        "was sent by @mallory:other.example, who is not of contoso",
    ),
    "the helper speaks after the clearing": (
        then("message.sent", PITCH_ROOM, HELPER, **MESSAGE),
        "was sent by conclave-helper, who is not of contoso",
    ),
    "a vendor reacts after the clearing": (
        then("reaction.sent", PITCH_ROOM, VIC, type="m.reaction"),
        "was sent by prs_vic, who is not of contoso",
    ),
    "the deliberation goes on in a room that is not shown": (
        then("state.changed", DELIBERATION_ROOM, BOT, type="m.room.tombstone", state_key=""),
        "the room was replaced by another, which is not shown",
    ),
    "the pitch room goes on in a room that is not shown": (
        then("state.changed", PITCH_ROOM, BOT, type="m.room.tombstone", state_key=""),
        "the room was replaced by another, which is not shown",
    ),
}


def spoken(person: str, number: int) -> tuple[str, Draft]:
    about = {"event_id": f"$x{number}", "ts": 1, **MESSAGE}
    actor, companies = person_actor(person), ["contoso"]
    draft = Draft(
        kind="message.sent", actor=actor, room=DELIBERATION_ROOM, engagement="crm", companies=companies, data=about
    )
    return "homeserver", draft


@pytest.mark.parametrize("name", STRANGERS)
async def test_who_has_no_place_there_is_a_finding(db: Database, tmp_path: Path, name: str) -> None:
    change, text = STRANGERS[name]
    story = removed()
    change(story)
    assert [line for line in said(check(await made(db, tmp_path, story))) if line.endswith(text)]


async def test_a_helper_that_stays_is_a_finding(db: Database, tmp_path: Path) -> None:
    story = pitched()
    story.helper(PITCH_ROOM, "invited")
    story.helper(PITCH_ROOM, "joined")
    story.clear()
    leave(story)
    assert said(check(await made(db, tmp_path, story))) == ["the helper did not leave it"]


def moved(room: str, **other: Any) -> Change:
    """``room`` was made as that of others."""

    def change(story: Story) -> None:
        story.drafts = [
            (source, replace(draft, **other) if draft.room == room else draft) for source, draft in story.drafts
        ]

    return change


def timeless(kind: str, at: int = -1) -> Change:
    """The last entry of this kind does not say when it was."""

    def change(story: Story) -> None:
        place = [number for number, (_, draft) in enumerate(story.drafts) if draft.kind == kind][at]
        source, draft = story.drafts[place]
        data = {name: value for name, value in draft.data.items() if name != "ts"}
        story.drafts[place] = source, replace(draft, data=data)

    return change


def timeless_return(story: Story) -> None:
    """The vendor sits in the pitch room again for a while, and nobody says of when."""
    story.member(PITCH_ROOM, "joined", "vic", CLEARED_AT + 200)
    timeless("member.joined")(story)
    story.member(PITCH_ROOM, "left", "vic", CLEARED_AT + 300)


def renamed(company: str) -> Change:
    def change(story: Story) -> None:
        story.drafts = [
            (source, replace(draft, companies=["adatum", company]) if draft.kind == "vendor.cleared" else draft)
            for source, draft in story.drafts
        ]

    return change


NONE: dict[str, tuple[Change, str]] = {
    "deliberated in another committee's room": (moved(DELIBERATION_ROOM, engagement="erp"), "is of another committee"),
    "pitched in another committee's room": (moved(PITCH_ROOM, engagement="erp"), "is of another committee"),
    "a room of no committee": (moved(DELIBERATION_ROOM, engagement=None), "is of another committee"),
    "a room of other companies": (moved(DELIBERATION_ROOM, companies=["adatum", "contoso"]), "is of other companies"),
    "a pitch room of the buyer alone": (moved(PITCH_ROOM, companies=["contoso"]), "is of other companies"),
    "a clearing of another buyer": (renamed("fabrikam"), "is of other companies"),
    "a buyer that looks like contoso": (renamed("c\u043entoso"), "is no company's id"),
    "a message of no time": (timeless("message.sent"), "does not say which event it is of, and of when"),
    "a vendor who comes back at no time": (timeless_return, "does not say which event it is of, and of when"),
}


@pytest.mark.parametrize("name", NONE)
async def test_what_is_told_of_something_else_is_no_proof(db: Database, tmp_path: Path, name: str) -> None:
    change, text = NONE[name]
    story = removed()
    change(story)
    with pytest.raises(VerificationError, match=text):
        check(await made(db, tmp_path, story))


async def test_nobody_is_enrolled_anew_for_the_proof(db: Database, tmp_path: Path) -> None:
    """Somebody else was where is deliberated; later the hub enrols them with the buyer, and shows that."""
    first = [(source, draft) for source, draft in enrolments() if draft.data["person"] != "prs_rob"]
    ledger = await make_log(db, tmp_path, first)
    story = removed()
    story.member(DELIBERATION_ROOM, "joined", "rob", CLEARED_AT + 300)
    data = {"person": "prs_rob", "company": "contoso", "role": "member"}
    again = Draft(kind=ENROLLED, actor=person_actor("prs_rob"), companies=["contoso"], data=data)
    shown = ("ann", "bea", "vic", "val", "rob")
    files = await removal(ledger, [*story.drafts, ("api", again)], shown, enrol=False)
    with pytest.raises(VerificationError, match="was enrolled only later"):
        check(files)


@pytest.mark.parametrize("key", ["rm_p", "rm_d"])
async def test_the_hub_proves_nothing_of_a_room_that_is_there_twice(db: Database, tmp_path: Path, key: str) -> None:
    """Which of them the vendor was put out of, and what was said in the other, no proof of one room tells."""
    story = removed()
    ledger = await make_log(db, tmp_path, [*enrolments(), *story.drafts])
    async with db.read() as connection:
        size = (await LedgerStore(connection).head()).size
    assert (await judge_stored(db, ABOUT, size, CLEARED_AT)).report.findings == []
    again = Story()
    again.create("!again:hub.example", key)
    await ledger.append(again.drafts)
    with pytest.raises(NotClearedError, match=f"2 rooms {key}"):
        await judge_stored(db, ABOUT, size + len(again.drafts), CLEARED_AT)


@pytest.mark.parametrize("end", [b"\r", b"\x0b", b"\x0c"])
async def test_lines_end_for_everybody_at_the_same_place(db: Database, tmp_path: Path, end: bytes) -> None:
    """What is a blank in JSON and the end of a line elsewhere: refused or read, and never a crash."""
    files = await made(db, tmp_path, removed())
    shown = files.content[DISCLOSURES].replace(b", ", b"," + end, 1)
    forged = resigned(files.but(DISCLOSURES, shown))
    if end == b"\r":
        assert check(forged).findings == []
        return
    with pytest.raises(VerificationError, match=DISCLOSURES):
        check(forged)


@pytest.mark.parametrize(
    "name", ["ad\u0430tum", "adatum\u200b", "adatum\n  \u2713 all", "Adatum", "", "a" * 41, "ada tum"]
)
def test_a_removal_is_named_by_ids_and_nothing_else(name: str) -> None:
    assert Removal.parse(f"removal:crm:{name}") is None
    assert Removal.parse(f"removal:{name}:adatum") is None
