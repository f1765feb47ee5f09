"""Removal proofs: what a good one shows, what is a finding, what is none at all."""

import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from audit.entry import person_actor
from audit.keys import verify_ed25519
from audit.parts import VerificationError
from audit.proof_check import Trust
from audit.removal import ALL_OF_IT, JOINED_ONLY
from audit.removal_file import is_removal, verify_removal
from audit.removal_lines import removal_lines, when
from audit.removal_report import RemovalReport
from config.db import Database
from tests.ledger import LOG_KEY, Files, make_log
from tests.removals import BOT, CLEARED_AT, DELIBERATION_ROOM, PITCH_ROOM, SHUT_AT, Story, pitched, removal, removed

TRUST = Trust([LOG_KEY.public])
FLIPS = 200
INVITED, WORLD = (
    sha256(f'{{"history_visibility":"{word}"}}'.encode()).hexdigest() for word in ("invited", "world_readable")
)


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


def check(files: Files, trust: Trust = TRUST) -> RemovalReport:
    return verify_removal(files, trust, None, verify_ed25519).shows


def refused(files: Files, trust: Trust = TRUST) -> str:
    with pytest.raises(VerificationError) as raised:
        check(files, trust)
    return f"{raised.value.where} {raised.value.detail}"


async def made(db: Database, place: Path, story: Story, facts: tuple[str, ...] | None = None) -> Files:
    return await removal(await make_log(db, place, []), story.drafts, facts)


async def test_what_a_good_one_shows(db: Database, tmp_path: Path) -> None:
    files = await made(db, tmp_path, removed())
    assert is_removal(files)
    report = check(files)
    assert (report.committee, report.vendor, report.buyer) == ("crm", "adatum", "contoso")
    assert [(leave.person, leave.ts) for leave in report.leaves] == [
        ("prs_vic", CLEARED_AT + 100),
        ("prs_val", CLEARED_AT + 100),
    ]
    assert (len(report.sessions), report.later, report.findings) == (2, 1, [])
    assert report.members == ["prs_ann", "prs_bea"]
    lines = removal_lines(report)
    assert any("none with one of these" in line for line in lines)
    assert lines[0] == f"shut out      adatum, from {when(SHUT_AT)} on"
    assert lines[1].endswith(f", recorded {when(report.cleared_at)}")
    assert report.shut_at == SHUT_AT, "as the guard had it, not when the hub recorded it"


def again(room: str, name: str, session: str) -> Callable[[Story], None]:
    return lambda story: story.message(room, name, session, CLEARED_AT + 300)


async def test_answers_that_were_published_before_the_clearing_are_no_finding(db: Database, tmp_path: Path) -> None:
    """The helper's session is one that the vendor has, and it is of nobody who had to leave."""
    story = pitched()
    story.answer(PITCH_ROOM, "h1")
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    story.helper(PITCH_ROOM, "removed", CLEARED_AT + 110)
    report = check(await made(db, tmp_path, story))
    assert (len(report.sessions), report.findings) == (3, [])


FINDINGS: dict[str, tuple[Callable[[Story], None], str]] = {
    "an old session in the pitch room": (
        again(PITCH_ROOM, "ann", "s1"),
        "was sent with a session from before the vendor left",
    ),
    "an old session in the deliberation room": (
        again(DELIBERATION_ROOM, "ann", "s2"),
        "was sent with a session from before the vendor left",
    ),
    "the vendor sends": (again(PITCH_ROOM, "vic", "s9"), "the vendor sent a message after the clearing"),
    "a rival in the vendor's room": (
        lambda story: story.member(PITCH_ROOM, "joined", "rob", CLEARED_AT + 300),
        "prs_rob of fabrikam was in the vendor's pitch room",
    ),
    "the helper in the deliberation room": (
        lambda story: story.answer(DELIBERATION_ROOM, "h1", CLEARED_AT + 300),
        "the helper was in the deliberation room",
    ),
    "the helper in the deliberation room before the clearing": (
        lambda story: story.helper(DELIBERATION_ROOM, "invited", 1),
        "the helper was in the deliberation room",
    ),
    "the helper in the pitch room after the clearing": (
        lambda story: story.helper(PITCH_ROOM, "joined", CLEARED_AT + 300),
        "the helper came into the pitch room after the clearing",
    ),
    "the vendor in the deliberation room": (
        lambda story: story.member(DELIBERATION_ROOM, "invited", "vic", CLEARED_AT + 300),
        "prs_vic of adatum was in the deliberation room",
    ),
    "a rival in the deliberation room": (
        lambda story: story.member(DELIBERATION_ROOM, "joined", "rob", CLEARED_AT + 300),
        "prs_rob of fabrikam was in the deliberation room",
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
async def test_what_should_not_be_is_a_finding(db: Database, tmp_path: Path, name: str) -> None:
    change, text = FINDINGS[name]
    story = removed()
    change(story)
    report = check(await made(db, tmp_path, story, ("ann", "bea", "vic", "val", "rob") if "rob" in text else None))
    assert any(text in line for line in report.findings), report.findings
    assert not any("none with one of these" in line or "nobody else" in line for line in removal_lines(report))


async def test_who_comes_back_for_a_moment_is_a_finding(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.member(PITCH_ROOM, "joined", "vic", CLEARED_AT + 300)
    story.message(PITCH_ROOM, "ann", "s3", CLEARED_AT + 310)
    story.member(PITCH_ROOM, "left", "vic", CLEARED_AT + 320)
    report = check(await made(db, tmp_path, story))
    assert [line.partition(": ")[2] for line in report.findings] == [
        "prs_vic came back after the clearing (member.joined)",
        "$20 was sent before the vendor was out",
    ]


async def test_an_event_that_came_into_the_log_just_behind_the_clearing_is_no_finding(
    db: Database, tmp_path: Path
) -> None:
    story = pitched()
    story.clear()
    story.message(PITCH_ROOM, "vic", "s2", 1)
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    assert check(await made(db, tmp_path, story)).findings == []


def _not_out(story: Story) -> None:
    story.clear()
    story.member(PITCH_ROOM, "removed", "vic", CLEARED_AT + 100)


def _nameless(story: Story) -> None:
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    story.message(DELIBERATION_ROOM, "ann", None, CLEARED_AT + 200)


def _of_another(story: Story) -> None:
    story.clear(vendor="fabrikam")


def _other_room(story: Story) -> None:
    story.clear(pitch="rm_other")


def _timeless(story: Story) -> None:
    story.clear(clear_at=None)


NONE: dict[str, tuple[Callable[[Story], None], str]] = {
    "never cleared": (lambda _: None, "hold 0 entries vendor.cleared"),
    "one did not leave": (_not_out, "prs_val did not leave it"),
    "a message without a session": (_nameless, "is a message without the id of its session"),
    "of another vendor": (_of_another, "does not say that adatum was put out of crm"),
    "from no time on": (_timeless, "does not say from when on the vendor was shut out"),
    "of another room": (_other_room, "does not create the room rm_other"),
}


@pytest.mark.parametrize("name", NONE)
async def test_what_is_not_shown_is_not_proven(db: Database, tmp_path: Path, name: str) -> None:
    change, text = NONE[name]
    story = pitched()
    change(story)
    assert text in refused(await made(db, tmp_path, story))


@pytest.mark.parametrize(
    ("history", "text"),
    [("0" * 64, "makes the history another than it has to be"), (None, "came before the history was shut")],
)
async def test_history_was_shut_from_the_first_on(db: Database, tmp_path: Path, history: str | None, text: str) -> None:
    story = pitched(history=history)
    story.clear()
    assert text in refused(await made(db, tmp_path, story))


HISTORIES: dict[str, tuple[str, str | None, str]] = {
    "shared, and no word of it": (ALL_OF_IT, None, "makes the history another than it has to be"),
    "shared, and another word": (ALL_OF_IT, "invited", "makes the history another than it has to be"),
    "the word, and not shared": (JOINED_ONLY, "shared", "makes the history another than it has to be"),
    "for who is invited": (INVITED, "shared", "makes the history another than it has to be"),
    "for the world": (WORLD, "shared", "makes the history another than it has to be"),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_the_deliberation_rooms_history_is_what_the_clearing_says(
    db: Database, tmp_path: Path, name: str
) -> None:
    history, word, text = HISTORIES[name]
    assert text in refused(await made(db, tmp_path, removed(deliberation=history, word=word)))


async def test_members_who_come_late_may_see_all_of_the_deliberation_room(db: Database, tmp_path: Path) -> None:
    report = check(await made(db, tmp_path, removed(deliberation=ALL_OF_IT, word="shared")))
    assert (report.shared, report.findings) == (True, [])
    (line,) = [line for line in removal_lines(report) if line.startswith("history")]
    assert line.endswith("in the pitch room, all of the deliberation room for its members, since they were made")


async def test_a_pitch_room_is_never_for_who_was_not_there(db: Database, tmp_path: Path) -> None:
    story = pitched(history=ALL_OF_IT, deliberation=ALL_OF_IT)
    story.clear(history="shared")
    assert "makes the history another than it has to be" in refused(await made(db, tmp_path, story))


@pytest.mark.parametrize(("first", "then", "word"), [(JOINED_ONLY, ALL_OF_IT, None), (ALL_OF_IT, JOINED_ONLY, "shared"),
                                                     (JOINED_ONLY, ALL_OF_IT, "shared")])  # fmt: skip
async def test_a_history_that_was_changed_later_is_refused(
    db: Database, tmp_path: Path, first: str, then: str, word: str | None
) -> None:
    story = removed(deliberation=first, word=word)
    kind = "m.room.history_visibility"
    story.event(DELIBERATION_ROOM, "state.changed", BOT, type=kind, state_key="", content_sha256=then)
    assert "makes the history another than it has to be" in refused(await made(db, tmp_path, story))


async def test_what_the_hub_found_itself_stands_in_the_room_and_changes_nothing(db: Database, tmp_path: Path) -> None:
    story = pitched()
    actor = person_actor("prs_ann")
    story.event(PITCH_ROOM, "session.reused", actor, session_id="s1", left=["prs_val"], left_of=["adatum"], count=1)
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    assert check(await made(db, tmp_path, story)).findings == []


async def test_nobody_else_is_named_in_it(db: Database, tmp_path: Path) -> None:
    files = await made(db, tmp_path, removed(), ("ann", "bea", "vic", "val", "rob"))
    assert "is of somebody who was in neither room" in refused(files)


async def test_every_flipped_bit_is_seen(db: Database, tmp_path: Path) -> None:
    files = await made(db, tmp_path, removed())
    dice = random.Random(5)
    names = sorted(files.names())
    for name in [*names, *dice.choices(names, k=FLIPS)]:
        data = bytearray(files.content[name])
        if data:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            refused(files.but(name, bytes(data)))
