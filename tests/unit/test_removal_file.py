"""The file of a removal proof: what is not as the log has it is refused, even where the key of exports signed it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.archive import Archive
from audit.cosignature import cosign
from audit.index import Scope
from audit.keys import verify_signature
from audit.note import split_note
from audit.part_export import ProvenLines
from audit.parts import CHECKPOINT, DISCLOSURES, MANIFEST, SIGNERS, Bundle, VerificationError, signers_line
from audit.parts import LOG_KEY as LOG_KEY_FILE
from audit.proof_check import Trust
from audit.quorum import Policy, parse_policy
from audit.removal_file import FACTS, PAGE, RemovalProof, is_removal, verify_removal
from audit.removal_report import Removal
from audit.store import LedgerStore
from audit.trail import FRAME
from config.db import Database
from tests.archives import packed
from tests.ledger import LOG_KEY, Files, Ledger, make_log, signing_key
from tests.removals import (
    CLEARED_AT,
    PITCH_ROOM,
    Story,
    facts_but,
    ordered,
    pitched,
    removal,
    removed,
    resigned,
)
from tests.trails import fetched, trail

WITNESS = signing_key("w.example", 7)
Change = Callable[[list[Any]], list[Any]]


@pytest.fixture
def database_source(sqlite_base: Path) -> Path:
    """These tests are about files: one database is enough."""
    return sqlite_base


@pytest.fixture
async def ledger(db: Database, tmp_path: Path) -> Ledger:
    return await make_log(db, tmp_path, [])


@pytest.fixture
async def proof(ledger: Ledger) -> Files:
    return await removal(ledger, removed().drafts)


def check(files: Bundle, trust: Trust | None = None, policy: Policy | None = None) -> RemovalProof:
    return verify_removal(files, trust or Trust([LOG_KEY.public]), policy, verify_signature)


def refused(files: Bundle, trust: Trust | None = None, policy: Policy | None = None) -> str:
    with pytest.raises(VerificationError) as raised:
        check(files, trust, policy)
    return f"{raised.value.where} {raised.value.detail}"


async def test_a_proof_is_checked_in_a_folder_and_in_one_file(proof: Files, tmp_path: Path) -> None:
    assert is_removal(proof)
    found = check(Archive.open(packed(proof, tmp_path / "removal.tar")))
    assert (found.shows, found.files) == (check(proof).shows, len(proof.names()))
    assert (found.disclosed, found.withheld, found.export, found.written.person) == (4, 0, "exp_1", "prs_auditor")
    assert found.written.names["prs_vic"] == "@vic:adatum.example"


async def test_a_manifest_that_fits_does_not_help_another_page(proof: Files) -> None:
    page = proof.content[PAGE]
    for altered in (page.replace(b"out: 2.", b"out: 1."), page.replace(b"<h1>", b"<h1> "), b""):
        assert altered != page
        assert refused(proof.but(PAGE, altered)) == "page.html does not have the listed hash"
        assert refused(resigned(proof.but(PAGE, altered))) == "page.html does not say what the entries say"
    assert check(resigned(proof)).export == "exp_1", "what the tests do is right but for the page"


async def test_the_manifest_of_another_removal_or_export(ledger: Ledger, proof: Files) -> None:
    for said in (
        {"query": {"scope": "removal:crm:fabrikam"}},
        {"exported_by": "prs_other"},
        {"format": "conclave-trail/1"},
        {"counts": {"entries": 1, "by_kind": {}}},
        {"exclusions": ["pitch"]},
        {"note": "more"},
    ):
        assert refused(resigned(proof, **said)) == "manifest.json is of another export", said
    later = await removal(ledger, [], enrol=False)
    for name in (MANIFEST, f"{MANIFEST}.sig"):
        refused(proof.but(name, later.content[name]))
    both = proof.but(MANIFEST, later.content[MANIFEST]).but(f"{MANIFEST}.sig", later.content[f"{MANIFEST}.sig"])
    assert refused(both) == "manifest.json is of another export"


async def test_an_order_of_another_removal(ledger: Ledger) -> None:
    """The frame's export is what the hub was told to prove; entries of another removal do not prove it."""
    story = removed()
    story.drafts.append(ordered(Removal("crm", "fabrikam")))
    later = await removal(ledger, story.drafts)
    frame = [json.loads(line) for line in later.content[FRAME].splitlines()]
    async with ledger.db.read() as connection:
        store = LedgerStore(connection)
        size = json.loads(later.content[MANIFEST])["checkpoint"]["size"]
        rows = await store.of_kinds(["audit.exported"], size)
        line = await ProvenLines(size).of(rows[:1], store)
    lines = [frame[0], json.loads(line), frame[-1]]
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    found = refused(resigned(later.but(FRAME, content), entry=rows[0].position))
    assert "does not say that fabrikam was put out of crm" in found


async def test_parts_of_two_checkpoints_are_of_no_one_history(ledger: Ledger) -> None:
    story = pitched()
    older = await removal(ledger, story.drafts)
    story.drafts.clear()
    story.clear()
    for name in ("vic", "val"):
        story.member(PITCH_ROOM, "removed", name, CLEARED_AT + 100)
    files = await removal(ledger, story.drafts, enrol=False)
    assert check(files).shows.findings == []
    for part in ("pitch/", "deliberation/", FACTS, FRAME, CHECKPOINT):
        content = {name: older.content[name] if name.startswith(part) else data for name, data in files.content.items()}
        assert "is not in the log" in refused(resigned(Files(content))), part


async def test_what_is_left_out_or_added(proof: Files) -> None:
    for name in sorted(proof.names()):
        refused(proof.without(name))
        if name not in (MANIFEST, f"{MANIFEST}.sig", "VERIFY.md"):
            refused(resigned(proof.without(name)))
    for name in ("more.txt", "pitch/more.txt", "pitch/manifest.json", "pages/page.html"):
        assert refused(proof.but(name, b"")).endswith("is not part of the export"), name
        assert refused(resigned(proof.but(name, b""))).endswith("is not part of the export"), name
    named = proof.content[DISCLOSURES].replace(b'"entry": 2', b'"entry": 3', 1)
    assert "line 2 does not belong to the entry" in refused(resigned(proof.but(DISCLOSURES, named)))
    refused(proof, Trust([signing_key("other.example", 9).public]))


async def test_copies_of_keys_are_those_of_the_log(proof: Files) -> None:
    other = signing_key("log.example/hub", 9).public
    assert refused(resigned(proof.but(LOG_KEY_FILE, f"{other}\n".encode()))).endswith("is not the key you hold")
    signers = signers_line(signing_key("log.example/hub/export", 9).public).encode()
    assert refused(resigned(proof.but(SIGNERS, signers))).endswith("is not the key that the log names")


async def test_rooms_changed_for_each_other(proof: Files) -> None:
    swap = {"pitch": "deliberation", "deliberation": "pitch"}
    swapped = {}
    for name, data in proof.content.items():
        folder, slash, rest = name.partition("/")
        swapped[swap.get(folder, folder) + slash + rest] = data
    assert "does not create the room rm_p" in refused(resigned(Files(swapped)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda lines: lines[:-1], "hold 0 entries vendor.cleared"),
        (lambda lines: lines[1:], "whose enrolment is not shown"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "is not behind the one in front of it"),
        (lambda lines: [*lines, lines[-1]], "is not behind the one in front of it"),
    ],
)
async def test_facts_left_out_doubled_or_moved(proof: Files, change: Change, text: str) -> None:
    assert text in refused(facts_but(proof, change))


async def test_a_fact_from_behind_the_index_is_none(ledger: Ledger) -> None:
    """What the rooms have of then is not shown."""
    late = Story()
    late.clear()
    assert "is newer than the index" in refused(await removal(ledger, pitched().drafts, later=late.drafts))


async def test_the_trail_of_a_company_does_not_stand_for_that_of_a_room(ledger: Ledger) -> None:
    """It has only what names the company: an entry of the room that does not is missing from it unnoticed."""
    scope = Scope("company", "adatum")
    await ledger.append(removed().drafts)
    first = await trail(ledger, scope)
    position = json.loads(first.content[MANIFEST])["entry"]
    files = await removal(ledger, [])
    company = await fetched(ledger.db, scope, position)
    assert company.content[CHECKPOINT] == files.content[CHECKPOINT]
    whole = dict(files.content)
    for name in ("index.json", "trail/0.ndjson"):
        whole[f"pitch/{name}"] = company.content[name]
    assert refused(resigned(Files(whole))).startswith("pitch: index.json does not lead to entry")


async def test_the_checkpoint_is_held_against_the_policy(proof: Files) -> None:
    policy = parse_policy(f"log {LOG_KEY.public}\nwitness w {WITNESS.cosigner}\nquorum w\n".encode())
    assert refused(proof, policy=policy).startswith("checkpoint ")
    note = proof.content[CHECKPOINT]
    cosigned = note + cosign(split_note(note)[0], WITNESS.cosigner, WITNESS, 5).encode()
    assert check(resigned(proof.but(CHECKPOINT, cosigned)), policy=policy).shows.findings == []


async def test_nothing_that_is_disclosed_beside_rooms_is_in_it(proof: Files) -> None:
    entries = [json.loads(line)["entry"] for line in proof.content[DISCLOSURES].splitlines()]
    facts = [json.loads(line)["entry"] for line in proof.content[FACTS].splitlines()]
    assert set(entries) < set(facts)
