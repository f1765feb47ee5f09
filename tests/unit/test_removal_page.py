"""The page of a removal proof: it says what was found, loads nothing, and nothing that others chose is markup in it."""

import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audit.entry import Draft, person_actor
from audit.index import Scope
from audit.keys import verify_ed25519
from audit.note import Checkpoint
from audit.proof_check import Trust
from audit.removal import ALL_OF_IT, ENROLLED
from audit.removal_file import PAGE, verify_removal
from audit.removal_page import MOVES, Written, removal_page
from audit.removal_report import Leave, Move, RemovalReport
from config.db import Database
from tests.ledger import LOG_KEY, Files, make_log
from tests.removals import CLEARED_AT, DELIBERATION_ROOM, PITCH_ROOM, Story, enrolments, removal, removed

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202e\x1b[2J\u05d0\u3164c\u043en"
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "p",
        "strong",
        "section",
        "ul",
        "li",
        "code",
    ),
    *("a", "pre", "table", "thead", "tbody", "tr", "th", "td", "span", "br"),
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "scope", "data-of"}


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


class Read(HTMLParser):
    """What a browser makes of a page: its tags, its attributes, its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags, self.attributes, self.open, self.text = set[str](), dict[str, set[str]](), list[str](), ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


async def page_of(db: Database, place: Path, story: Story) -> bytes:
    files = await removal(await make_log(db, place, []), story.drafts)
    verify_removal(files, Trust([LOG_KEY.public]), None, verify_ed25519)
    return files.content[PAGE]


async def test_it_says_who_left_by_which_event_and_what_proves_it(db: Database, tmp_path: Path) -> None:
    read = Read(await page_of(db, tmp_path, removed()))
    assert not read.open
    text = re.sub(r"\s+", " ", read.text)
    for said in (
        "Removal proof: adatum, crm adatum was put out of crm, and nothing from after reached it : in its pitch room",
        "and the deliberation room, up to 2027-01-15T08:00:00.006Z. This page alone",
        "Shut out from 2027-01-15T08:00:00.700Z on, by the homeserver",
        "Recorded 2027-01-15T08:00:00.004Z (entry 21)",
        "every entry of both rooms up to 2027-01-15T08:00:00.006Z",
        "pitch room (entry 8), deliberation room (entry 11)",
        "@vic:adatum.example prs_vic 2027-01-15T08:00:01.100Z $16 22",
        "before adatum was out: 2. Messages that came",
        "in both rooms together: 1, none with one of these sessions. Session First seen s1 entry 18 s2 entry 19",
        "were ever in it: 2, all of contoso.",
        "@bea:contoso.example prs_bea came in 2027-01-15T08:00:00.012Z $12 17",
        "@val:adatum.example prs_val adatum 4",
        "conclave audit verify removal.tar --vkey log.vkey",
        "log.example/hub , 27 entries",
        "by prs_auditor , 2027-01-15T08:00:00.006Z (entry 25); export exp_1",
        "is said by entry 26 of the log",
    ):
        assert said in text, (said, text)


async def test_it_says_that_late_members_may_see_all(db: Database, tmp_path: Path) -> None:
    page = await page_of(db, tmp_path, removed(deliberation=ALL_OF_IT, word="shared"))
    assert b"of the deliberation room, every member; so since before anybody came" in page


async def test_findings_come_first(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.message(DELIBERATION_ROOM, "ann", "s2", CLEARED_AT + 300)
    text = Read(await page_of(db, tmp_path, story)).text
    assert text.index("1 finding:") < text.index("was sent with a session from before the vendor left")
    assert text.index("from before the vendor left") < text.index("The removal ")
    for claim in ("nothing from after reached it", "none with one of these", "all of contoso"):
        assert claim not in text


async def test_it_runs_and_loads_nothing(db: Database, tmp_path: Path) -> None:
    page = await page_of(db, tmp_path, removed())
    read = Read(page)
    assert read.tags <= TAGS
    assert read.attributes.keys() <= ATTRIBUTES
    assert read.attributes["href"] == {"#check"}
    assert "default-src 'none'; style-src 'unsafe-inline'" in read.attributes["content"]
    assert not re.search(rb"url\(|@import|https?:", page)


async def test_what_others_chose_is_text(db: Database, tmp_path: Path) -> None:
    story = Story()
    story.create(PITCH_ROOM, "rm_p")
    story.create(DELIBERATION_ROOM, "rm_d")
    for room, name in ((PITCH_ROOM, "ann"), (PITCH_ROOM, "vic"), (DELIBERATION_ROOM, "ann")):
        story.event(
            room, "member.joined", person_actor("prs_ann"), event_id=f"${HOSTILE}{room}{name}",
            type="m.room.member", subject=person_actor(f"prs_{name}"),
        )  # fmt: skip
    story.message(PITCH_ROOM, "vic", HOSTILE)
    story.clear()
    about = {"type": "m.room.member", "subject": person_actor("prs_vic"), "event_id": f"${HOSTILE}"}
    story.event(PITCH_ROOM, "member.left", person_actor("prs_vic"), ts=CLEARED_AT + 100, **about)
    story.message(DELIBERATION_ROOM, "ann", HOSTILE, CLEARED_AT + 200)
    drafts = [(source, named(draft)) for source, draft in enrolments()]
    files: Files = await removal(await make_log(db, tmp_path, drafts), story.drafts, ("ann", "vic"), enrol=False)
    found = verify_removal(files, Trust([LOG_KEY.public]), None, verify_ed25519)
    assert HOSTILE in found.written.names["prs_vic"]
    assert HOSTILE in found.shows.sessions
    assert found.shows.findings
    page = files.content[PAGE]
    read = Read(page)
    assert not read.open
    assert read.tags <= TAGS
    assert read.attributes.keys() <= ATTRIBUTES
    assert read.attributes["href"] == {"#check"}
    assert read.text.count("<script>alert(1)</script>") >= 5
    assert "\u202e" not in page.decode()
    assert b"\x1b" not in page
    assert page.isascii(), "letters that look alike, are not seen, or are read from right to left"


def named(draft: Draft) -> Draft:
    """The enrolment of somebody whose Matrix user id is not one."""
    assert draft.kind == ENROLLED
    return Draft(
        kind=draft.kind,
        actor=draft.actor,
        companies=draft.companies,
        data=draft.data,
        disclose={"user_id": f"@{HOSTILE}:x"},
    )


async def test_times_that_no_calendar_has_are_told_as_they_are(db: Database, tmp_path: Path) -> None:
    story = removed()
    story.member(DELIBERATION_ROOM, "left", "bea", 2**53 - 1)
    assert "9007199254740991 ms since 1970" in Read(await page_of(db, tmp_path, story)).text


FROZEN = "7ddb814edcbefda4763c64fb8ad0d9fd31d1d87170c5846e4b0fedc052930b33"
"""The SHA-256 of the page below. Where it has to change after a release, so has ``audit.removal_file.FORMAT``."""


def test_a_page_of_this_format_reads_as_it_did() -> None:
    """A proof that was written before is verified by making its page anew: another word, and it is invalid."""
    pitch, deliberation = Scope("room", "!p:hub.example"), Scope("room", "!d:hub.example")
    report = RemovalReport(
        committee="crm",
        vendor="adatum",
        buyer="contoso",
        shut_at=1_799_999_999_000,
        cleared_at=1_800_000_000_000,
        cleared_entry=1_021,
        pitch=pitch,
        deliberation=deliberation,
        whole_until=1_800_000_100_000,
        enrolled={"prs_ann": ("contoso", 1), "prs_vic": ("adatum", 2)},
        leaves=[Leave(person="prs_vic", event_id="$l", ts=1_800_000_000_001, position=1_022)],
        sessions={"s1": 1_000, "s2": 1_001},
        later=2,
        members=["prs_ann"],
        moves=[Move(person="prs_ann", event_id="$m", ts=1_799_000_000_000, position=9, kind=kind) for kind in MOVES],
        history=[(pitch, 5), (pitch, 6), (deliberation, 7)],
    )
    written = Written(
        checkpoint=Checkpoint(origin="log.example/hub", size=1_025, root=bytes(32)),
        export="exp_1",
        entry=1_023,
        person="prs_auditor",
        at=1_800_000_100_000,
        index=1_024,
        names={"prs_ann": "@ann:contoso.example"},
    )
    good = removal_page(report, written)
    report.findings = ["entry 1,022: something"]
    assert sha256(good + removal_page(report, written)).hexdigest() == FROZEN
