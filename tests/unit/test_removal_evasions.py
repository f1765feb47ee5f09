"""Ways to look removed without being it: each has to be a finding, or no proof at all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.entry import Draft, system_actor
from audit.keys import verify_signature
from audit.parts import VerificationError
from audit.proof_check import Trust
from audit.quorum import Policy
from audit.removal_file import verify_removal
from audit.removal_report import RemovalReport
from config.db import Database
from tests.ledger import LOG_KEY, Files, make_log, signing_key
from tests.removals import BOT, CLEARED_AT, DELIBERATION_ROOM, PITCH_ROOM, Story, pitched, removal, removed

WITNESS = signing_key("w.example", 7)
BACKDATED = 5
"""A time long before the clearing, as another homeserver may claim it."""


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


async def made(db: Database, place: Path, story: Story, shown: Sequence[str] | None = None) -> Files:
    return await removal(await make_log(db, place, []), story.drafts, shown)


def check(files: Files, policy: Policy | None = None) -> RemovalReport:
    return verify_removal(files, Trust([LOG_KEY.public]), policy, verify_signature).shows


def said(report: RemovalReport) -> list[str]:
    """The findings, without the numbers of their entries."""
    return [line.partition(": ")[2] for line in report.findings]


async def test_who_comes_back_under_an_old_date_is_seen(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.member(PITCH_ROOM, "joined", "vic", BACKDATED)
    story.member(PITCH_ROOM, "left", "vic", BACKDATED)
    assert said(check(await made(db, tmp_path, story))) == ["prs_vic came back after the clearing (member.joined)"]


async def test_a_vendors_message_under_an_old_date_is_seen(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.message(PITCH_ROOM, "vic", "s9", BACKDATED)
    assert said(check(await made(db, tmp_path, story))) == ["the vendor sent a message after the clearing"]


async def test_a_session_from_before_the_vendor_came_is_not_used_again(db: Database, tmp_path: Path) -> None:
    story = Story()
    story.create(PITCH_ROOM, "rm_p")
    story.create(DELIBERATION_ROOM, "rm_d")
    for name in ("ann", "bea"):
        story.member(PITCH_ROOM, "joined", name)
    story.message(PITCH_ROOM, "ann", "early")
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "joined", name)
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    story.message(PITCH_ROOM, "ann", "early", CLEARED_AT + 200)
    report = check(await made(db, tmp_path, story))
    assert said(report) == ["$14 was sent with a session from before the vendor left"]
    assert len(report.sessions) == 1


async def test_buyers_alone_for_a_while_before_the_clearing_are_no_finding(db: Database, tmp_path: Path) -> None:
    story = pitched()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "left", name)
    story.message(PITCH_ROOM, "ann", "s1")
    story.member(PITCH_ROOM, "joined", "vic")
    story.clear()
    story.member(PITCH_ROOM, "removed", "vic", CLEARED_AT + 100)
    assert check(await made(db, tmp_path, story)).findings == []


@pytest.mark.parametrize("room", [PITCH_ROOM, DELIBERATION_ROOM])
async def test_what_could_not_be_read_is_not_passed_over(db: Database, tmp_path: Path, room: str) -> None:
    story = removed()
    unread = Draft(kind="event.malformed", actor=system_actor("feed"), room=room, data={"sha256": "0" * 64})
    story.drafts.append(("hub", unread))
    report = check(await made(db, tmp_path, story))
    assert said(report) == ["something came that is no event; what it was is not known"]


async def test_a_room_of_the_same_key_that_others_made_is_none(db: Database, tmp_path: Path) -> None:
    story = removed()
    source, draft = story.drafts[0]
    assert (draft.kind, draft.actor) == ("room.created", BOT)
    story.drafts[0] = (
        source,
        type(draft)(
            kind=draft.kind,
            actor={"user": "@mallory:other.example"},
            room=draft.room,
            engagement=draft.engagement,
            companies=draft.companies,
            data=draft.data,
        ),
    )
    with pytest.raises(VerificationError, match="other hands than the hub's"):
        check(await made(db, tmp_path, story))
