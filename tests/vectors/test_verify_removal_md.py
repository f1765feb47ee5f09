"""The program of VERIFY-REMOVAL.md, as an outsider runs it: on proofs, on findings, and on forgeries."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audit.removal import ALL_OF_IT, JOINED_ONLY
from config.db import Database
from tests.ledger import LOG_KEY, Files, make_log
from tests.removals import (
    BOT,
    CLEARED_AT,
    DELIBERATION_ROOM,
    PITCH_ROOM,
    Story,
    by_another_key,
    pitched,
    removal,
    removed,
    resigned,
)

GUIDE = Path("audit/VERIFY-REMOVAL.md")

VALID = "VALID, and page.html is the one that whoever made the proof signed"

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("ssh-keygen") is None, reason="openssl or ssh-keygen is missing"
)


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


def check(files: Files, place: Path) -> tuple[int, list[str]]:
    """How the guide's program ends on ``files``, and what it says."""
    program = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    place.mkdir()
    (place / "check.py").write_text(program)
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    command = [sys.executable, str(place / "check.py"), str(files.save(place / "proof")), str(place / "log.vkey")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


async def test_the_program_accepts_a_proof(db: Database, tmp_path: Path) -> None:
    files = await removal(await make_log(db, tmp_path, []), removed().drafts)
    assert check(files, tmp_path / "good") == (
        0,
        [
            "prs_vic left: $16, entry 22",
            "prs_val left: $17, entry 23",
            "adatum, crm: 2 sessions before, 1 messages since, 2 deliberated",
            VALID,
        ],
    )


@pytest.mark.parametrize(("history", "word"), [(ALL_OF_IT, "shared"), (ALL_OF_IT, None), (JOINED_ONLY, "shared")])
async def test_the_deliberation_room_may_be_for_late_members_where_the_clearing_says_so(
    db: Database, tmp_path: Path, history: str, word: str | None
) -> None:
    files = await removal(await make_log(db, tmp_path, []), removed(deliberation=history, word=word).drafts)
    status, said = check(files, tmp_path / "late")
    if (history, word) == (ALL_OF_IT, "shared"):
        assert (status, said[-1]) == (0, VALID)
    else:
        assert (status, said[-1]) == (1, "NOT VALID: its history was opened")


def _old_session(story: Story) -> None:
    story.message(DELIBERATION_ROOM, "ann", "s2", CLEARED_AT + 300)


def _back(story: Story) -> None:
    story.member(PITCH_ROOM, "joined", "vic", CLEARED_AT + 300)
    story.member(PITCH_ROOM, "left", "vic", CLEARED_AT + 310)


def _rival(story: Story) -> None:
    story.member(DELIBERATION_ROOM, "invited", "rob", CLEARED_AT + 300)


def _helper_late(story: Story) -> None:
    story.helper(PITCH_ROOM, "joined", CLEARED_AT + 300)


def _helper(story: Story) -> None:
    story.helper(DELIBERATION_ROOM, "invited", 1)


async def test_the_helper_may_have_said_an_answer(db: Database, tmp_path: Path) -> None:
    story = pitched()
    story.answer(PITCH_ROOM, "h1")
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    files = await removal(await make_log(db, tmp_path, []), story.drafts)
    status, said = check(files, tmp_path / "answered")
    assert (status, said[-2:]) == (0, ["adatum, crm: 3 sessions before, 0 messages since, 2 deliberated", VALID]), said


def _replaced(story: Story) -> None:
    story.event(DELIBERATION_ROOM, "state.changed", BOT, ts=CLEARED_AT + 300, type="m.room.tombstone", state_key="")


def _strange_words(story: Story) -> None:
    actor = {"user": "@mallory:other.example"}
    story.event(DELIBERATION_ROOM, "message.sent", actor, ts=CLEARED_AT + 300, session_id="new")


def _helper_stays(story: Story) -> None:
    story.helper(PITCH_ROOM, "joined", CLEARED_AT)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_replaced, "the room was replaced by another"),
        (_strange_words, "something by others than the buyer"),
        (_helper_stays, "the helper did not leave the pitch room"),
        (_helper_late, "the helper came after the clearing"),
        (_helper, "the helper of the hub was in the deliberation room"),
        (_old_session, "an old session was used"),
        (_back, "prs_vic came back"),
        (_rival, "prs_rob of fabrikam"),
    ],
)
async def test_the_program_has_the_findings(db: Database, tmp_path: Path, change: object, text: str) -> None:
    story = removed()
    assert callable(change)
    change(story)
    people = ("ann", "bea", "vic", "val", *(("rob",) if change is _rival else ()))
    files = await removal(await make_log(db, tmp_path, []), story.drafts, people)
    status, said = check(files, tmp_path / "found")
    assert (status, said[-1], any(text in line for line in said)) == (1, "FINDINGS", True), said


async def test_the_program_does_not_pass_over_whom_it_does_not_know(db: Database, tmp_path: Path) -> None:
    story = removed()
    about = {"type": "m.room.member", "subject": {"user": "@stranger:evil.example"}}
    story.event(DELIBERATION_ROOM, "member.joined", BOT, ts=CLEARED_AT + 300, **about)
    files = await removal(await make_log(db, tmp_path, []), story.drafts)
    status, said = check(files, tmp_path / "strange")
    assert (status, said[-1]) == (1, "NOT VALID: whose account comes or goes in entry 25, is not shown")


async def test_the_program_takes_no_other_committees_room(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.drafts = [
        (source, replace(draft, engagement="erp") if draft.room == DELIBERATION_ROOM else draft)
        for source, draft in story.drafts
    ]
    status, said = check(await removal(await make_log(db, tmp_path, []), story.drafts), tmp_path / "other")
    assert (status, said[-1]) == (1, "NOT VALID: deliberation is of others")


async def test_the_program_refuses_forgeries(db: Database, tmp_path: Path) -> None:
    ledger = await make_log(db, tmp_path, [])
    files = await removal(ledger, removed().drafts)
    older = files
    files = await removal(ledger, [], enrol=False)

    def cut(name: str) -> Files:
        return files.but(name, b"".join(files.content[name].splitlines(keepends=True)[:-1]))

    forgeries = {
        "a room's last entry": (resigned(cut("deliberation/trail/0.ndjson")), "deliberation is not whole"),
        "the clearing": (resigned(cut("facts.ndjson")), "other facts"),
        "another checkpoint's room": (
            resigned(files.but("pitch/trail/0.ndjson", older.content["pitch/trail/0.ndjson"])),
            "is not in the log",
        ),
        "another checkpoint's leaf": (
            resigned(files.but("pitch/index.json", older.content["pitch/index.json"])),
            "another index's leaf",
        ),
        "a file": (files.but("more", b""), "a file is missing, or was added"),
        "the page": (files.but("page.html", b""), "page.html was changed"),
        "the manifest": (files.but("manifest.json", files.content["manifest.json"] + b"\n"), "ssh-keygen"),
        "a checkpoint of another form": (files.but("checkpoint", b"no checkpoint"), "NOT VALID: ValueError"),
        "more behind the signature": (
            files.but("manifest.json.sig", files.content["manifest.json.sig"] + b"more\n"),
            "something is behind the signature",
        ),
        **{name: (forged, "another key made the manifest") for name, forged in by_another_key(files).items()},
    }
    for number, (what, (forged, text)) in enumerate(forgeries.items()):
        status, said = check(forged, tmp_path / str(number))
        assert (status, text in said[-1]) == (1, True), (what, said)
