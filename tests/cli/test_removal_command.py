"""``conclave audit verify`` on removal proofs, by the command and by the one file; made on either database."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.zipped import write
from bridge.cli.main import main
from config.db import Database
from tests.archives import archive, packed
from tests.ledger import LOG_KEY, make_log
from tests.removals import CLEARED_AT, DELIBERATION_ROOM, PITCH_ROOM, Story, removal, removed

GOOD = [
    "shut out      adatum, from ",
    "cleared       crm, entry 21, recorded ",
    "left          prs_vic of adatum, ",
    "left          prs_val of adatum, ",
    "history       from joining on only, in both rooms, since they were made",
    "sessions      2 that the vendor may have; 1 message since, none with one of these",
    "deliberation  2 of contoso, and nobody else, were ever in it, over its whole life",
    "whole         every entry of both rooms up to ",
    "page          says the same; 14 files as they have to be, none missing, none added",
    "export        exp_1, ordered by prs_auditor, entry 25",
]
FOUND = "FINDINGS: the proof is whole, and what it shows is not as it should be."


async def saved(db: Database, place: Path, story: Story) -> tuple[Path, Path]:
    """The proof as a folder, and as one file."""
    files = await removal(await make_log(db, place, []), story.drafts)
    (place / "log.vkey").write_text(f"{LOG_KEY.public}\n")
    return files.save(place / "proof"), packed(files, place / "proof.tar")


def by_command(capsys: pytest.CaptureFixture[str], proof: Path, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", str(proof), "--vkey", str(proof.parent / "log.vkey"), *more])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


def by_one_file(proof: Path) -> tuple[int, str]:
    """The program that ``make verifier`` makes, with nothing of this repository beside it."""
    program = proof.parent / "verify.pyz"
    write(program)
    command = [sys.executable, "-I", str(program), str(proof), "--vkey", str(proof.parent / "log.vkey")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=proof.parent)
    return ran.returncode, ran.stdout + ran.stderr


def _shows(lines: list[str]) -> bool:
    """Whether the lines say what a good proof shows, behind the checkpoint and before the verdict."""
    return all(line.strip().startswith(f"✓ {text}") for line, text in zip(lines[1:-1], GOOD, strict=True))


async def test_a_good_one_is_valid(db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for proof in await saved(db, tmp_path, removed()):
        status, said = by_command(capsys, proof)
        assert (status, _shows(said.splitlines())) == (0, True), said
        assert said.endswith("VALID. adatum was put out of crm, and nothing from after reached it.\n")
        status, said = by_one_file(proof)
        assert (status, _shows(said.splitlines()), said.splitlines()[-1]) == (0, True, "VALID."), said
        status, said = by_command(capsys, proof, "--json")
        assert (status, json.loads(said)["valid"], json.loads(said)["findings"]) == (0, True, [])


async def test_an_old_session_is_shown(db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = removed()
    story.message(DELIBERATION_ROOM, "ann", "s2", CLEARED_AT + 300)
    finding = "$19 was sent with a session from before the vendor left"
    for proof in await saved(db, tmp_path, story):
        for status, said in (by_command(capsys, proof), by_one_file(proof)):
            *_, found, verdict = said.splitlines()
            assert (status, found.strip()[:8], verdict) == (1, "✗ entry ", FOUND), said
            assert finding in found
        status, said = by_command(capsys, proof, "--json")
        assert (status, json.loads(said)["valid"], len(json.loads(said)["findings"])) == (1, False, 1)


async def test_one_that_is_not_whole_is_invalid(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = removed()
    story.member(PITCH_ROOM, "joined", "vic", CLEARED_AT + 300)
    for proof in await saved(db, tmp_path, story):
        for status, said in (by_command(capsys, proof), by_one_file(proof)):
            assert (status, "prs_vic did not leave it" in said) == (1, True), said
            assert said.splitlines()[-1].startswith("INVALID: the proof is not one of this removal")


async def test_an_archive_that_is_none_says_what_to_do(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, proof = await saved(db, tmp_path, removed())
    whole = proof.read_bytes()
    (folder.parent / "other.tar").write_bytes(archive(("checkpoint", b"x")))
    proof.write_bytes(whole + b"\n")
    for path, text, hint in (
        (
            proof,
            "is no archive as a hub writes: something stands behind its end",
            "unpack it, and name the folder",
        ),
        (folder.parent / "other.tar", "holds no removal proof", "unpack an export, and name the folder"),
    ):
        status, said = by_command(capsys, path)
        assert (status, text in said, hint in said) == (1 + (path is not proof), True, True), said
        status, said = by_one_file(path)
        assert (status, text.rpartition(": ")[2] in said) == (1, True), said
