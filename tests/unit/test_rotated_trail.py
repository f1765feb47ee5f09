"""A trail of a log whose keys were replaced: the old key, the root and the new one show whether it is whole."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit.entry import Draft, system_actor
from audit.keys import verify_signature
from audit.note import sign_line
from audit.parts import CHECKPOINT, LOG_KEY, STATEMENTS, VerificationError
from audit.succession import KINDS, statement_data
from audit.trail import FRAME, TrailReport, verify_trail
from config.db import Database
from tests.key_statements import NEW, OLD, ROOT, ROTATED
from tests.ledger import OPENED, Files, Ledger
from tests.trails import NORTHWIND, PAGE, edited, recounted, traffic, trail

COUNT = 60


@pytest.fixture
async def rotated(sqlite_base: Path, tmp_path: Path) -> Files:
    """A trail that was ordered after the rotation, of a log that had begun before it."""
    shutil.copy(sqlite_base, tmp_path / "hub.sqlite3")
    db, data = Database.sqlite(tmp_path / "hub.sqlite3"), statement_data(ROTATED.decode())
    ledger = Ledger(db, tmp_path)
    opening = Draft(kind=OPENED.kind, actor=OPENED.actor, data={**OPENED.data, "root_key": str(ROOT.public)})
    changed = Draft(kind=KINDS[data["act"]], actor=system_actor("signer"), data=data)
    half = traffic(COUNT)[: COUNT // 2]
    await ledger.append([("hub", opening), *half, ("hub", changed), *traffic(COUNT)[COUNT // 2 :]])
    files = await trail(ledger, NORTHWIND)
    await db.close()
    text = files.content[CHECKPOINT].decode().partition("\n\n")[0] + "\n"
    files = files.but(CHECKPOINT, f"{text}\n{sign_line(text, NEW.public, NEW)}".encode())
    return recounted(files.but(LOG_KEY, f"{NEW.public}\n".encode()))


def test_the_old_key_the_root_and_the_new_key_find_it_whole(rotated: Files) -> None:
    said = ["entry 31: the log's keys were replaced, as the ones before and the root say"]
    for held in (OLD, NEW):
        for root in (None, ROOT.public):
            report: TrailReport = verify_trail(rotated, held.public, verify_signature, root=root)
            assert (report.key, report.key_changes) == (NEW.public, said)
            assert report.kinds.total() == sum(1 for at in range(COUNT) if at % 3 and at % 5 != 4)


def test_the_change_of_keys_is_not_to_be_hidden(rotated: Files) -> None:
    for hidden in (
        recounted(rotated.without(STATEMENTS)),
        edited(rotated, FRAME, lambda lines: [lines[0], *lines[2:]]),
    ):
        for held in (OLD, NEW):
            with pytest.raises(VerificationError):
                verify_trail(hidden, held.public, verify_signature)


def test_the_guides_program_finds_it_whole_and_an_omission(rotated: Files, tmp_path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", Path("audit/VERIFY-TRAIL.md").read_text(), re.DOTALL)[0]
    (tmp_path / "check.py").write_text(program)
    omitting = edited(rotated, PAGE, lambda lines: lines[:-1])
    for name, files, says in (("whole", rotated, "company northwind: all "), ("omitting", omitting, "are here")):
        (tmp_path / "log.vkey").write_text(f"{NEW.public}\n")
        folder = str(files.save(tmp_path / name))
        command = [sys.executable, str(tmp_path / "check.py"), folder, str(tmp_path / "log.vkey")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (run.returncode == 0) == (name == "whole"), run.stderr
        assert says in run.stdout + run.stderr
